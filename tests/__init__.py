"""Tests of the harness; `tests/backend` runs in the worker environments."""
