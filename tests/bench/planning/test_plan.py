import argparse
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.contract.errors import UsageError
from bench.contract.units import Lane
from bench.planning import estimate, resolving
from bench.planning.options import NOT_GIVEN, command, refuse_decided
from bench.planning.plan import ROOT, Plan
from bench.planning.selection import Selection
from bench.session import stored_plan
from tests.support.stored_runs import kept


def resolve(
    environ: dict[str, str] | None = None,
    workers: tuple[str, ...] = (),
    **options: str,
) -> Plan:
    return resolving.resolve({**NOT_GIVEN, **options}, workers, environ or {})


def names(of: Plan) -> tuple[str, ...]:
    return tuple(lane.name for lane in of.lanes)


def test_the_default_is_the_reference_protocol_on_all_backends() -> None:
    default = resolve()
    assert (default.epochs, default.batch_size, default.seeds) == (10, 200, 1)
    assert default.models == ("single_layer", "two_layer")
    assert names(default) == ("tensorflow", "jax", "torch")
    assert (default.device, default.dataset, default.train_examples) == ("cpu", "auto", None)
    assert default.variants == ("stock", "tuned", "native")
    assert len(default.subjects) == 18
    assert {cell.variant for cell in default.cells} == {"stock"}
    assert len(default.cells) == 6


def test_a_native_twin_has_the_precision_that_it_is_written_in() -> None:
    full = resolve(suite="full")
    pinned = full.lane("jax")
    half = replace(pinned, name="jax+half", precision="mixed_bfloat16")
    plan_ = replace(full, lanes=(pinned, half))
    of_lanes = {
        name: {
            *(each.variant for each in plan_.subjects if each.lane == name),
            *(each.variant for each in plan_.cells if each.lane == name),
            *(each.workload.variant for each in plan_.series if each.lane.name == name),
        }
        for name in ("jax", "jax+half")
    }
    assert "native" in of_lanes["jax"]
    assert of_lanes["jax"] - of_lanes["jax+half"] == {"native"}


def test_variants_that_are_named_are_trained_and_timed_in_every_phase() -> None:
    default, named, full = resolve(), resolve(variants="stock,tuned"), resolve(suite="full")
    for plan_, trained in ((named, {"stock", "tuned"}), (full, {"stock", "tuned", "native"})):
        assert {cell.variant for cell in plan_.cells} == trained
        evaluated = {each.variant for each in plan_.workloads if each.phase == "evaluate"}
        assert evaluated == trained
    phases = {each.phase for each in default.workloads if each.variant != "stock"}
    assert phases == {"train"}


def test_a_twin_takes_part_in_the_main_workloads_alone() -> None:
    twins = [each.workload for each in resolve().series if each.lane.twin]
    assert [each.id for each in twins] == [
        "single_layer-stock-train-batch200",
        "two_layer-stock-train-batch200",
    ]


def test_options_override_the_suite() -> None:
    small = resolve(suite="smoke", epochs="3", seeds="2", models="two_layer", batch_size="64")
    assert (small.epochs, small.seeds, small.batch_size) == (3, 2, 64)
    assert {cell.model for cell in small.cells} == {"two_layer"}
    assert {cell.seed for cell in small.cells} == {0, 1}


def test_the_backends_of_a_model_stand_beside_each_other() -> None:
    cells = resolve(seeds="2").cells
    assert [cell.lane for cell in cells[:3]] == ["tensorflow", "jax", "torch"]
    assert len({(cell.model, cell.variant, cell.seed) for cell in cells[:3]}) == 1
    assert len(set(cells)) == len(cells) == 12


def test_variables_select_backends_and_device() -> None:
    chosen = resolve({"BENCH_BACKENDS": "torch,jax", "BENCH_DEVICE": "gpu"})
    assert names(chosen) == ("jax", "torch")
    assert {cell.device for cell in chosen.cells} == {"gpu"}
    assert chosen.lane("jax").python.endswith("worker-jax-gpu/bin/python")


def test_given_interpreters_select_backends_where_no_variable_does() -> None:
    assert resolve(workers=("jax=/py",)).lanes == (Lane("jax", "cpu", "/py"),)
    both = resolve({"BENCH_BACKENDS": "jax,torch"}, ("jax=/py",))
    assert names(both) == ("jax", "torch")


@pytest.mark.parametrize("option", ["epochs", "batch_size", "seeds", "worker_timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5", "", "1e3", "٣", "9" * 30])
def test_counts_must_be_whole_and_positive(option: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolving.resolve({**NOT_GIVEN, option: value}, (), {})
    assert option.replace("_", "-") in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "environ", "workers", "expected"),
    [
        ({"models": "three_layer"}, {}, (), "choose from single_layer, two_layer"),
        ({"suite": "huge"}, {}, (), "choose from smoke, default, full"),
        ({"dataset": "cifar"}, {}, (), "choose from auto, mnist, digits"),
        ({}, {"BENCH_BACKENDS": "jax,numpy"}, (), "choose from tensorflow, jax, torch"),
        ({}, {"BENCH_DEVICE": "tpu"}, (), "choose from cpu, gpu"),
        ({}, {}, ("mxnet=/py",), "choose from tensorflow, jax, torch"),
        ({}, {}, ("jax",), "--worker must be LANE=PYTHON"),
        ({}, {}, ("jax=",), "--worker must be LANE=PYTHON"),
        ({"mnist": "m.npz", "dataset": "digits"}, {}, (), "contradict"),
    ],
)
def test_bad_names_are_told_with_the_good_ones(
    options: dict[str, str], environ: dict[str, str], workers: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        resolve(environ, workers, **options)


@pytest.mark.parametrize("stop", [{}, {"budget": "10m"}, {"precision": "2.5%"}])
@pytest.mark.parametrize("suite", ["smoke", "default", "full"])
def test_a_stored_plan_resolves_to_itself(suite: str, stop: dict[str, str]) -> None:
    given: dict[str, str | None] = {
        "suite": suite,
        "seeds": "2",
        "epochs": "4",
        "dataset": "digits",
    }
    first = resolving.resolve(NOT_GIVEN | given | stop, (), {"BENCH_BACKENDS": "jax,torch"})
    stored = kept(first, first.everything, dataset="digits", epochs=4)
    options, environ, files, others = stored_plan.again(stored, {**NOT_GIVEN, "resume": "r"}, {})
    second = resolving.resolve(options, (), environ, files, others=others)
    assert second == first
    assert stored_plan.begun(stored, second) == first.everything


def test_a_stored_selection_comes_back() -> None:
    first = resolve()
    chosen = Selection(first.cells[:2], ())
    stored = kept(first, chosen)
    assert stored.speed is None
    assert stored_plan.begun(stored, first) == chosen


def test_training_is_swept_in_full_alone() -> None:
    sizes = [w.batch_size for w in resolve(suite="full").workloads if w.phase == "train"]
    assert sorted(set(sizes)) == [32, 64, 128, 200, 256, 512, 1024, 2048, 4096]
    assert {w.batch_size for w in resolve().workloads} == {1, 200}


def test_twins_are_lanes_of_the_last_backends() -> None:
    named = [lane.id for lane in resolve().timed]
    assert named == ["tensorflow", "jax", "torch", "torch-twin"]
    assert len(resolve(suite="smoke").timed) == 3
    assert len(resolve(suite="full").timed) == 6


@pytest.mark.parametrize("text", ["0", "0%", "-1", "three", "3%%", "100%"])
def test_a_precision_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match="--precision"):
        resolve(precision=text)


def test_a_resumed_run_takes_no_other_plan() -> None:
    with pytest.raises(UsageError, match="leave out --epochs"):
        refuse_decided({**NOT_GIVEN, "resume": "r", "epochs": "3"})


def test_the_estimate_grows_with_the_work() -> None:
    def seconds(p: Plan) -> float:
        return estimate.run_seconds(p, p.everything)

    assert seconds(resolve(suite="smoke")) < seconds(resolve(dataset="digits", epochs="20"))
    assert seconds(resolve(epochs="20")) > seconds(resolve()) > seconds(resolve(epochs="5"))


def test_trainings_are_expected_to_be_as_fast_as_was_measured() -> None:
    default = resolve(models="two_layer")
    speeds = {("two_layer", "stock", backend): 6000.0 for backend in names(default)}
    seconds = estimate.training_seconds(default, default.cells, 60_000, speeds)
    assert seconds == 3 * (estimate.CELL_START_SECONDS + 10 * 10)


def test_a_budget_is_spent_only_where_something_is_timed() -> None:
    full = resolve(suite="full")
    assert estimate.measuring_seconds(full, full.everything) == full.budget_seconds
    untimed = replace(full.everything, series=())
    assert estimate.measuring_seconds(full, untimed) == 0


def test_the_command_that_repeats_a_run_is_what_was_given_less_where_it_lies() -> None:
    given = {
        **dict.fromkeys(NOT_GIVEN),
        "suite": "smoke",
        "batch_size": "32",
        "results": "/x",
        "resume": "r",
        "keyword": "a b",
        "model": ["my model.py"],
        "against": ["jax==1 numpy==2", "x"],
        "worker": ["jax=/y"],
    }
    environ = {"BENCH_BACKENDS": "jax", "BENCH_DEVICE": "", "HOME": "/home"}
    told = command(given, environ)
    assert told.startswith("BENCH_BACKENDS=jax nox -s bench -- ")
    parser = argparse.ArgumentParser()
    for flag in ("--against", "--model"):
        parser.add_argument(flag, action="append")
    for flag in ("--suite", "--batch-size", "-k"):
        parser.add_argument(flag)
    again = vars(parser.parse_args(shlex.split(told)[5:]))
    kept = {name: given[name] for name in ("suite", "batch_size", "model", "against")}
    assert again == {**kept, "k": "a b"}
    assert command(dict.fromkeys(NOT_GIVEN), {}) == "nox -s bench"
    assert command({**given, "keyword": "not \udcff"}, {}) == ""
    assert command({**given, "model": ["a_model.py"] * 1000}, {}) == ""


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--suite", "smoke", "-k", "jax"], 0, "suite smoke"),
        (["--resume", "nothing"], 2, "error: --resume: no run 'nothing' in results"),
        (["--epoch", "3"], 2, "error: unknown option --epoch; did you mean --epochs?"),
        (["--mnist", "/nothing"], 5, "error: /nothing: no such file"),
        (["-k", "speed", "--budget", "10m"], 0, "at most 10 min"),
        (["--budget", "soon"], 2, "error: --budget must be a time like 90s, 10m or 1h"),
        (["--resume", "none", "--budget", "5m"], 2, "error: --resume: no run 'none' in results"),
        (["--epochs", "0"], 2, "error: --epochs must be an integer from 1 to 10,000"),
    ],
)
def test_the_plan_is_told_before_anything_is_built(
    arguments: list[str], code: int, text: str
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bench.planning.estimate", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == code
    assert text in told.stdout + told.stderr
    assert "Traceback" not in told.stderr
