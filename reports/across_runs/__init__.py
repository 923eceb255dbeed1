"""Several runs side by side: compare, gate and history.

May import: judging and what is below.
"""
