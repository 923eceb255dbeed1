"""A worker process, its pipe and variables, and files that are there whole or not at all.

Standard library alone. May import: contract.
"""
