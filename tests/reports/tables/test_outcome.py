"""P7 on trainings whose truth is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.read import shards
from reports.statistics.paired import Paired
from reports.tables import seeds
from tests.support.stored_runs import LABELS, accuracy_payload, store_run

SEEDS = range(10)


def read(folder: Path, errors: Any, models: tuple[str, ...] = ("single_layer",)) -> shards.Shards:
    """Trainings of which `errors(cell)` of 200 answers are wrong."""
    payloads = [
        accuracy_payload(backend, model, seed)
        for seed in SEEDS
        for model in models
        for backend in ("jax", "torch")
    ]
    run_folder = store_run(folder, payloads, wrong=errors)
    found = shards.read([run_folder.path])
    assert found.problems == []
    return found


def test_errors_over_seeds(tmp_path: Path) -> None:
    found = read(tmp_path, lambda cell: 4 + cell["seed"] % 2)
    (pair,) = seeds.pairs_table(found).to_dict("records")
    assert (pair["lane"], pair["baseline"], pair["seeds"]) == ("jax", "torch", 10)
    assert pair["difference"] == 0
    assert not pair["equivalent"]  # one of 200 images is 0.5 points: nothing finer can be proven
    assert pair["mcnemar_rejections"] == pair["mcnemar_between_seeds"] == 0
    assert pair["disagreement_percent"] == 0
    errors = seeds.errors_table(found, reference_protocol=True)
    assert errors["mean"].to_list() == pytest.approx([2.25, 2.25])
    sd = np.std([2.0, 2.5] * 5, ddof=1)
    half = 2.262157 * sd * np.sqrt(1.1)
    assert errors["predicted_high"].to_list() == pytest.approx([2.25 + half] * 2)
    # Half of the pairs of seeds differ in one of 200 answers.
    assert errors["seed_disagreement_percent"].to_list() == pytest.approx([0.5 * 25 / 45] * 2)
    assert errors["published"].to_list() == [1.40, 1.40]
    assert errors["published_inside"].tolist() == [abs(1.40 - 2.25) < half] * 2


def test_one_error_more_of_200_is_not_equivalent(tmp_path: Path) -> None:
    found = read(tmp_path, lambda cell: 4 + (cell["lane"] == "torch"))
    (pair,) = seeds.pairs_table(found).to_dict("records")
    assert pair["difference"] == pytest.approx(-0.5)
    assert not pair["equivalent"]


def test_mcnemar_tells_one_that_errs_much_more(tmp_path: Path) -> None:
    found = read(tmp_path, lambda cell: 4 if cell["lane"] == "jax" else 40)
    (pair,) = seeds.pairs_table(found).to_dict("records")
    assert pair["mcnemar_rejections"] == len(SEEDS)
    assert pair["mcnemar_smallest_p"] < 1e-6
    assert pair["disagreement_percent"] == pytest.approx(100 * 36 / len(LABELS))


def test_which_model_errs_less_is_tested_over_paired_seeds(tmp_path: Path) -> None:
    def errors(cell: dict[str, Any]) -> int:
        better = bool(cell["model"] == "two_layer")
        return 10 + int(cell["seed"]) % 3 - 2 * better - (better and cell["seed"] == 4)

    found = read(tmp_path, errors, ("single_layer", "two_layer"))
    table = seeds.models_table(found)
    assert table["lane"].to_list() == ["jax", "torch", "all"]
    assert set(table["verdict"]) == {"better"}
    assert set(table["model"]) == {"two_layer"}
    assert table["difference"].to_list() == pytest.approx([-1.05] * 3)


def test_one_seed_is_one_draw(tmp_path: Path) -> None:
    payloads = [accuracy_payload(backend) for backend in ("jax", "torch")]
    found = shards.read([store_run(tmp_path, payloads).path])
    assert seeds.pairs_table(found).empty
    assert seeds.errors_table(found, reference_protocol=True).empty
    assert seeds.models_table(found).empty


def test_differences_that_happen_to_be_alike_prove_no_more_than_an_image_can() -> None:
    alike = Paired(np.full(3, 0.03), one_image=0.01)
    low, high = alike.interval(0.90)
    assert (low, high) == pytest.approx((0.03 - 0.016858, 0.03 + 0.016858), abs=1e-5)
    assert Paired(np.zeros(10), one_image=0.01).equivalence_p(0.2) < 1e-6
    assert Paired(np.zeros(10), one_image=0.5).equivalence_p(0.2) > 0.05


def test_the_paired_test_is_the_t_test_where_differences_vary() -> None:
    differences = np.array([0.1, -0.05, 0.2, 0.02, 0.11])
    expected = stats.ttest_1samp(differences, 0)
    paired = Paired(differences, one_image=0.01)
    assert paired.p_value() == pytest.approx(expected.pvalue)
    assert paired.interval(0.95) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    sides = [
        stats.ttest_1samp(differences, side * 0.2, alternative=way).pvalue
        for side, way in ((-1, "greater"), (1, "less"))
    ]
    assert paired.equivalence_p(0.2) == pytest.approx(max(sides))


def test_equivalence_is_proven_at_its_size_and_no_oftener() -> None:
    """At a difference of the margin itself 5 % of cases; at none, with 10 seeds, nearly all."""
    generator = np.random.default_rng(0)
    proven = {0.0: 0, seeds.MARGIN_POINTS: 0}
    for truth in proven:
        for _ in range(1000):
            differences = generator.normal(truth, 0.14, 10)
            p_value = Paired(differences, one_image=0.01).equivalence_p(seeds.MARGIN_POINTS)
            proven[truth] += p_value < 0.05
    assert 30 <= proven[seeds.MARGIN_POINTS] <= 70
    assert proven[0.0] >= 950
