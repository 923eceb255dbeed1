"""Columns of tables as text that a person reads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

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


def backends(table: pd.DataFrame) -> "pd.Series[str]":
    """Names of backends, with the device where that is not the CPU."""
    cpu = table["device"] == "cpu"
    return table["backend"].where(cpu, table["backend"] + " " + table["device"])


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of each model together: Keras as shipped first, then tuned, native and the others."""
    place = table["variant"].map({name: place for place, name in enumerate(THREE)}).fillna(3)
    return table.iloc[np.lexsort((place, pd.factorize(table["model"])[0]))]


def by_model(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each variant of each model, under the name that people read.

    `backend` is what people read, too; `model` is still the model's, whatever the variant.
    """
    table = in_order(table)
    for name, rows in table.assign(backend=backends(table)).groupby(models(table), sort=False):
        yield str(name), rows


def numbers(column: "pd.Series[float]", digits: int) -> "pd.Series[str]":
    """Numbers with so many digits; a dash where there is none."""
    return column.map(f"{{:,.{digits}f}}".format, na_action="ignore").astype("str").fillna("-")


def interval(table: pd.DataFrame, digits: int) -> "pd.Series[str]":
    """From `low` to `high`; a dash where there is none."""
    low, high = numbers(table["low"], digits), numbers(table["high"], digits)
    return (low + " - " + high).where(table["low"].notna(), "-")


def span(table: pd.DataFrame, low: str, high: str, digits: int) -> "pd.Series[str]":
    """Both ends of an interval that may be below zero."""
    return "[" + numbers(table[low], digits) + ", " + numbers(table[high], digits) + "]"
