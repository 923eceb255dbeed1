"""The files of a comparison: pages, figures and tables in the folder of its run."""

from pathlib import Path

import pandas as pd

from reports import html, markdown
from reports.comparison import TABLES, Comparison
from reports.figures import PICTURES
from reports.markdown import CONTROL

WRITTEN = (
    "report.html",
    "report.md",
    *(f"tables/{name}.{form}" for name in TABLES for form in ("csv", "parquet")),
    *(f"figures/{name}-[0-9]*.svg" for name in PICTURES),
)
"""Patterns of all that is written."""


def remove(folder: Path) -> None:
    """Remove an old comparison, which must not stand where a new one was refused."""
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            path.unlink()


def write(comparison: Comparison, folder: Path) -> None:
    """Write `report.html`, `report.md`, `figures/*.svg` and `tables/*.{csv,parquet}`."""
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    for name, frame in comparison.tables().items():
        harmless(frame).to_csv(tables / f"{name}.csv", index=False)
        frame.to_parquet(tables / f"{name}.parquet", index=False)
    (folder / "report.md").write_text(markdown.render(comparison), encoding="utf-8")
    pictures = html.draw(comparison)
    (folder / "figures").mkdir(exist_ok=True)
    for picture in pictures:
        for name, text in picture.files().items():
            (folder / "figures" / name).write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(html.report(comparison, pictures), encoding="utf-8")


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame for a CSV file: no text in it is a formula to a spreadsheet, or moves a cursor.

    Words of a shard may begin as a formula does; such a cell gets an apostrophe in front (OWASP,
    CSV injection).
    """
    frame = frame.copy()
    for name in map(str, frame.select_dtypes("str").columns):
        shown = frame[name].str.replace(CONTROL, "?", regex=True)
        frame[name] = shown.str.replace(r"^(?=[=+\-@])", "'", regex=True)
    return frame
