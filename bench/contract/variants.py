"""Variants of a model, and the settings that they are made of. Standard library only."""

from collections.abc import Sequence

STOCK, TUNED, NATIVE = "stock", "tuned", "native"
THREE = (STOCK, TUNED, NATIVE)
"""Keras as shipped; Keras with a backend's best settings; the framework without Keras."""

LOWERINGS = ("late", "channels_first", "reshape", "product")
"""See `models.lowering`."""

LOOP, COMPILED = "loop", "compiled"
"""A loop over batches on the device (`bench.worker.loops`); `jit_compile=True`."""

SETTINGS = (*LOWERINGS, LOOP, COMPILED)
JOIN = "+"
"""Between the settings of a variant that is none of the three."""

BEST = {
    ("tensorflow", "cpu"): ("late", LOOP),
    ("jax", "cpu"): ("product", LOOP),
    ("torch", "cpu"): ("channels_first", LOOP),
}
"""What `tuned` switches on, as measured (docs/tuning.md)."""

ELSEWHERE = (LOOP,)
"""Where nobody has measured yet."""


def settings(variant: str, backend: str, device: str) -> tuple[str, ...]:
    """What a variant switches on under a backend; nothing of `stock` and `native`."""
    if variant == TUNED:
        return BEST.get((backend, device), ELSEWHERE)
    return () if variant in {STOCK, NATIVE} else tuple(variant.split(JOIN))


def is_variant(name: str) -> bool:
    """Whether there is a variant of this name."""
    given = name.split(JOIN)
    once = len(set(given)) == len(given)
    # One way to compute a layer, and Keras compiles `fit` alone.
    sound = len({*given} & {*LOWERINGS}) <= 1 and not {LOOP, COMPILED} <= {*given}
    return name in THREE or (set(given) <= set(SETTINGS) and once and sound)


def is_ablation(variant: str) -> bool:
    """Whether a variant is there to see what its settings bring."""
    return variant not in THREE


def with_lowering(switched_on: Sequence[str]) -> str:
    """The lowering among some settings; empty if there is none."""
    return next((name for name in switched_on if name in LOWERINGS), "")
