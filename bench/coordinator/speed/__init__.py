"""Launches measured in turn, and the evidence beside them.

May import: the coordinator, inputs and what is below.
"""
