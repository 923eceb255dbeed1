"""A model as it is built, given its weights, trained and asked; this imports Keras.

May import: loops, inputs and what is below, models.
"""
