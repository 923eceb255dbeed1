"""Lanes beside the backends as pinned, from `--against` and from a file."""

from pathlib import Path

import pytest

from bench.contract.errors import UsageError
from bench.planning import environments, lanes, resolving
from bench.planning.lanes import Setup
from bench.planning.options import NOT_GIVEN
from bench.session import stored_plan
from tests.support.stored_runs import kept

ALL = ("tensorflow", "jax", "torch")


def named(*against: str, python: str | None = None) -> dict[str, tuple[str, ...]]:
    return {one.name: one.requirements for one in lanes.setups(against, None, python, ALL)}


def test_a_framework_is_another_lane_of_its_backend_alone() -> None:
    assert named("jax==0.10.2") == {"jax@0.10.2": ("jax==0.10.2",)}
    assert named("jaxlib==0.10.2") == {"jax@jaxlib-0.10.2": ("jaxlib==0.10.2",)}
    both = "jax==0.10.2 jaxlib==0.10.2"
    assert named(both) == {"jax@0.10.2": ("jax==0.10.2", "jaxlib==0.10.2")}


def test_what_all_have_is_another_lane_of_each() -> None:
    assert list(named("keras==3.14.1")) == [f"{one}@keras-3.14.1" for one in ALL]
    assert list(named("torch==2.12.0", "numpy<2")) == [
        *("torch@2.12.0", "tensorflow@numpy-2", "jax@numpy-2", "torch@numpy-2")
    ]


def test_files_and_folders_go_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "next.txt").write_text("jax==0.12.0.1  # the next\n\n", encoding="utf-8")
    (tmp_path / "my keras").mkdir()
    assert named(str(tmp_path / "next.txt")) == {"jax@next": ("jax==0.12.0.1",)}
    assert set(named(str(tmp_path / "my keras"))) == {f"{one}@my-keras" for one in ALL}
    url = f"keras @ file://{tmp_path}"
    assert named(url) == {f"{one}@keras": (url,) for one in ALL}


def test_environments_are_those_of_what_is_laid_over() -> None:
    pinned = Setup("jax@flags", environment=(("XLA_FLAGS", "x"),))
    assert pinned.folder("cpu") == "worker-jax-cpu"
    one, other = Setup("jax@a", ("jax==1",)), Setup("jax@b", ("jax==2",))
    assert len({one.folder("cpu"), other.folder("cpu"), pinned.folder("cpu")}) == 3
    assert Setup("jax@a", ("jax==1",), "3.12").folder("cpu") != one.folder("cpu")


FILE = """
["jax@flags"]
environment = { XLA_FLAGS = "--xla_cpu_experimental_ynn_fusion_type=" }

["torch+bfloat16"]
precision = "mixed_bfloat16"
"""


def test_a_file_names_lanes_in_full(tmp_path: Path) -> None:
    path = tmp_path / "lanes.toml"
    path.write_text(FILE, encoding="utf-8")
    flags, half = lanes.setups((), str(path), None, ALL)
    assert flags.environment == (("XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type="),)
    assert (half.name, half.precision) == ("torch+bfloat16", "mixed_bfloat16")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[jax]\nprecision = 'mixed_bfloat16'", "a lane is called like"),
        ("['cupy@1']\nrequirements = ['cupy']", "a lane is called like"),
        ("['jax@1']\nversion = '1'", "version is not one of requirements"),
        ("'jax@1' = 3", "a lane is a table"),
        ("", "no lane in it"),
        ("['jax@1']\nrequirements = 'jax'", "a list of texts"),
        ("['jax@1']\nrequirements = ['-r x']", "'-r x' is no requirement"),
        ("['jax@1']\nenvironment = 'A=1'", "a table of variables"),
        ("['jax@1']\nenvironment = {KERAS_FLOATX = 'float16'}", "KERAS_FLOATX: .* precision"),
        ("['jax@1']\nenvironment = {'A=B' = '1'}", "A=B: not the name"),
        ("['jax@1']\nenvironment = {A = true}", "A: a variable is a text"),
        ("['jax@1']\nenvironment = {A = \"x\\u0000\"}", "A: a variable is a text"),
        ("['jax@1']\npython = 3.12", 'like "3.12"'),
        ("['jax@1']\nprecision = 'float8'", "precision may be .* or mixed_float16 or"),
        ("['jax@1']", "nothing is otherwise than pinned"),
        ("['jax@1'", "lanes.toml"),
    ],
)
def test_a_file_that_cannot_be_obeyed(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "lanes.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        lanes.setups((), str(tmp_path / "lanes.toml"), None, ALL)


@pytest.mark.parametrize(
    ("against", "python", "backends", "words"),
    [
        (["jax==1", "jax==1"], None, ALL, "two lanes are called jax@1"),
        (["jax==1"], None, ("torch",), "none of the selected backends"),
        ([" "], None, ALL, "wants a requirement"),
        (["jax=1"], None, ALL, "'jax=1' is no requirement like jax==0.10.2"),
        (["--index-url=x"], None, ALL, "is no requirement"),
        (["/no/such"], None, ALL, "no such file or folder"),
        ([__file__ + "c"], None, ALL, "no such file or folder"),
        ([], "3.12", ALL, "--python is for the lanes of --against"),
    ],
)
def test_requirements_that_cannot_be_obeyed(
    against: list[str], python: str | None, backends: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        lanes.setups(against, None, python, backends)


def test_lanes_of_a_backend_stand_beside_it_and_come_back_with_a_resumed_run() -> None:
    against = ["jax==0.10.2", "keras==3.14.1"]
    environ = {"BENCH_BACKENDS": "jax,torch"}
    first = resolving.resolve(NOT_GIVEN, (), environ, against=against)
    assert [lane.name for lane in first.lanes] == [
        *("jax", "jax@0.10.2", "jax@keras-3.14.1", "torch", "torch@keras-3.14.1")
    ]
    assert {cell.lane for cell in first.cells} == {lane.name for lane in first.lanes}
    # Trust shall stand on no lane that was added.
    assert [lane.name for lane in first.timed if lane.twin] == ["torch"]
    stored = kept(first, first.everything, dataset="digits", epochs=first.epochs)
    given = {**NOT_GIVEN, "resume": "r"}
    options, variables, files, others = stored_plan.again(stored, given, {})
    second = resolving.resolve(options, (), variables, files, others=others)
    assert second.lanes == first.lanes
    with pytest.raises(UsageError, match="leave out --against"):
        stored_plan.again(stored, given, {}, (), against)


def test_options_are_understood_before_pytest_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_BACKENDS", "jax")
    device, (lane,) = lanes.asked(["--against", "jax==0.10.2", "--suite", "smoke"])
    assert (device, lane.name, lane.requirements) == ("cpu", "jax@0.10.2", ("jax==0.10.2",))
    with pytest.raises(UsageError, match="--against torch==1: none of the selected"):
        lanes.asked(["--against", "torch==1"])


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe", "no requirements file"), (b"# nothing\n", "has no requirement in it")],
)
def test_a_file_of_no_requirements_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "next.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        lanes.setups([str(path)], None, None, ALL)


def test_what_is_pinned_of_the_same_family_is_let_go() -> None:
    pins = "jax==1\njaxlib==1\nnumpy==2\n# jaxtyping\nkeras==3\n"
    assert environments._with_family(["jax==2"], pins) == ["jax==2", "jaxlib"]
    assert environments._with_family(["jax==2", "jaxlib==2"], pins) == ["jax==2", "jaxlib==2"]
    assert environments._with_family(["keras==4"], pins) == ["keras==4"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "The conflict is caused by:\n    The user requested jaxlib==2\n    jax 1 depends on "
            "jaxlib==1\n\nERROR: ResolutionImpossible: for help visit x",
            "these do not go together: The user requested jaxlib==2; jax 1 depends on jaxlib==1",
        ),
        (
            "  Traceback\n    RuntimeError: boom\n  [end of output]\nERROR: Failed to build x",
            "Failed to build x; RuntimeError: boom",
        ),
        ("RuntimeError: failed to find interpreter for 3.99", "there is no Python 3.99 on PATH"),
        ("", "it failed without a word"),
    ],
)
def test_why_an_environment_cannot_be_built_is_found_in_what_pip_says(said: str, why: str) -> None:
    assert environments._why(said.splitlines(), "3.99").startswith(why)
