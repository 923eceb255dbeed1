"""`python -m tests.tools.packages`: draw anew the packages, from what the code imports.

`ORDER` is the one place that says which package may import which: those before it, and itself.
"""

import ast
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURE = ROOT / "docs" / "figures" / "packages.svg"

BOTTOM = ("bench.contract", "bench.process", "bench.planning", "bench.inputs")
WORKER = ("bench.worker.loops", "bench.worker.model", "bench.worker.parity", "bench.worker")
COORDINATOR = (
    "bench.coordinator",
    "bench.coordinator.speed",
    "bench.coordinator.parity",
    "bench.session",
    "bench.farm",
    "bench",
)
REPORTS = (
    "reports.ladder",
    "reports.statistics",
    "reports.read",
    "reports.tables",
    "reports.parity",
    "reports.judging",
    "reports.across_runs",
    "reports.figures",
    "reports.pages",
    "reports",
)
ORDER = (
    (*BOTTOM, *WORKER),
    (*BOTTOM, *COORDINATOR),  # speaks with workers over pipes, and imports none of theirs
    ("bench.contract", *REPORTS),  # reads shards, and nothing else of `bench`
)
PACKAGES = tuple(dict.fromkeys(package for half in ORDER for package in half))

BOX, GAP = (208, 64), (26, 44)


def modules(root: str) -> dict[str, Path]:
    """Files of a top-level package by the name of their module."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for file in sorted((ROOT / root).rglob("*.py"))
        if file.name != "__init__.py"
    }


def package_of(name: str) -> str:
    """The innermost package that a module, or a name in it, lies in."""
    parts = name.split(".")
    known = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((package for package in known if package in PACKAGES), parts[0])


def imports(file: Path, *, top_level: bool = False) -> Iterator[str]:
    """Names that a file imports, those of `from x import y` as `x.y`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import, which this cannot follow"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(package: str) -> set[str]:
    """Other packages that the modules of a package import."""
    return {
        other
        for name, file in modules(package.partition(".")[0]).items()
        if package_of(name) == package
        for used in imports(file)
        if (other := package_of(used)) in PACKAGES and other != package
    }


def figure() -> str:
    """The packages as SVG, each below those that import it; an arrow that others imply is left."""
    below = {package: imported(package) for package in PACKAGES}

    def reached(package: str) -> set[str]:
        return below[package].union(*(reached(other) for other in below[package]))

    direct = {
        package: {o for o in others if not any(o in reached(other) for other in others)}
        for package, others in below.items()
    }
    level: dict[str, int] = {}
    for package in (*BOTTOM, *WORKER, *COORDINATOR, *REPORTS):
        level[package] = 1 + max((level[other] for other in below[package]), default=-1)
    column = dict.fromkeys(WORKER, 0) | dict.fromkeys((*BOTTOM, *COORDINATOR), 2)
    column |= dict.fromkeys(REPORTS, 3)
    column |= dict.fromkeys(("bench.process", "bench.coordinator.speed"), 1)
    column |= dict.fromkeys(("reports.statistics", "reports.across_runs"), 4)
    height = max(level.values()) + 1
    place = {
        package: (
            GAP[0] + column[package] * (BOX[0] + 2 * GAP[0]),
            GAP[1] + (height - 1 - level[package]) * (BOX[1] + GAP[1]),
        )
        for package in PACKAGES
    }
    wide = 5 * (BOX[0] + 2 * GAP[0])
    high = GAP[1] + height * (BOX[1] + GAP[1])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{wide}" height="{high}" fill="#ffffff"/>',
        '<marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#555555"/></marker>',
    ]
    for package, others in direct.items():
        x, y = place[package]
        for other in sorted(others):
            ox, oy = place[other]
            lines.append(
                f'<line x1="{x + BOX[0] // 2}" y1="{y + BOX[1]}" x2="{ox + BOX[0] // 2}" '
                f'y2="{oy}" stroke="#555555" marker-end="url(#end)"/>'
            )
    for package, (x, y) in place.items():
        lines.append(
            f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="6" fill="#eef3f8" '
            'stroke="#3b5b7a"/>'
            f'<text x="{x + 8}" y="{y + 17}" font-weight="bold" font-size="13">{package}</text>'
        )
        for number, words in enumerate(textwrap.wrap(_sentence(package), 36)[:3]):
            lines.append(f'<text x="{x + 8}" y="{y + 32 + 13 * number}">{escape(words)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _sentence(package: str) -> str:
    """What belongs there, in the package's own words."""
    file = ROOT.joinpath(*package.split("."), "__init__.py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")
