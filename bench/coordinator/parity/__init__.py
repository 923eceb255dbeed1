"""Who is asked what on the parity ladder, and what the oracle answers.

May import: the coordinator, inputs and what is below, the oracle of models.
"""
