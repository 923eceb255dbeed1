"""How batches are ordered, and gone through on a device: a module for each backend.

May import: inputs and what is below, models; of frameworks, each module its own.
"""
