"""What is asked of a worker: cells and training requests, as frozen dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One model trained by one backend from one seed: a row of the accuracy table."""

    model: str
    variant: str
    backend: str
    device: str
    seed: int

    @property
    def id(self) -> str:
        """Name of the cell in shard files and test ids."""
        return f"{self.model}-{self.variant}-{self.backend}-{self.device}-seed{self.seed}"


@dataclass(frozen=True)
class TrainingRequest:
    """Everything a worker needs for training one cell; sent over the wire as it is.

    Attributes:
        model: Name of a model in `models`.
        seed: Seed of the initial weights and of every epoch's batch order.
        epochs: How many epochs to train.
        batch_size: Examples in a step; the last step of an epoch may be smaller.
        train_examples: Train on the first so many examples only; None takes all.
        data: Path of the prepared dataset (npz).
        data_sha256: What `bench.data.content_sha256` gives for it.
        predictions: Path of the npz that the worker writes: `probabilities`, float32,
            shape (test examples, classes).
    """

    model: str
    seed: int
    epochs: int
    batch_size: int
    train_examples: int | None
    data: str
    data_sha256: str
    predictions: str
