"""Machines whose truth is known: two lanes timed in turn while the machine's speed wanders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.statistics.intervals import pseudo_median


@dataclass(frozen=True)
class SimulatedMachine:
    """How a machine misbehaves; the defaults are those seen on two shared cores.

    Attributes:
        ratio: True throughput ratio of lane A over lane B.
        launch_sd: Spread of a process's own speed from launch to launch, in logs, per ratio.
        round_sd: Spread of one slot, in logs, per ratio.
        drift: How far the whole machine drifts over a launch, in logs.
        regime: Factor of the slow regime that the machine falls into and out of.
        spikes: Share of slots that take three times as long.
        autocorrelation: Of the slots' noise, from round to round.
    """

    ratio: float = 1.0
    launch_sd: float = 0.05
    round_sd: float = 0.11
    drift: float = 0.0
    regime: float = 1.0
    spikes: float = 0.0
    autocorrelation: float = 0.0

    def launch(
        self, generator: np.random.Generator, rounds: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Seconds per step of A and of B, each of shape (rounds,), A and B in turn."""
        slots = 2 * rounds
        machine = np.linspace(0, self.drift, slots)
        # A telegraph: the regime changes between two slots with a probability of 0.1.
        slow = np.cumsum(generator.random(slots) < 0.1) % 2
        machine = machine + slow * np.log(self.regime)
        machine = machine + np.log(3) * (generator.random(slots) < self.spikes)
        own = generator.normal(0, self.launch_sd / np.sqrt(2), 2)
        noise = generator.normal(0, self.round_sd / np.sqrt(2), (2, rounds))
        for index in range(1, rounds):
            noise[:, index] = (
                self.autocorrelation * noise[:, index - 1]
                + np.sqrt(1 - self.autocorrelation**2) * noise[:, index]
            )
        # A and B change places from round to round, as the schedule has them do.
        first = np.arange(rounds) % 2
        a = np.exp(machine[2 * np.arange(rounds) + first] + own[0] + noise[0])
        b = np.exp(machine[2 * np.arange(rounds) + 1 - first] + own[1] + noise[1])
        return a, b * self.ratio

    def medians(
        self, generator: np.random.Generator, launches: int, rounds: int = 12
    ) -> NDArray[np.float64]:
        """Launch values of the log of the ratio, as the report computes them."""
        timed = (self.launch(generator, rounds) for _ in range(launches))
        return np.array([pseudo_median(np.log(b / a)) for a, b in timed])


MACHINES = {
    "calm": SimulatedMachine(round_sd=0.02, launch_sd=0.02),
    "as seen": SimulatedMachine(),
    "drifting": SimulatedMachine(drift=0.7),
    "regimes of 1.4": SimulatedMachine(regime=1.4),
    "spikes": SimulatedMachine(spikes=0.05),
    "autocorrelated": SimulatedMachine(autocorrelation=0.8),
    "all at once": SimulatedMachine(drift=0.5, regime=1.4, spikes=0.05, autocorrelation=0.5),
}
