"""One run, from its options to its report, for a person at a terminal.

May import: the coordinator and what is below.
"""
