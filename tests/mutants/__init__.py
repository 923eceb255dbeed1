"""Tests that need Keras; nox runs them in the environment of every selected backend."""
