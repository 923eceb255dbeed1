"""What a table of speeds does not say: what could not be had, and what would part a tie."""

import numpy as np
import pandas as pd

from bench.contract.variants import STOCK
from reports.statistics.intervals import MARGIN
from reports.tables import speed, wording
from reports.tables.cells import KEYS

LEAST_DISTANCE = 0.01
"""Of a ratio from the margin's edge, in logs: nobody measures on for less."""


def failure_lines(variant_table: pd.DataFrame) -> list[str]:
    """What could not be prepared, a line each."""
    failed = variant_table[variant_table["verdict"] == speed.FAILED]
    found = failed.drop_duplicates(KEYS)
    return [
        f"{row['model']} {row['variant']} cannot be prepared under "
        f"{wording.title(row['lane'])}: {row['error']}"
        for row in found[found["over"] == STOCK].to_dict("records")
    ]


def tie_lines(main_ratios: pd.DataFrame, launch_seconds: float) -> list[str]:
    """Backends that cannot be told apart, and what would tell them apart.

    Args:
        main_ratios: Rows of `pairs.ratios_table` of training, of runs that are trusted.
        launch_seconds: What a launch took.
    """
    lines = []
    open_ones = main_ratios[(main_ratios["verdict"] == "unresolved")]
    for row in wording.titled(open_ones[open_ones["lane"] != open_ones["baseline"]]).to_dict(
        "records"
    ):
        half = np.log(row["high"] / row["low"]) / 2
        distance = abs(abs(np.log(row["ratio"])) - np.log1p(MARGIN))
        # The interval narrows with the root of the launches, and has to leave the margin's edge.
        needed = row["launches"] * ((half / max(distance, LEAST_DISTANCE)) ** 2 - 1)
        more = max(1, int(np.ceil(needed)))
        lines.append(
            f"Training {wording.named(row['model'], row['variant'])}, {row['title']} and "
            f"{row['other']} cannot be told apart: {row['ratio']:.2f} times ({row['low']:.2f} to "
            f"{row['high']:.2f}); about {more} more launches would tell, in "
            f"{more * launch_seconds / 60:.0f} min."
        )
    return lines
