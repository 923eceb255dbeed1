"""`python -m tests.tools.tables_page`: write docs/tables.md from what declares its tables."""

from reports.judging.comparison import TABLES
from reports.tables.columns import DECLARED, columns
from tests.tools.packages import ROOT

PAGE = ROOT / "docs" / "tables.md"


def page() -> str:
    """The page as it should be: its head as it is, and a section for each table."""
    head = PAGE.read_text(encoding="utf-8").partition("\n## ")[0].rstrip()
    return "\n\n".join([head, *map(_section, TABLES)]) + "\n"


def _section(table: str) -> str:
    rows = [f"| `{name}` | {dtype} | {what} |" for name, dtype, what in columns(table)]
    head = [f"## `{table}`", "", DECLARED[table]["about"], ""]
    return "\n".join([*head, "| column | dtype | what |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
