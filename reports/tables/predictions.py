"""What trained models answer: who takes which class for which, and where backends disagree."""

import numpy as np
import pandas as pd

from reports.read.shards import AccuracyShard, Shards
from reports.tables import columns
from reports.tables.cells import KEYS

MOST_CLASSES = 100
"""Of which a table has a row for each pair."""
MOST_IMAGES = 100_000
"""That a table shows of one model."""


def confusion(shards: Shards) -> pd.DataFrame:
    """How often each class was answered for each label.

    Returns:
        A row for each pair of classes of each model and backend; `count` is
        over the test set, summed over seeds. Models of more than `MOST_CLASSES` are left out.
    """
    frames = [
        _confusion(shard)
        for shard in shards.accuracy
        if shard.probabilities is not None and shard.probabilities.shape[1] <= MOST_CLASSES
    ]
    if not frames:
        return columns.frame("confusion", [])
    names = [*KEYS, "label", "answer"]
    summed = pd.concat(frames).groupby(names)[["count"]].sum().reset_index()
    return columns.declared("confusion", summed)


def disagreements(shards: Shards) -> pd.DataFrame:
    """Images that backends answer differently, after trainings from one seed.

    Returns:
        One row per image and backend, for the smallest seed that all
        backends of a model have; `image` is its place in the test set, `probability` what the
        backend gives its answer. First come the images of which backends are surest, at most
        `MOST_IMAGES` of a model.
    """
    rows = []
    groups: dict[tuple[str, str, str], dict[int, list[AccuracyShard]]] = {}
    for shard in shards.accuracy:
        if shard.probabilities is not None:
            cell = shard.payload.cell
            by_seed = groups.setdefault((cell.model, cell.variant, cell.device), {})
            by_seed.setdefault(cell.seed, []).append(shard)
    for (model, variant, device), by_seed in groups.items():
        most = max(len(trained) for trained in by_seed.values())
        seed = min(seed for seed, trained in by_seed.items() if len(trained) == most)
        for image, label, shard, answer, probability in _differing(by_seed[seed]):
            told = (shard.payload.cell.lane, answer, probability)
            content = shard.payload.protocol.dataset_sha256
            rows.append((model, variant, device, seed, image, label, *told, content))
    return columns.frame("disagreements", rows)


def _confusion(shard: AccuracyShard) -> pd.DataFrame:
    assert shard.probabilities is not None  # noqa: S101 - the caller lets no others through
    assert shard.labels is not None  # noqa: S101 - they come together
    classes = shard.probabilities.shape[1]
    pairs = shard.labels.astype(np.int64) * classes + shard.probabilities.argmax(axis=1)
    counts = np.bincount(pairs, minlength=classes**2)
    label, answer = np.divmod(np.arange(classes**2), classes)
    cell = columns.picked(shard.payload.cell, *KEYS)
    return pd.DataFrame({"label": label, "answer": answer, "count": counts}).assign(**cell)


def _differing(
    trained: list[AccuracyShard],
) -> list[tuple[int, int, AccuracyShard, int, float]]:
    """Image, label, and each backend's answer with its probability; the surest come first."""
    known = [shard.probabilities for shard in trained if shard.probabilities is not None]
    labels = trained[0].labels
    if len(known) < 2 or labels is None or len({each.shape for each in known}) > 1:
        return []
    probabilities = np.stack(known)
    answers, sureness = probabilities.argmax(axis=2), probabilities.max(axis=2)
    images = np.flatnonzero((answers != answers[0]).any(axis=0))
    images = images[np.argsort(-sureness[:, images].min(axis=0), kind="stable")][:MOST_IMAGES]
    return [
        (int(i), int(labels[i]), shard, int(answers[n, i]), float(sureness[n, i]))
        for i in images
        for n, shard in enumerate(trained)
    ]
