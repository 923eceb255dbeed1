"""The surface that pytest sees: options in, a test for each cell, subject and series.

May import: all but the worker, which is a process of its own.
"""

import sys

if sys.platform == "win32":  # before what it lacks is imported
    print("error: Linux or macOS is wanted (on Windows: WSL)", file=sys.stderr)
    sys.exit(2)
