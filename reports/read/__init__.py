"""Shards, read as what they are: foreign input.

May import: contract, ladder.
"""
