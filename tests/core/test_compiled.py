"""compiled: kernels compute by IEEE rules, release the GIL, and say what they are."""

from __future__ import annotations

import numpy as np

from tradewind.core.compiled import inline_kernel, kernel, parallel_kernel


@inline_kernel
def divided(a: float, b: float) -> float:
    """A quotient."""
    return a / b


@kernel
def quotients(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Element by element."""
    for i in range(len(a)):
        out[i] = divided(a[i], b[i])


def test_division_by_zero_follows_numpy() -> None:
    out = np.empty(3)
    quotients(np.array([1.0, 0.0, -1.0]), np.zeros(3), out)
    assert np.isposinf(out[0])
    assert np.isnan(out[1])
    assert np.isneginf(out[2])


def test_sums_keep_their_order() -> None:
    @kernel
    def total(values: np.ndarray) -> float:
        found = 0.0
        for value in values:
            found += value
        return found

    values = np.array([1e16, 1.0, -1e16, 1.0] * 25)
    expected = 0.0
    for value in values.tolist():
        expected += value
    assert total(values) == expected


def test_options_are_those_that_the_house_relies_on() -> None:
    assert quotients.targetoptions["nogil"]  # type: ignore[attr-defined]
    assert not quotients.targetoptions.get("fastmath")  # type: ignore[attr-defined]
    assert parallel_kernel(lambda n: n).targetoptions["parallel"]  # type: ignore[attr-defined]
