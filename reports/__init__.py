"""How results are read: shards in, tables, figures, reports and verdicts out.

In a notebook: `reports.load("results/latest")`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.judging.comparison import Comparison


def load(*runs: str | Path) -> "Comparison":
    """The frames of a run, or of several that are merged.

    Args:
        runs: Folders of runs, such as `results/latest`.

    Returns:
        Frames as attributes; `docs/tables.md` states the columns, units and dtypes of each.

    Raises:
        ValueError: A folder is no run, a shard of it is damaged, or the runs had not the same
            inputs.
    """
    from reports.judging import comparison
    from reports.read import shards

    found = shards.read([Path(run) for run in runs])
    if found.problems:
        raise ValueError("; ".join(found.problems))
    return comparison.compare(found)
