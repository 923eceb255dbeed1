"""P7, the outcome: the errors of whole trainings over paired seeds, and who disagrees with whom.

Seeds are paired: two backends had the same initial weights and the same batches. One run's error
has an interval of 0.2 points, so single numbers say nothing; that p is above 0.05 says nothing
either. Equivalence is proven by two one-sided tests, or it is not proven.
"""

import hashlib
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from reports.read.shards import AccuracyShard, Shards
from reports.statistics.intervals import holm
from reports.statistics.paired import Paired
from reports.tables import columns, published

MARGIN_POINTS = 0.20
"""Mean errors that are closer than this count as equal."""

CONFIDENCE = 0.95
MIN_SEEDS = 3
"""Fewer are draws, of which no interval is given."""

GROUP = ["model", "variant", "device"]

Row = dict[str, Any]
Trainings = dict[tuple[str, str, str, str], dict[int, AccuracyShard]]
"""By model, variant, device and backend, then by seed; only those that went well."""


def errors_table(shards: Shards, reference_protocol: bool) -> pd.DataFrame:
    """One row per model and backend of at least `MIN_SEEDS` seeds.

    Args:
        shards: What was read, comparable by `reports.tables.comparable.check`.
        reference_protocol: Whether published errors may stand beside them.

    Returns:
        The columns of `errors`, in percent of the test set. `predicted_low` to `predicted_high`
        holds the error of one more training in 95 % of cases (normal over seeds).
        `seed_disagreement_percent` is how many answers differ between two seeds, on average.
    """
    rows = []
    for key, by_seed in _trainings(shards).items():
        errors = np.array([error_percent(shard) for shard in by_seed.values()])
        if len(errors) < MIN_SEEDS:
            continue
        mean, sd, n = errors.mean(), errors.std(ddof=1), len(errors)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * sd * np.sqrt(1 + 1 / n)
        known = published.ERROR_PERCENT.get(key[0]) if reference_protocol else None
        pairs = itertools.combinations(by_seed.values(), 2)
        rows.append(
            {
                **dict(zip([*GROUP, "lane"], key, strict=True)),
                "seeds": n,
                "mean": mean,
                "sd": sd,
                "predicted_low": mean - half,
                "predicted_high": mean + half,
                "published": np.nan if known is None else known,
                "published_inside": pd.NA if known is None else abs(known - mean) <= half,
                "seed_disagreement_percent": np.mean(
                    [disagreement_percent(*pair) for pair in pairs]
                ),
            }
        )
    return columns.frame("errors", rows)


def pairs_table(shards: Shards) -> pd.DataFrame:
    """One row per model and pair of backends that share at least `MIN_SEEDS` seeds.

    Returns:
        The columns of `agreement`. `difference` is the mean error of `backend` less that of
        `baseline`, in points, `low` to `high` its 90 % interval; they are `equivalent` if that lies
        within `MARGIN_POINTS` (two one-sided tests at 5 %, whose larger p is `equivalence_p`).
        McNemar's exact test asks for each seed whether the two err on different images unequally
        often; its p-values are Holm-adjusted over all seeds and pairs of a model. It knows two
        trainings only, not how much trainings vary: `mcnemar_between_seeds` is how many of as many
        pairs of different seeds it tells apart, those of `backend` alone, adjusted alike.
        `disagreement_percent` is how many answers differ at the same seed, on average.
    """
    rows: list[Row] = []
    p_values: dict[str, list[list[float]]] = {"same": [], "next": []}
    for (one, first), (other, second) in itertools.combinations(_trainings(shards).items(), 2):
        seeds = sorted(first.keys() & second.keys())
        if one[:3] != other[:3] or len(seeds) < MIN_SEEDS:
            continue
        differences = np.array(
            [error_percent(first[seed]) - error_percent(second[seed]) for seed in seeds]
        )
        paired = Paired(differences, _one_image(first.values()))
        low, high = paired.interval(2 * CONFIDENCE - 1)
        p_value = paired.equivalence_p(MARGIN_POINTS)
        p_values["same"].append([_mcnemar(first[seed], second[seed]) for seed in seeds])
        turned = zip(seeds, [*seeds[1:], seeds[0]], strict=True)
        p_values["next"].append([_mcnemar(first[seed], first[then]) for seed, then in turned])
        rows.append(
            {
                **dict(zip(GROUP, one[:3], strict=True)),
                "lane": one[3],
                "baseline": other[3],
                "seeds": len(seeds),
                "difference": differences.mean(),
                "low": low,
                "high": high,
                "equivalence_p": p_value,
                "equivalent": bool(p_value < 1 - CONFIDENCE),
                "disagreement_percent": np.mean(
                    [disagreement_percent(first[seed], second[seed]) for seed in seeds]
                ),
            }
        )
    groups = [tuple(row[name] for name in GROUP) for row in rows]
    same, following = (_adjusted(groups, each) for each in p_values.values())
    for number, row in enumerate(rows):
        row |= {
            "mcnemar_smallest_p": same[number].min(),
            "mcnemar_rejections": (same[number] < 1 - CONFIDENCE).sum(),
            "mcnemar_between_seeds": (following[number] < 1 - CONFIDENCE).sum(),
        }
    return columns.frame("agreement", rows)


def models_table(shards: Shards) -> pd.DataFrame:
    """One row per backend and pair of models, and one for the mean over backends.

    The reference experiment concludes that its two-layer model errs less: here that is a paired
    t-test over seeds.

    Returns:
        The columns of `conclusions`. `difference` is the error of `model` less that of `baseline`,
        in points, `low` to `high` its 95 % interval. `verdict` is `better`, `worse` or
        `unresolved`; `backend` is `all` for the mean over those that trained both models with the
        same seeds.
    """
    rows = []
    by_models: dict[tuple[str, str, str, str], dict[str, Mapping[int, float]]] = {}
    for (one, first), (other, second) in itertools.combinations(_trainings(shards).items(), 2):
        if one[0] == other[0] or one[1:] != other[1:]:
            continue
        differences = {
            seed: error_percent(second[seed]) - error_percent(first[seed])
            for seed in sorted(first.keys() & second.keys())
        }
        by_models.setdefault((one[1], one[2], other[0], one[0]), {})[one[3]] = differences
    one_image = _one_image(shards.accuracy) if by_models else np.nan
    for (variant, device, model, baseline), by_backend in by_models.items():
        seeds = set.intersection(*(set(each) for each in by_backend.values()))
        mean = {
            seed: float(np.mean([each[seed] for each in by_backend.values()])) for seed in seeds
        }
        together = [("all", mean)] if len(by_backend) > 1 else []
        for backend, by_seed in [*by_backend.items(), *together]:
            if len(by_seed) < MIN_SEEDS:
                continue
            paired = Paired(np.array(list(by_seed.values())), one_image)
            low, high = paired.interval(CONFIDENCE)
            rows.append(
                {
                    "variant": variant,
                    "device": device,
                    "lane": backend,
                    "model": model,
                    "baseline": baseline,
                    "seeds": len(by_seed),
                    "difference": paired.differences.mean(),
                    "low": low,
                    "high": high,
                    "p": paired.p_value(),
                    "verdict": "better" if high < 0 else "worse" if low > 0 else "unresolved",
                }
            )
    return columns.frame("conclusions", rows)


def _one_image(trainings: Iterable[AccuracyShard]) -> float:
    """What one example of the test set is, in points of error."""
    return max(100 / shard.payload.protocol.test_examples for shard in trainings)


def _trainings(shards: Shards) -> Trainings:
    found: Trainings = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        if shard.probabilities is not None and np.isfinite(shard.probabilities).all():
            key = cell.model, cell.variant, cell.device, cell.lane
            found.setdefault(key, {})[cell.seed] = shard
    return dict(sorted(found.items(), key=itemgetter(0)))


def _adjusted(
    groups: Sequence[Hashable], p_values: Sequence[Sequence[float]]
) -> list[NDArray[np.float64]]:
    """Each row's p-values, Holm-adjusted over all rows of its group."""
    found = [np.empty(0)] * len(groups)
    for group in set(groups):
        own = [number for number, other in enumerate(groups) if other == group]
        together = holm(np.concatenate([p_values[n] for n in own]))
        ends = np.cumsum([len(p_values[number]) for number in own])
        for number, part in zip(own, np.split(together, ends[:-1]), strict=True):
            found[number] = part
    return found


def _mcnemar(one: AccuracyShard, other: AccuracyShard) -> float:
    """Exact two-sided p-value of "they err equally often", from the images on which one errs."""
    first, second = _right(one), _right(other)
    counts = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), 0]]
    return float(mcnemar(counts, exact=True).pvalue)


def _right(shard: AccuracyShard) -> NDArray[np.bool_]:
    return np.asarray(_answers(shard) == shard.labels)


def _answers(shard: AccuracyShard) -> NDArray[np.int64]:
    assert shard.probabilities is not None  # noqa: S101 - `_trainings` lets no others through
    return np.asarray(shard.probabilities.argmax(axis=1))


def error_percent(shard: AccuracyShard) -> float:
    """Percent of the test set."""
    return float(100 * (~_right(shard)).mean())


def answers_sha256(shard: AccuracyShard) -> str:
    """Hash of the classes that a training answers with: equal where every answer is the same."""
    return hashlib.sha256(_answers(shard).astype("<i8").tobytes()).hexdigest()


def disagreement_percent(one: AccuracyShard, other: AccuracyShard) -> float:
    """Percent of the test set that two trainings answer differently."""
    return float(100 * (_answers(one) != _answers(other)).mean())
