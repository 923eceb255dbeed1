"""`python -m reports.precision RUN`: how wide the intervals of the training ratios still are.

Prints the widest half-width of the 95 % intervals of each bundle so far, in percent of the ratio;
`Infinity` where a ratio has no interval yet. A run that is to stop by precision asks for it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.contract.errors import ExitCode
from bench.contract.units import BESIDE, MAIN, main_workloads
from reports.read import shards
from reports.tables import comparable, pairs, samples, speed
from reports.tables.wording import half_width_percent


def half_widths(found: shards.Shards) -> dict[str, float]:
    """The widest half-width of each bundle, in percent; infinity without any interval.

    Of the main workloads it is that of pairs of backends, of what is measured beside them that of
    variants in training. Pairs with a lane that failed do not count: more launches would not help
    them. Without a pair it is 0.
    """
    measured = samples.collect(found)
    kind = ["variant", "phase", "batch_size"]
    main = {
        tuple(getattr(each, name) for name in kind)
        for _, plan in speed.planned(found)
        for each in main_workloads(plan.workloads)
    }
    ratios = pairs.ratios_table(found, measured)
    ratios = ratios[pd.MultiIndex.from_frame(ratios[kind]).isin(main)]
    variants = pairs.variants_table(found, measured)
    return {MAIN: _widest(ratios), BESIDE: _widest(variants[variants["phase"] == "train"])}


def _widest(table: pd.DataFrame) -> float:
    table = table[~table["verdict"].isin({"missing", speed.FAILED})]
    widths = half_width_percent(table)
    return float(widths.fillna(np.inf).max()) if len(table) else 0.0


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
    print(json.dumps(half_widths(found)))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
