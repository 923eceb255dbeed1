"""What figures show, compared by their data; pixels may differ from one matplotlib to the next."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from reports import figures
from reports.figures import style
from reports.figures.style import Picture
from reports.judging import comparison
from reports.read import shards
from tests.support import golden


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    with style.applied():
        return figures.draw(golden.loaded())


def test_a_full_run_has_every_picture(pictures: dict[str, Picture]) -> None:
    assert len(pictures) == len(figures.PICTURES)


@pytest.mark.parametrize("name", list(json.loads(golden.FIGURES.read_text())))
def test_the_golden_run_gives_the_same_figures(name: str, pictures: dict[str, Picture]) -> None:
    """`python -m tests.support.golden` writes them anew, where a change is wanted."""
    same(golden.data(pictures[name]), json.loads(golden.FIGURES.read_text())[name], name)


def same(found: Any, wanted: Any, where: str) -> None:
    """Equal, numbers to five digits."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key, value in wanted.items():
            same(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for number, value in enumerate(wanted):
            same(found[number], value, f"{where}[{number}]")
    elif isinstance(wanted, float):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-9, err_msg=where)
    else:
        assert found == wanted, where


def test_the_numbers_of_a_figure_are_those_of_the_run(pictures: dict[str, Picture]) -> None:
    loaded = golden.loaded()
    axes = pictures["curves"].panels[1].figure.axes[0]
    last = loaded.curves[(loaded.curves["epoch"] == 10) & (loaded.curves["lane"] == "torch")]
    expected = 100 * last[last["model"] == "single_layer"]["test_accuracy"].mean()
    lines = [np.asarray(line.get_xydata()) for line in axes.get_lines()]
    ends = [line[-1, 1] for line in lines if len(line) == 10]
    assert any(abs(end - expected) < 1e-9 for end in ends)
    forest = pictures["ratios"].panels[0].figure.axes[0]
    ratios = loaded.ratios[loaded.ratios["model"] == "single_layer"]["ratio"]
    drawn = [np.asarray(line.get_xydata()) for line in forest.get_lines()]
    points = [line[0, 0] for line in drawn if len(line) == 1]
    assert set(points) <= set(ratios)
    assert len(points) == 4  # three pairs and a twin


def test_every_panel_says_in_words_what_it_shows(pictures: dict[str, Picture]) -> None:
    for name, picture in pictures.items():
        for panel in picture.panels:
            assert re.search(r"\d", panel.alt), name


def test_svg_is_sound_follows_the_page_and_asks_for_nothing(pictures: dict[str, Picture]) -> None:
    ids: list[str] = []
    with style.applied():
        for name, picture in pictures.items():
            for number, panel in enumerate(picture.panels):
                text = style.svg(panel, f"{name}-{number}")
                root = ElementTree.fromstring(text)  # noqa: S314 - our own
                assert root.get("aria-label") == panel.alt
                own = [element.get("id") for element in root.iter() if element.get("id")]
                ids += [str(one) for one in own]
                for target in re.findall(r'(?:url\(|href=")#([\w-]+)', text):
                    assert target in own
                assert not re.search(r'href="(?!#|data:)', text)
                assert "mathdefault" not in text
                assert not any(colour in text for colour in style.VARIABLES)
    assert len(ids) == len(set(ids))


def test_nothing_is_drawn_of_nothing() -> None:
    with style.applied():
        assert figures.draw(comparison.compare(shards.Shards())) == {}


def test_drawing_leaves_the_style_of_others_alone(pictures: dict[str, Picture]) -> None:
    import matplotlib as mpl

    before = mpl.rcParams["font.size"], mpl.rcParams["svg.fonttype"]
    with style.applied():
        style.svg(pictures["seeds"].panels[0], "other")
    assert (mpl.rcParams["font.size"], mpl.rcParams["svg.fonttype"]) == before


def test_backends_that_are_not_known_have_a_look_of_their_own() -> None:
    assert style.look("openvino") == style.look("openvino")
    assert style.look("openvino")[0] not in {colour for colour, _ in style.BACKENDS.values()}
