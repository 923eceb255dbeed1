"""What needs the framework itself: a module per backend, the same functions in each."""
