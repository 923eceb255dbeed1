"""Intervals, verdicts and validity: arrays in, numbers out.

May import: contract.
"""
