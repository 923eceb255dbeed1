import subprocess
import sys

import pytest

import models
from bench.planning.plan import ROOT


def test_the_shipped_models() -> None:
    assert models.names() == ("single_layer", "two_layer")


def test_an_unknown_model_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="choose from single_layer, two_layer"):
        models.build("os")


@pytest.mark.parametrize(
    "imports",
    [
        "bench.conftest, bench.test_accuracy, bench.test_parity, bench.test_speed, models",
        "reports.__main__",
        "bench.worker",
    ],
)
def test_the_harness_imports_no_framework(imports: str) -> None:
    code = (
        f"import sys, {imports}\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
