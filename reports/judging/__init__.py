"""One model of the report: comparison, notes, sentences and tables as text.

May import: parity, tables and what is below.
"""
