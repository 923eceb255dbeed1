"""What a worker answers on the parity ladder, in raw facts and arrays.

May import: the worker's models and loops, inputs and what is below.
"""
