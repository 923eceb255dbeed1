"""The tables of a report as a person reads them, all of text: one list for every writer.

`reports/tables/columns.toml` has their titles, captions, headers and digits.
"""

import numpy as np
import pandas as pd

from bench.contract.rungs import RUNGS
from reports.judging.comparison import Comparison
from reports.parity.table import SUBJECT
from reports.tables import wording
from reports.tables.columns import as_text, shown

PAIR = ("lane", "baseline")


def sections(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The tables by name; those that are empty are left out."""
    speed = comparison.speed
    found = {
        "summary": as_text(_titled(comparison.summary)),
        "ratios": ratios(comparison.ratios),
        "variants": variants(comparison.variants),
        "machines": machines(comparison.machines),
        "time_to_error": shown("time_to_error", comparison.time_to_error),
        "speed": shown("speed", speed),
        "latency": shown("latency", speed[speed["latency_p50_ms"].notna()]),
        "ladder": ladder(comparison.ladder, comparison.parity),
        "rung_errors": rung_errors(comparison.parity),
        "errors": errors(comparison.errors),
        "agreement": agreement(comparison.agreement),
        "costs": shown("costs", comparison.costs),
        "break_even": shown(
            "break_even", comparison.break_even.assign(pair=pair_names(comparison.break_even))
        ),
        "lane_costs": shown("lane_costs", comparison.lane_costs),
        "accuracy": as_text(_titled(comparison.accuracy)),
        "conditions": _conditions(comparison.checks),
        "ledger": _titled(comparison.ledger),
    }
    return {name: frame for name, frame in found.items() if not frame.empty}


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(lane=table["lane"].map(wording.title).astype("str"))


def _conditions(checks: pd.DataFrame) -> pd.DataFrame:
    passed = checks["passed"].map({True: "yes", False: "NO"}).astype("str")
    return checks.assign(passed=passed)


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.pairs.ratios_table`, with `certified`."""
    return shown("ratios", table.assign(pair=pair_names(table)))


def pair_names(table: pd.DataFrame) -> "pd.Series[str]":
    """Both backends of each ratio."""
    twin = (table["lane"] == table["baseline"]).map({True: " (twin)", False: ""})
    first, second = (table[name].map(wording.title).astype("str") for name in PAIR)
    return first + " / " + second + twin.astype("str")


def variants(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.pairs.variants_table`, with `certified`."""
    pair = table["variant"] + " / " + table["over"]
    error = table["error"].replace("", "-")
    return shown("variants", table.assign(pair=pair, definition=table["model"], error=error))


def machines(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.judging.elsewhere.table`."""
    trusted = table["trusted"].map({True: "yes", False: "NO"}).astype("str")
    return shown("machines", table.assign(pair=pair_names(table), trusted=trusted))


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.seeds.errors_table`, in percent."""
    inside = table["published_inside"].map({True: "inside", False: "outside"})
    inside = inside.astype("str").where(inside.notna(), "-")
    return shown("errors", table.assign(inside=inside))


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """`reports.tables.seeds.pairs_table`, in points of error."""
    proven = table["equivalent"].map({True: "proven", False: "not proven"})
    return shown("agreement", table.assign(pair=pair_names(table), proven=proven))


def ladder(comparison_ladder: pd.DataFrame, parity_table: pd.DataFrame) -> pd.DataFrame:
    """`reports.parity.table.summary`, with the worst error of each subject in rounding floors."""
    known = parity_table["floors"].where(parity_table["value"].notna(), np.inf)
    floors = known.groupby([parity_table[name] for name in SUBJECT]).max()
    keys = pd.MultiIndex.from_frame(comparison_ladder[SUBJECT])
    rungs = [name for name in RUNGS if name in comparison_ladder]
    return pd.DataFrame(
        {
            "model": wording.models(comparison_ladder),
            "lane": wording.backends(comparison_ladder),
            **{rung: comparison_ladder[rung].replace("", "-") for rung in rungs},
            "worst, roundings": wording.numbers(floors.reindex(keys).reset_index(drop=True), 0),
            "first finding": comparison_ladder["first"].replace("", "-"),
        }
    )


def rungs_by_status(comparison_ladder: pd.DataFrame) -> pd.DataFrame:
    """`reports.parity.table.summary` in few columns: which rungs passed, warned and failed."""
    rungs = [name for name in RUNGS if name in comparison_ladder]
    columns = {
        "model": wording.models(comparison_ladder),
        "lane": wording.backends(comparison_ladder),
    }
    for header, status in (("passed", "pass"), ("warned", "warn"), ("failed", "fail")):
        columns[header] = pd.Series(
            [
                " ".join(rung for rung in rungs if row[rung] == status) or "-"
                for row in comparison_ladder.to_dict("records")
            ],
            dtype="str",
        )
    return pd.DataFrame(columns)


def rung_errors(parity_table: pd.DataFrame) -> pd.DataFrame:
    """The worst quantity of each rung and subject that has a size."""
    sized = parity_table[~parity_table["rung"].isin(["P0", "P1", "P7"])]
    # By status first, then in tolerances: those of one rung differ, and what is no number is worst.
    order = sized.assign(
        grade=sized["status"].map(["pass", "warn", "fail"].index),
        share=(sized["value"] / sized["warn"]).fillna(0).where(sized["value"].notna(), np.inf),
    ).sort_values(["grade", "share"], kind="stable")
    of_rung = [*SUBJECT, "rung"]
    worst = order.drop_duplicates(of_rung, keep="last").sort_index()
    return pd.DataFrame(
        {
            "model": wording.models(worst),
            "lane": wording.backends(worst),
            "rung": worst["rung"],
            "worst quantity": worst["quantity"],
            "value": worst["value"].map("{:.2g}".format),
            "warn": worst["warn"].map("{:.2g}".format),
            # A known fault never fails.
            "fail": worst["fail"].map("{:.2g}".format).replace("inf", "-"),
            "roundings": wording.numbers(worst["floors"], 1),
            "status": worst["status"],
        }
    )
