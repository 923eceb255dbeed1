"""What environments are made of."""

from pathlib import Path

from bench.planning import pins


def test_files_that_others_include_count_and_may_include_each_other(tmp_path: Path) -> None:
    (tmp_path / "of" / "all").mkdir(parents=True)
    mine = tmp_path / "mine.txt"
    mine.write_text("einops\n-r of/base.txt\n--requirement=of/absent.txt\n-c https://x.org/c\n")
    (tmp_path / "of" / "base.txt").write_text("  -c all/pins.txt\n-r ../mine.txt\nrich # -r no\n")
    deepest = tmp_path / "of" / "all" / "pins.txt"
    deepest.write_text("rich==1\n")
    before = pins.wanted(pins.requirements(mine))
    assert "einops" in pins.requirements(mine)
    deepest.write_text("rich==2\n")
    assert pins.wanted(pins.requirements(mine)) != before


def test_any_other_part_is_another_environment() -> None:
    assert pins.wanted(["jax"], "", "a") == pins.wanted(["jax"], "", "a")
    assert len({pins.wanted(["jax"], "", "a"), pins.wanted(["jax"], "a", "")}) == 2
