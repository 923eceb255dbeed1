"""`python -m reports.precision RUN`: how wide the intervals of the training ratios still are.

Prints one number: the widest half-width of the 95 % intervals of the run's launches so far, in
percent of the ratio; `inf` where a ratio has no interval yet. A run that is to stop by precision
asks after each launch.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.contract.errors import ExitCode
from reports.judging.comparison import main_rows
from reports.read import shards
from reports.tables import comparable, pairs, samples, speed


def widest_percent(found: shards.Shards) -> float:
    """The widest half-width in percent; infinity without any interval.

    Of pairs of backends, and of variants within one, in training at the run's own batch size, or
    in all where that is not measured. Pairs with a lane that failed do not count: more launches
    would not help them. Without a pair it is 0.
    """
    measured = samples.collect(found)
    columns = ["phase", "batch_size", "low", "high", "verdict"]
    tables = (pairs.ratios_table(found, measured), pairs.variants_table(found, measured))
    table = pd.concat([table[columns] for table in tables], ignore_index=True)
    main = main_rows(table, found)
    table = table if main.empty else main
    table = table[~table["verdict"].isin({"missing", speed.FAILED})]
    half_widths = 100 * ((table["high"] / table["low"]) ** 0.5 - 1)
    return float(half_widths.fillna(np.inf).max()) if len(table) else 0.0


def main(arguments: Sequence[str]) -> int:
    """Print the number and return the exit code."""
    found = shards.read([Path(argument) for argument in arguments])
    try:
        comparable.check(found)
    except comparable.NotComparableError as error:
        found.problems.append(f"not comparable: {error}")
    if found.problems or not found.plans:
        print("\n".join(f"error: {problem}" for problem in found.problems), file=sys.stderr)
        return ExitCode.DATA
    print(widest_percent(found))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
