"""Which variants there are, what they switch on, and what a plan makes of them."""

import pytest

import models
from bench.contract import variants
from bench.contract.backends import BACKENDS, DEVICES
from bench.contract.errors import UsageError
from bench.contract.variants import LOWERINGS, SETTINGS, STOCK, THREE, TUNED
from bench.planning import resolving
from bench.planning.options import NOT_GIVEN
from bench.planning.plan import Plan


def resolve(**options: str) -> Plan:
    return resolving.resolve({**NOT_GIVEN, **options}, (), {})


def test_stock_and_native_switch_nothing_on() -> None:
    assert variants.settings("stock", "jax", "cpu") == ()
    assert variants.settings("native", "jax", "cpu") == ()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("device", DEVICES)
def test_tuned_is_made_of_settings_that_can_be_had_on_their_own(backend: str, device: str) -> None:
    switched_on = variants.settings(TUNED, backend, device)
    assert switched_on
    assert set(switched_on) <= set(SETTINGS)


def test_settings_are_joined() -> None:
    assert variants.settings("late+loop", "jax", "cpu") == ("late", "loop")
    assert variants.with_lowering(("loop", "product")) == "product"
    assert variants.with_lowering(("loop",)) == ""


def test_a_plan_has_the_variants_in_their_order() -> None:
    chosen = resolve(variants="late+loop,native, stock")
    assert chosen.variants == ("stock", "native", "late+loop")
    assert resolve(variants="all").variants == (*THREE, *SETTINGS)
    assert resolve(suite="smoke").variants == (STOCK,)


UNSOUND = ["late+late", "late+reshape", "loop+compiled"]


@pytest.mark.parametrize(
    "text", ["stok", "stock+late", "late+", "+", "", "tuned,,native", *UNSOUND]
)
def test_what_is_no_variant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--variants: unknown"):
        resolving.resolve({**NOT_GIVEN, "variants": text or " "}, (), {})


def test_settings_on_their_own_are_timed_in_training_and_no_more() -> None:
    chosen = resolve(variants="stock,late", models="two_layer")
    assert [each.phase for each in chosen.workloads if each.variant == "late"] == ["train"]
    assert {cell.variant for cell in chosen.cells} == {STOCK}
    assert {subject.variant for subject in chosen.subjects} == {STOCK}


def test_the_sweep_is_of_stock() -> None:
    sizes = {(each.variant, each.batch_size) for each in resolve(suite="full").workloads}
    assert {variant for variant, size in sizes if size not in {1, 200}} == {STOCK}


def test_every_shipped_model_has_a_native_twin_under_every_backend() -> None:
    assert models.twins() == models.names()


def test_the_lowerings_are_those_of_the_models() -> None:
    from pathlib import Path

    text = Path(str(models.__file__)).with_name("lowering.py").read_text(encoding="utf-8")
    assert f"LOWERINGS = {LOWERINGS}".replace("'", '"') in text
