"""P7, the outcome: the errors of whole trainings over paired seeds, and who disagrees with whom.

Seeds are paired: two backends had the same initial weights and the same batches. One run's error
has an interval of 0.2 points, so single numbers say nothing; that p is above 0.05 says nothing
either. Equivalence is proven by two one-sided tests, or it is not proven.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from reports import published
from reports.shards import AccuracyShard, Shards

MARGIN_POINTS = 0.20
"""Mean errors that are closer than this count as equal."""

CONFIDENCE = 0.95
MIN_SEEDS = 2

GROUP = ["model", "variant", "device"]
ERROR_COLUMNS = {
    **dict.fromkeys([*GROUP, "backend"], "str"),
    "seeds": "Int64",
    "mean": "float64",
    "sd": "float64",
    "predicted_low": "float64",
    "predicted_high": "float64",
    "published": "float64",
    "published_inside": "boolean",
    "seed_disagreement_percent": "float64",
}
PAIR_COLUMNS = {
    **dict.fromkeys([*GROUP, "backend", "baseline"], "str"),
    "seeds": "Int64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "equivalence_p": "float64",
    "equivalent": "boolean",
    "mcnemar_smallest_p": "float64",
    "mcnemar_rejections": "Int64",
    "disagreement_percent": "float64",
}
MODEL_COLUMNS = {
    **dict.fromkeys(["variant", "device", "backend", "model", "baseline"], "str"),
    "seeds": "Int64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "p": "float64",
    "verdict": "str",
}

Differences = NDArray[np.float64]
Trainings = dict[tuple[str, str, str, str], dict[int, AccuracyShard]]
"""By model, variant, device and backend, then by seed; only those that went well."""


def errors_table(shards: Shards, reference_protocol: bool) -> pd.DataFrame:
    """One row per model and backend of at least `MIN_SEEDS` seeds.

    Args:
        shards: What was read, comparable by `reports.comparable.check`.
        reference_protocol: Whether published errors may stand beside them.

    Returns:
        `ERROR_COLUMNS`, errors in percent of the test set. `predicted_low` to `predicted_high`
        holds the error of one more training in 95 % of cases (normal over seeds).
        `seed_disagreement_percent` is how many answers differ between two seeds, on average.
    """
    rows = []
    for (model, variant, device, backend), by_seed in _trainings(shards).items():
        errors = np.array([_error(shard) for shard in by_seed.values()])
        if len(errors) < MIN_SEEDS:
            continue
        mean, sd, n = errors.mean(), errors.std(ddof=1), len(errors)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * sd * np.sqrt(1 + 1 / n)
        known = published.ERROR_PERCENT.get(model) if reference_protocol else None
        pairs = itertools.combinations(by_seed.values(), 2)
        rows.append(
            {
                "model": model,
                "variant": variant,
                "device": device,
                "backend": backend,
                "seeds": n,
                "mean": mean,
                "sd": sd,
                "predicted_low": mean - half,
                "predicted_high": mean + half,
                "published": np.nan if known is None else known,
                "published_inside": pd.NA if known is None else abs(known - mean) <= half,
                "seed_disagreement_percent": np.mean([_disagreement(*pair) for pair in pairs]),
            }
        )
    return pd.DataFrame(rows, columns=list(ERROR_COLUMNS)).astype(ERROR_COLUMNS)


def pairs_table(shards: Shards) -> pd.DataFrame:
    """One row per model and pair of backends that share at least `MIN_SEEDS` seeds.

    Returns:
        `PAIR_COLUMNS`. `difference` is the mean error of `backend` less that of `baseline`, in
        points, `low` to `high` its 90 % interval; they are `equivalent` if that lies within
        `MARGIN_POINTS` (two one-sided tests at 5 %, whose larger p is `equivalence_p`). McNemar's
        exact test asks for each seed whether the two err on different images unequally often; its
        p-values are Holm-adjusted over all seeds and pairs of a model. `disagreement_percent` is
        how many answers differ at the same seed, on average.
    """
    rows, p_values = [], []
    for (one, first), (other, second) in itertools.combinations(_trainings(shards).items(), 2):
        seeds = sorted(first.keys() & second.keys())
        if one[:3] != other[:3] or len(seeds) < MIN_SEEDS:
            continue
        differences = np.array([_error(first[seed]) - _error(second[seed]) for seed in seeds])
        low, high = _interval(differences, 2 * CONFIDENCE - 1)
        p_value = max(
            _p_value(differences, -MARGIN_POINTS, "greater"),
            _p_value(differences, MARGIN_POINTS, "less"),
        )
        p_values.append([_mcnemar(first[seed], second[seed]) for seed in seeds])
        rows.append(
            {
                **dict(zip(GROUP, one[:3], strict=True)),
                "backend": one[3],
                "baseline": other[3],
                "seeds": len(seeds),
                "difference": differences.mean(),
                "low": low,
                "high": high,
                "equivalence_p": p_value,
                "equivalent": bool(p_value < 1 - CONFIDENCE),
                "disagreement_percent": np.mean(
                    [_disagreement(first[seed], second[seed]) for seed in seeds]
                ),
            }
        )
    _adjust(rows, p_values)
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS)).astype(PAIR_COLUMNS)


def models_table(shards: Shards) -> pd.DataFrame:
    """One row per backend and pair of models, and one for the mean over backends.

    The reference experiment concludes that its two-layer model errs less: here that is a paired
    t-test over seeds.

    Returns:
        `MODEL_COLUMNS`. `difference` is the error of `model` less that of `baseline`, in points,
        `low` to `high` its 95 % interval. `verdict` is `better`, `worse` or `unresolved`; `backend`
        is `all` for the mean over those that trained both models with the same seeds.
    """
    rows = []
    by_models: dict[tuple[str, str, str, str], dict[str, Mapping[int, float]]] = {}
    for (one, first), (other, second) in itertools.combinations(_trainings(shards).items(), 2):
        if one[0] == other[0] or one[1:] != other[1:]:
            continue
        differences = {
            seed: _error(second[seed]) - _error(first[seed])
            for seed in sorted(first.keys() & second.keys())
        }
        by_models.setdefault((one[1], one[2], other[0], one[0]), {})[one[3]] = differences
    for (variant, device, model, baseline), by_backend in by_models.items():
        seeds = set.intersection(*(set(each) for each in by_backend.values()))
        mean = {
            seed: float(np.mean([each[seed] for each in by_backend.values()])) for seed in seeds
        }
        for backend, by_seed in [*by_backend.items(), ("all", mean)]:
            if len(by_seed) < MIN_SEEDS:
                continue
            values = np.array(list(by_seed.values()))
            low, high = _interval(values, CONFIDENCE)
            rows.append(
                {
                    "variant": variant,
                    "device": device,
                    "backend": backend,
                    "model": model,
                    "baseline": baseline,
                    "seeds": len(by_seed),
                    "difference": values.mean(),
                    "low": low,
                    "high": high,
                    "p": _p_value(values, 0),
                    "verdict": "better" if high < 0 else "worse" if low > 0 else "unresolved",
                }
            )
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS)).astype(MODEL_COLUMNS)


def _trainings(shards: Shards) -> Trainings:
    found: Trainings = {}
    for shard in shards.accuracy:
        cell = shard.payload.cell
        if shard.probabilities is not None and np.isfinite(shard.probabilities).all():
            key = cell.model, cell.variant, cell.device, cell.backend
            found.setdefault(key, {})[cell.seed] = shard
    return found


def _adjust(rows: list[dict[str, object]], p_values: list[list[float]]) -> None:
    """Adjust the p-values of McNemar's tests over all seeds and pairs of each model."""
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [number for number, row in enumerate(rows) if row["model"] == model]
        flat = [p_value for number in own for p_value in p_values[number]]
        adjusted = iter(multipletests(flat, method="holm")[1])
        for number in own:
            of_row = [next(adjusted) for _ in p_values[number]]
            rows[number] |= {
                "mcnemar_smallest_p": min(of_row),
                "mcnemar_rejections": sum(p_value < 1 - CONFIDENCE for p_value in of_row),
            }


def _interval(differences: Differences, confidence: float) -> tuple[float, float]:
    """t-interval of the mean; where all differences are one, that one."""
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(confidence)
    return float(low), float(high)


def _p_value(differences: Differences, mean: float, alternative: str = "two-sided") -> float:
    """Of the t-test against `mean`; where all differences are one, what that one says."""
    if np.ptp(differences) == 0:
        beyond = {
            "two-sided": differences[0] != mean,
            "greater": differences[0] > mean,
            "less": differences[0] < mean,
        }
        return 0.0 if beyond[alternative] else 1.0
    return float(stats.ttest_1samp(differences, mean, alternative=alternative).pvalue)


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


def _error(shard: AccuracyShard) -> float:
    """Percent of the test set."""
    return float(100 * (~_right(shard)).mean())


def _disagreement(one: AccuracyShard, other: AccuracyShard) -> float:
    """Percent of the test set that two trainings answer differently."""
    return float(100 * (_answers(one) != _answers(other)).mean())
