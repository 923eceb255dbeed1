"""What is known to go wrong with versions."""

import pytest

from bench.contract import troubles

VERSIONS = {"jax": "0.10.2", "keras": "3.15.1"}


def test_a_version_that_is_wrong_in_silence_is_told_with_what_to_take_instead() -> None:
    (told,) = troubles.of_versions(VERSIONS, "cpu")
    assert told.told(VERSIONS) == (
        "Known of jax 0.10.2: rows that are mapped one by one are computed wrongly, in silence "
        "(jax#39103, jax#39257, jax#40412); take jax 0.10.1."
    )


@pytest.mark.parametrize(
    ("versions", "device", "precision", "threads"),
    [
        ({"jax": "0.10.1"}, "cpu", "float32", []),
        ({"jax": "0.10.2"}, "gpu", "float32", ["jax#38806"]),
        ({"torch": "2.13.0+cpu"}, "cpu", "float32", []),
        ({"torch": "2.13.0+cpu"}, "cpu", "bfloat16", ["pytorch#183815"]),
        ({"torch": "2.13.0+cu130"}, "gpu", "bfloat16", []),
    ],
)
def test_only_what_is_met_is_told(
    versions: dict[str, str], device: str, precision: str, threads: list[str]
) -> None:
    found = troubles.of_versions(versions, device, precision)
    assert [each.threads[0] for each in found] == threads


def test_a_finding_is_known_by_its_backend_rung_and_layer() -> None:
    known = troubles.of_finding(VERSIONS, "cpu", "torch", "P2", "AveragePooling2D pool")
    assert known is not None
    assert known.threads[0] == "keras#19721"
    for backend, rung, where in (
        ("jax", "P2", "AveragePooling2D pool"),
        ("torch", "P3", "AveragePooling2D pool"),
        ("torch", "P2", "MaxPooling2D pool"),
    ):
        assert troubles.of_finding(VERSIONS, "cpu", backend, rung, where) is None
    other = {"keras": "3.16.0"}
    assert troubles.of_finding(other, "cpu", "torch", "P2", "AveragePooling2D pool") is None
