"""What all backends are given alike: data, initial weights, batches and questions.

NumPy. May import: contract, process, planning.
"""
