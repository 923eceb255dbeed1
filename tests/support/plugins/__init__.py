"""Plugins of pytest for runs that tests start: `-p tests.support.plugins.<name>`."""
