"""The surface that pytest sees: options in, a test for each cell, subject and series.

May import: all but the worker, which is a process of its own.
"""
