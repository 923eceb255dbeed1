"""The columns of all tables, as `columns.toml` declares them, and how a person reads them."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contract.backends import backend_of
from reports.tables import wording

DECLARED: Mapping[str, Any] = tomllib.loads(
    (Path(__file__).parent / "columns.toml").read_text(encoding="utf-8")
)


def dtypes(table: str) -> dict[str, str]:
    """The dtype of each column, in their order."""
    return {name: dtype for name, dtype, _ in columns(table)}


def frame(table: str, rows: Iterable[object]) -> pd.DataFrame:
    """Rows as a frame of the declared columns and dtypes; what a row lacks is missing.

    Args:
        table: Its name.
        rows: Mappings by column, or tuples in the order of the columns.

    Raises:
        KeyError: A row has a column that is not declared.
    """
    known, rows = dtypes(table), list(rows)
    given = [name for name in known if name != "backend" or "lane" not in known]
    strange = {name for row in rows if isinstance(row, Mapping) for name in row} - {*given}
    if strange:
        raise KeyError(f"columns.toml, [{table}.columns]: {', '.join(sorted(strange))} missing")
    return declared(table, pd.DataFrame(rows, columns=given))


def declared(table: str, content: pd.DataFrame) -> pd.DataFrame:
    """A frame with the declared columns and dtypes; its backend is that of the lane.

    Raises:
        KeyError: It lacks one.
    """
    known = dtypes(table)
    if "lane" in content and "backend" in known:
        content = content.assign(backend=content["lane"].map(backend_of))
    return content[list(known)].astype(known)


def picked(record: object, *names: str) -> dict[str, Any]:
    """Fields of a record, for a row."""
    return {name: getattr(record, name) for name in names}


def shown(table: str, content: pd.DataFrame) -> pd.DataFrame:
    """A frame as a person reads it: the headers and digits that are declared, all of text."""
    headers = DECLARED[table]["shown"]
    return pd.DataFrame({header: _text(content, *told) for header, told in headers.items()})


def as_text(content: pd.DataFrame) -> pd.DataFrame:
    """All columns of a frame as text, a dash where there is nothing."""
    text = {}
    for name in map(str, content.columns):
        digits = DECLARED["digits"].get(name)
        form = "{}".format if digits is None else f"{{:,.{digits}f}}".format
        text[name] = ["-" if pd.isna(value) else form(value) for value in content[name]]
    return pd.DataFrame(text)


def columns(table: str) -> list[tuple[str, str, str]]:
    """Name, dtype and meaning of each."""
    told = {
        name: DECLARED["shared"][name] if text == "shared" else text
        for name, text in DECLARED[table]["columns"].items()
    }
    return [(name, *text.split(" ", 1)) for name, text in told.items()]


def _text(content: pd.DataFrame, column: str, *told: Any) -> "pd.Series[str]":
    match column, told:
        case "model", ():
            return wording.models(content)
        case "lane", ():
            return wording.backends(content)
        case "span", (low, high, digits):
            return wording.span(content, low, high, digits)
        case "low", ("high", digits):
            return wording.interval(content, digits)
        case _, (digits, factor):
            return wording.numbers(factor * content[column], digits)
        case _, (digits,):
            return wording.numbers(content[column], digits)
    return content[column]
