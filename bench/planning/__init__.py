"""What a run will do, as plain data made of its options.

Standard library alone. May import: contract, process, models.
"""
