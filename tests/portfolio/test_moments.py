"""Running moments: the weighted formulas written out, the stream beside the batch, state, and faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.portfolio import RunningMoments, running_moments


def panel(seed: int, rows: int = 60, columns: int = 3, gaps: float = 0.2) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = 0.01 * random.standard_normal((rows, columns))
    values[random.random((rows, columns)) < gaps] = np.nan
    return values


@given(st.integers(0, 50), st.floats(1.0, 200.0))
@settings(max_examples=30, deadline=None)
def test_moments_are_the_weighted_sums(seed: int, halflife: float) -> None:
    returns = panel(seed)
    found = running_moments(returns, halflife=halflife)
    for column in range(3):
        seen = returns[:, column][~np.isnan(returns[:, column])]
        weights = 0.5 ** (np.arange(len(seen))[::-1] / halflife)
        weights /= weights.sum()
        mean = weights @ seen
        variance = weights @ (seen - mean) ** 2 / (1.0 - weights @ weights)
        np.testing.assert_allclose(found.mean[-1, column], mean, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.variance[-1, column], variance, rtol=1e-8)
        np.testing.assert_allclose(found.n[-1, column], 1.0 / (weights @ weights), rtol=1e-9)


def test_a_long_memory_has_the_plain_moments() -> None:
    returns = panel(1, gaps=0.0)
    found = running_moments(returns, halflife=1e9)
    np.testing.assert_allclose(found.mean[-1], returns.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.variance[-1], returns.var(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found.n[-1], 60, rtol=1e-5)


def test_stream_is_batch_and_state_goes_on_to_the_bit() -> None:
    returns = panel(2)
    batch = running_moments(returns, halflife=20)
    running = RunningMoments(3, halflife=20)
    for t, row in enumerate(returns):
        if t == 30:
            running = RunningMoments(3, halflife=20).restore(running.state())
        now = running.update(row)
        for name in ("mean", "variance", "n"):
            assert getattr(now, name).tobytes() == getattr(batch, name)[t].tobytes()


def test_before_there_is_anything() -> None:
    found = running_moments([np.nan, 0.5, np.nan, 0.5], halflife=10)
    np.testing.assert_array_equal(np.isnan(found.mean), [True, False, False, False])
    np.testing.assert_array_equal(np.isnan(found.variance), [True, True, True, False])
    assert found.n[0] == 0.0 and found.n[1] == found.n[2] == 1.0 and found.variance[3] == 0.0


def test_faults() -> None:
    with pytest.raises(DataError, match=r"expected \(column,\) = \(2,\)"):
        RunningMoments(2, halflife=5).update([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="expected"):
        running_moments(np.zeros((2, 2, 2)), halflife=5)
    with pytest.raises(SettingsError, match="halflife"):
        RunningMoments(halflife=0)
    with pytest.raises(StateError, match="half-life of 6"):
        RunningMoments(2, halflife=6).restore(RunningMoments(2, halflife=5).state())
