"""Models as a user would bring them, for trying every way in which one may be given."""
