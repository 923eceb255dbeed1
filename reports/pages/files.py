"""The files of a comparison: pages, figures and tables in the folder of its run."""

import contextlib
import io
from pathlib import Path

from reports.across_runs.compared import Compared
from reports.figures import PICTURES
from reports.judging.comparison import TABLES, Comparison
from reports.pages import html, markdown
from reports.pages.spreadsheets import harmless

WRITTEN = (
    "report.html",
    "report.md",
    "comment.md",
    *(f"tables/{name}.{form}" for name in TABLES for form in ("csv", "parquet")),
    *(f"figures/{name}-[0-9]*.svg" for name in PICTURES),
)
"""Patterns of all that is written."""


def remove(folder: Path) -> None:
    """Remove an old comparison, which must not stand where a new one was refused.

    A link of a stranger's in the place of a folder goes, and what it leads to stays.
    """
    for name in ("tables", "figures"):
        if (folder / name).is_symlink():
            (folder / name).unlink()
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            path.unlink()


def write(comparison: Comparison, folder: Path) -> None:
    """Write `report.html`, `report.md`, `comment.md`, `figures/` and `tables/`."""
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    for name, frame in comparison.tables().items():
        put(tables / f"{name}.csv", harmless(frame).to_csv(index=False))
        packed = io.BytesIO()
        frame.to_parquet(packed, index=False)
        put(tables / f"{name}.parquet", packed.getvalue())
    put(folder / "report.md", markdown.render(comparison))
    put(folder / "comment.md", markdown.comment(comparison))
    pictures = html.draw(comparison)
    (folder / "figures").mkdir(exist_ok=True)
    for picture in pictures:
        for name, text in picture.files().items():
            put(folder / "figures" / name, text)
    put(folder / "report.html", html.report(comparison, pictures))


def write_compared(found: Compared, folder: Path) -> Path:
    """Write `compare.html` and `compare.md`; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / "compare.md", markdown.changes(found))
    put(folder / "compare.html", html.compare(found))
    return folder / "compare.html"


def put(path: Path, content: str | bytes) -> None:
    """Write a file, or leave none where the disk refuses: half a page looks like a whole one.

    Raises:
        OSError: With the path, which Python leaves out where it is the writing that failed.
    """
    try:
        if path.is_symlink():  # a stranger's, which may lead anywhere
            path.unlink()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
