"""Stability: by hand, in its bounds, the same bar by bar, and worth something where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.types import Array
from tradewind.data import synthetic
from tradewind.regimes import Regimes, StabilityWatch, detector, regime_info, stabilities

HOUR = 3_600 * 10**9


def told(rows: list[list[float]] | Array, symbols: int = 1) -> Regimes:
    """Regimes with these probabilities (time, regime) for each symbol."""
    array = np.repeat(np.asarray(rows, dtype=np.float64)[:, None], symbols, axis=1)
    times = np.arange(len(array), dtype=np.int64) * HOUR
    names = tuple("abcdefg"[: array.shape[2]])
    return Regimes(names, array, times, times + HOUR, tuple(f"S{i}" for i in range(symbols)))


def test_by_hand() -> None:
    sure, torn = [1.0, 0.0], [0.5, 0.5]
    leaning = [0.25, 0.75]
    found = stabilities(told([sure, sure, leaning, torn]), span=3)[:, 0]
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)
    # Of three bars the last alone is b: the exponential mean over 3 bars moves by a half.
    np.testing.assert_allclose(found, [1.0, 1.0, math.sqrt((1 - entropy) * 0.5), 0.0])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), span=st.integers(2, 50))
def test_between_nought_and_one_and_the_same_bar_by_bar(seed: int, span: int) -> None:
    random = np.random.default_rng(seed)
    array = random.dirichlet(np.full(4, 0.3), (60, 2))
    array[random.random((60, 2)) < 0.2] = np.nan
    times = np.arange(60, dtype=np.int64) * HOUR
    regimes = Regimes(("a", "b", "c", "d"), array, times, times + HOUR, ("X", "Y"))
    whole = stabilities(regimes, span)
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(array).any(axis=2))
    assert (whole[~np.isnan(whole)] >= 0).all()
    assert (whole[~np.isnan(whole)] <= 1 + 1e-12).all()
    watch, rows = StabilityWatch(("X", "Y"), regimes.names, span), []
    for t in range(60):
        if t == 30:
            watch = StabilityWatch(("X", "Y"), regimes.names, span).restore(watch.state())
        rows.append(watch.update(array[t]))
    assert np.stack(rows).tobytes() == whole.tobytes()


def test_what_there_is_to_say() -> None:
    gone = [np.nan, np.nan]
    regimes = told([[0.9, 0.1], [0.1, 0.9], gone, [0.05, 0.95], [0.02, 0.98], gone])
    info = regime_info(regimes)
    assert (info.symbol, info.current_regime, info.bars) == ("S0", "b", 3)
    assert info.since == regimes.open_time[1]
    assert info.probabilities == {"a": 0.02, "b": 0.98}
    assert info.regime_stability == stabilities(regimes)[4, 0]
    assert info.stable == (info.regime_stability >= 0.7)
    assert not info.alert


def test_an_alert_where_nothing_is_clear() -> None:
    info = regime_info(told([[0.9, 0.1], [0.49, 0.51]]))
    assert info.alert
    assert not info.stable
    assert regime_info(told([[1.0, 0.0]] * 3)).stable


def test_which_symbol() -> None:
    both = told([[0.9, 0.1]], symbols=2)
    assert regime_info(both, "S1").symbol == "S1"
    with pytest.raises(SettingsError, match="name one of S0, S1"):
        regime_info(both)
    with pytest.raises(SettingsError, match="did you mean"):
        regime_info(both, "S2")
    with pytest.raises(DataError, match="no regime"):
        regime_info(told([[np.nan, np.nan]]))


def test_faults() -> None:
    with pytest.raises(SettingsError, match="stable and alarming"):
        regime_info(told([[0.9, 0.1]]), threshold=0.3, alert=0.7)
    with pytest.raises(SettingsError, match="span"):
        stabilities(told([[0.9, 0.1]]), span=1)
    watch = StabilityWatch(("X",), ("a", "b"))
    with pytest.raises(DataError, match="shape"):
        watch.update(np.ones((1, 3)) / 3)
    with pytest.raises(StateError):
        StabilityWatch(("X",), ("a", "b"), span=7).restore(watch.state())


def test_a_stable_regime_is_more_often_the_true_one() -> None:
    made = synthetic.regimes(20_000, seed=2)
    found = detector("rules").filter(made.market)
    steady = stabilities(found)[:, 0]
    right = found.current[:, 0] == made.oracle.states
    assert right[steady >= 0.7].mean() > right[steady < 0.3].mean() + 0.2
