"""The figures of the report: frames in, matplotlib out; which, depends on what was run.

May import: across_runs, judging and what is below.
"""

from collections.abc import Callable, Mapping

from reports.figures import agreement, learning, mistakes, timing
from reports.figures.style import Parts, Picture, picture
from reports.judging.comparison import Comparison

PICTURES: Mapping[str, Callable[[Comparison], Parts]] = {
    "throughput": timing.throughput,
    "ratios": timing.forest,
    "elsewhere": timing.elsewhere,
    "variants": timing.variants,
    "parity": agreement.ladder,
    "divergence": agreement.divergence,
    "curves": learning.curves,
    "time-to-error": learning.time_to_error,
    "seeds": learning.seeds,
    "confusion": mistakes.confusion,
    "disagreements": mistakes.disagreements,
    "costs": timing.costs,
    "latency": timing.latency,
    "batch-sizes": timing.sweep,
    "samples": timing.wander,
}
"""By their name in the page and as files, in the order in which a reader wants them."""


def draw(comparison: Comparison) -> dict[str, Picture]:
    """All pictures for which there is anything to show; to be called in `style.applied()`."""
    drawn = {name: picture(name, make(comparison)) for name, make in PICTURES.items()}
    return {name: made for name, made in drawn.items() if made.panels}
