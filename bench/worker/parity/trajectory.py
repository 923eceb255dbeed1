"""P5: a model trained along the trajectory's steps, and amid another's."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inputs import draws, parity_questions
from bench.inputs.examples import Examples
from bench.inputs.parity_questions import Answer, Arrays, numbered, sampled
from bench.worker.model.candidate import Candidate
from bench.worker.model.initial_weights import Weights


class Trajectory:
    """Trainings of one model on the same steps; it is given back after each."""

    def __init__(
        self,
        candidate: Candidate,
        train: Examples,
        batch_size: int,
        alive: Callable[[], None],
    ) -> None:
        """Take a model.

        Args:
            candidate: What is trained.
            train: The dataset's examples.
            batch_size: Of each step.
            alive: Called at every checkpoint.
        """
        self._candidate, self._train, self._alive = candidate, train, alive
        self._batch_size = batch_size

    def path(self, start: Weights) -> Answer:
        """Weights at every checkpoint, and steps as the optimizer counted them."""
        steps, path = self._along(start)
        arrays: Arrays = {}
        for checkpoint, weights in zip(parity_questions.CHECKPOINTS, path, strict=True):
            arrays |= numbered(f"step{checkpoint}.weight", weights)
        return {"steps": steps}, arrays

    def answer(self, start: Weights, restarts: str) -> Answer:
        """The path, how far its neighbours part, and a few steps amid the oracle's.

        Args:
            start: Weights before the first step.
            restarts: File with states to go on from; empty where there is no oracle.

        Returns:
            `distances` are Euclidean, in float64, of shape (neighbours, checkpoints, weights).
        """
        facts, arrays = self.path(start)
        path = [
            [arrays[f"step{checkpoint}.weight{number}"] for number in range(len(start))]
            for checkpoint in parity_questions.CHECKPOINTS
        ]
        arrays["distances"] = np.array(
            [
                [_distances(*pair) for pair in zip(neighbour, path, strict=True)]
                for number in range(parity_questions.NEIGHBOURS)
                for _, neighbour in [self._along(start, number)]
            ]
        )
        if not restarts:
            return facts, arrays
        with np.load(restarts, allow_pickle=False) as states:
            for step in parity_questions.RESTARTS:
                with self._candidate.state_restored():
                    self._take_over(states, step)
                    self.fit(step, step + parity_questions.RESTART_STEPS)
                    arrays |= numbered(f"restart{step}.weight", self._candidate.get_weights())
        return facts, arrays

    def fit(self, first: int, last: int) -> None:
        """Train on the trajectory's steps after `first`, up to `last`."""
        one, size = self._candidate, self._batch_size
        one_size = one.built.feed.batch is not None
        given = parity_questions.steps(self._train, first, last, size, one_size=one_size)
        one.fit(one.inputs(one.built.x(given)), one.targets(one.built.y(given)), size)

    def _along(self, start: Weights, neighbour: int | None = None) -> tuple[int, list[Weights]]:
        """Steps that were counted, and weights at every checkpoint.

        A neighbour's weights are perturbed at the start and at every checkpoint, as rounding nudges
        them in every step.
        """
        path, weights, one = [], start, self._candidate
        with one.state_restored():
            for first, last in itertools.pairwise((0, *parity_questions.CHECKPOINTS)):
                if neighbour is not None:
                    weights = draws.perturbed(weights, neighbour, first)
                one.set_weights(weights)
                self.fit(first, last)
                self._alive()
                weights = one.get_weights()
                path.append(sampled(weights))
            return one.steps, path

    def _take_over(self, states: Mapping[str, NDArray[np.float32]], step: int) -> None:
        """Go on from the oracle's training after `step` steps: weights, moments and all."""
        count = len(self._candidate.model.trainable_variables)
        weights, *moments = (
            [states[f"{step}.{name}{number}"] for number in range(count)]
            for name in ("weight", "momentum", "velocity")
        )
        self._candidate.load_training_state(step, weights, moments)


def _distances(here: Sequence[NDArray[Any]], there: Sequence[NDArray[Any]]) -> list[float]:
    return [
        float(np.linalg.norm(np.subtract(a, b, dtype=np.float64)))
        for a, b in zip(here, there, strict=True)
    ]
