"""Writers of the report: HTML, Markdown, terminal, and all files of a run.

May import: figures, across_runs and what is below.
"""
