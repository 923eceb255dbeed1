"""Workers asked one after another, and the folder of a run that keeps what they say.

May import: inputs and what is below.
"""
