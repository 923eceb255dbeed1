"""What a worker does when it is asked: describe, train, time and answer.

May import: its model and loops, inputs and what is below, models.
"""
