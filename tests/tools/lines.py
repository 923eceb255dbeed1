"""`python -m tests.tools.lines`: lines of code by package, without comments and docstrings."""

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

from tests.tools.packages import ROOT

LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def count(file: Path) -> int:
    """Lines of a file that hold code."""
    text = file.read_text(encoding="utf-8")
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            prose |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


if __name__ == "__main__":
    lines: Counter[str] = Counter()
    for root in ("bench", "reports", "models"):
        for path in sorted((ROOT / root).rglob("*.py")):
            lines[".".join(path.parent.relative_to(ROOT).parts)] += count(path)
    for package, number in sorted(lines.items()):
        print(f"{number:6,} {package}")
    print(f"{lines.total():6,} in all")
