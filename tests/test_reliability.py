"""docs/reliability.md lists thirty cases with their tests: all of them are there."""

import ast
import re

from bench.planning.plan import ROOT

CASES = 30


def fault_tests() -> dict[str, set[int]]:
    """Numbers of the cases that a test is of, by its name."""
    found = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_fault_"):
                numbers = re.match(r"test_fault_((?:\d\d_)+)", node.name)
                assert numbers, node.name
                found[node.name] = {int(number) for number in numbers[1].split("_")[:-1]}
    return found


def test_every_case_has_a_test_and_every_such_test_stands_in_the_table() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*$", page, re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, CASES + 1))
    listed = {
        (int(line.split("|")[1]), name)
        for line in page.splitlines()
        if re.match(r"\| \d+ \|", line)
        for name in re.findall(r"`(test_fault_\w+)`", line)
    }
    assert listed == {(case, name) for name, cases in fault_tests().items() for case in cases}
    assert {case for case, _ in listed} == set(range(1, CASES + 1))
