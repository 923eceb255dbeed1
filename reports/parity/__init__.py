"""Answers held against their references, as tables.

May import: tables and what is below.
"""
