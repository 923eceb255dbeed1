"""Columns of tables as text that a person reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.contract.backends import BACKENDS, backend_of
from bench.contract.variants import STOCK, THREE


@dataclass(frozen=True)
class Note:
    """A sentence with its numbers; a grave one says that something is not as it should be."""

    text: str
    grave: bool = False


def named(first: str, *others: str) -> str:
    """A key for people: `stock` and `cpu`, which are as usual, are left out."""
    return " ".join([first, *(word for word in others if word not in {STOCK, "cpu"})])


def models(table: pd.DataFrame) -> "pd.Series[str]":
    """Names of models, with the variant where that is not `stock`."""
    stock = table["variant"] == STOCK
    return table["model"].where(stock, table["model"] + " " + table["variant"])


def title(lane: str) -> str:
    """A lane as people write it: its backend's name, and what it has otherwise."""
    backend = backend_of(lane)
    return BACKENDS[backend].title + lane.removeprefix(backend) if backend in BACKENDS else lane


def backends(table: pd.DataFrame, column: str = "lane") -> "pd.Series[str]":
    """Backends as people write them, with the device where that is not the CPU."""
    cpu, titles = table["device"] == "cpu", table[column].map(title).astype("str")
    return titles.where(cpu, titles + " " + table["device"])


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of each model together: Keras as shipped first, then tuned, native and the others."""
    place = table["variant"].map({name: place for place, name in enumerate(THREE)}).fillna(3)
    return table.iloc[np.lexsort((place, pd.factorize(table["model"])[0]))]


def by_model(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each variant of each model, under the name that people read.

    `backend` and `baseline` are what people read, too; `model` is still the model's, whatever the
    variant.
    """
    table = _readable(table)
    for name, rows in table.groupby(models(table), sort=False):
        yield str(name), rows


def by_definition(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Rows of each model, by variant; `backend` and `baseline` are what people read."""
    for name, rows in _readable(table).groupby("model", sort=False):
        yield str(name), {str(variant): own for variant, own in rows.groupby("variant", sort=False)}


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    table = in_order(table)
    both = {name: backends(table, name) for name in ("lane", "baseline") if name in table}
    return table.assign(**both)


def numbers(column: "pd.Series[float]", digits: int) -> "pd.Series[str]":
    """Numbers with so many digits; a dash where there is none."""
    return column.map(f"{{:,.{digits}f}}".format, na_action="ignore").astype("str").fillna("-")


def interval(table: pd.DataFrame, digits: int) -> "pd.Series[str]":
    """From `low` to `high`; a dash where there is none."""
    low, high = numbers(table["low"], digits), numbers(table["high"], digits)
    return (low + " - " + high).where(table["low"].notna(), "-")


def half_width_percent(table: pd.DataFrame) -> "pd.Series[float]":
    """How far intervals of ratios reach to each side, in percent of the ratio."""
    return 100 * ((table["high"] / table["low"]) ** 0.5 - 1)


def span(table: pd.DataFrame, low: str, high: str, digits: int) -> "pd.Series[str]":
    """Both ends of an interval that may be below zero."""
    return "[" + numbers(table[low], digits) + ", " + numbers(table[high], digits) + "]"


def titled(table: pd.DataFrame) -> pd.DataFrame:
    """With `title`, the backend as people write it, and `other`, the same of the baseline."""
    table = table.assign(title=backends(table))
    return table.assign(other=backends(table, "baseline")) if "baseline" in table else table


def listed(words: Sequence[str]) -> str:
    """`one, two and three`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def number(count: int) -> str:
    """A small number as a word."""
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))
