"""The rungs of the parity ladder: answers in, findings out.

NumPy alone, so that tests can judge inside the workers' environments.
"""
