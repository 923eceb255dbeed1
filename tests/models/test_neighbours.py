"""A user's file beside modules whose names this project uses itself."""

import importlib
import sys
from pathlib import Path

import models
from models.files import ModelFile

FILE = """
from models import WIDTH

def build():
    from reports.deeper import DEPTH
    import reports
    return WIDTH, DEPTH, reports.COUNT
"""


def written(folder: Path) -> str:
    """The source of a model file with neighbours named `models` and `reports`."""
    (folder / "reports").mkdir(parents=True)
    (folder / "model.py").write_text(FILE, encoding="utf-8")
    (folder / "models.py").write_text(f"WIDTH = {folder.name!r}\n", encoding="utf-8")
    (folder / "reports" / "deeper.py").write_text("DEPTH = 2\n", encoding="utf-8")
    counting = "COUNT = []\n"
    (folder / "reports" / "__init__.py").write_text(counting, encoding="utf-8")
    return ModelFile.read(str(folder / "model.py")).source


def test_it_gets_its_own_and_the_harness_keeps_its(tmp_path: Path) -> None:
    path, ours = list(sys.path), importlib.import_module("reports.judging")
    width, depth, count = models.build(written(tmp_path / "one"))
    assert (width, depth) == ("one", 2)
    assert models.build(f"{tmp_path / 'one' / 'model.py'}:build")[2] is count  # imported once
    assert models.build(written(tmp_path / "other"))[0] == "other"
    assert sys.modules["models"] is models
    assert sys.modules["reports.judging"] is ours
    assert "reports.deeper" not in sys.modules
    assert sys.path == path


def test_a_file_finds_what_it_reads_beside_it(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one two", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(
        "def build():\n    from pathlib import Path\n    return Path('words.txt').read_text()\n",
        encoding="utf-8",
    )
    begun = Path.cwd()
    assert models.build(ModelFile.read(str(file)).source) == "one two"
    assert Path.cwd() == begun
    sys.path.remove(str(tmp_path))


def test_other_neighbours_stay_where_imports_find_them(tmp_path: Path) -> None:
    """A layer may import one when the model runs."""
    (tmp_path / "helper_of_mine.py").write_text("WIDTH = 6\n", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text("def build():\n    import helper_of_mine\n    return helper_of_mine.WIDTH\n")
    assert models.build(ModelFile.read(str(file)).source) == 6
    sys.path.remove(str(tmp_path))
