"""Sizing: golden values of Kelly and Thorp, what shrinking and caps do, and that the stake is the one that grows fastest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.portfolio import kelly_bet, kelly_fraction, volatility_target


def test_kelly_of_returns_is_mean_over_variance() -> None:
    # Thorp (2006), section 7: m = .05 above cash with s = .15 calls for 2.22 times the equity.
    assert kelly_fraction(0.05, 0.15**2, cap=5.0) == pytest.approx(2.2222, abs=1e-4)
    assert kelly_fraction(-0.01, 0.04) == pytest.approx(-0.25)
    assert kelly_fraction(0.01, 0.04, portion=0.5) == pytest.approx(0.125)
    np.testing.assert_allclose(kelly_fraction([0.01, 0.05, -0.9], [0.04, 0.01, 0.01]), [0.25, 1.0, -1.0])


def test_kelly_of_a_bet_is_what_kelly_found() -> None:
    assert kelly_bet(0.6, 1.0) == pytest.approx(0.2)  # a coin that falls right in 60 % of throws
    assert kelly_bet(0.5, 2.0) == pytest.approx(0.25)
    assert kelly_bet(0.4, 1.0) == 0.0
    assert kelly_bet(1.0, 1.0, 10) == 1.0


def test_an_estimate_is_staked_less_than_what_is_known() -> None:
    # 100 returns of mean .01 and variance .04: the squared error of the mean is 4 times its square.
    assert kelly_fraction(0.01, 0.04, 100) == 0.0
    # With 1,600 it is a quarter of it.
    assert kelly_fraction(0.01, 0.04, 1600) == pytest.approx(0.25 * 0.75)
    assert kelly_bet(0.6, 1.0, 100) == pytest.approx(0.2 * (1.0 - 4 * 0.24 / 100 / 0.2**2))
    assert kelly_fraction(0.01, 0.04, 0) == 0.0


def test_edges_of_kelly() -> None:
    assert kelly_fraction(0.0, 0.0) == 0.0
    assert kelly_fraction(0.1, 0.0, cap=0.7) == 0.7
    assert kelly_fraction(-0.1, 0.0, 5) == -1.0
    assert kelly_fraction(6e-161, 1.0, 1) == 0.0
    assert kelly_fraction(1e-161, 1e-300, cap=0.5) == pytest.approx(0.5)
    assert math.isnan(kelly_fraction(math.nan, 0.04))
    assert math.isnan(kelly_fraction(0.1, math.nan, 9))


@given(st.floats(-0.2, 0.2), st.floats(1e-4, 1.0), st.floats(1.0, 1e6), st.floats(0.05, 1.0))
def test_shrinking_never_turns_or_raises_a_stake(mean: float, variance: float, n: float, portion: float) -> None:
    full, shrunk = kelly_fraction(mean, variance), kelly_fraction(mean, variance, n, portion=portion)
    assert abs(shrunk) <= abs(full) + 1e-15
    assert shrunk * mean >= 0.0


@given(st.floats(0.05, 0.95), st.floats(0.2, 5.0), st.floats(0.0, 0.99))
def test_no_other_stake_grows_faster(probability: float, odds: float, other: float) -> None:
    def growth(stake: float) -> float:
        return probability * math.log1p(odds * stake) + (1.0 - probability) * math.log1p(-stake)

    assert growth(min(float(kelly_bet(probability, odds)), 1.0 - 1e-12)) >= growth(other) - 1e-12


def test_shrinking_grows_faster_than_trusting_the_estimate() -> None:
    """Edges drawn anew, each estimated from 100 returns: the growth of what is staked, under the truth."""
    random = np.random.default_rng(0)
    truth = 0.1 * random.standard_normal(20_000)
    estimate = truth + random.standard_normal(20_000) / 10.0

    def growth(stake: np.ndarray) -> float:
        return float((stake * truth - stake**2 / 2.0).mean())

    assert growth(kelly_fraction(estimate, 1.0, 100)) > growth(kelly_fraction(estimate, 1.0)) + 0.0005


def test_volatility_target() -> None:
    np.testing.assert_allclose(volatility_target([0.1, 0.2, 0.0, math.nan], 0.15, 2.0), [1.5, 0.75, 2.0, math.nan])
    assert volatility_target(0.3, 0.15) == 0.5


def test_faults() -> None:
    with pytest.raises(DataError, match="variance has a value below zero"):
        kelly_fraction(0.1, [-0.1, 0.2])
    with pytest.raises(DataError, match="n has a value below zero"):
        kelly_fraction(0.1, 0.1, -1)
    with pytest.raises(DataError, match="between 0 and 1"):
        kelly_bet(1.1, 1.0)
    with pytest.raises(DataError, match="odds above 0"):
        kelly_bet(0.5, 0.0)
    with pytest.raises(DataError, match="realised"):
        volatility_target(-0.1, 0.1)
    with pytest.raises(SettingsError, match="portion"):
        kelly_fraction(0.1, 0.1, portion=1.5)
    with pytest.raises(SettingsError, match="cap"):
        kelly_fraction(0.1, 0.1, cap=0)
    with pytest.raises(SettingsError, match="target"):
        volatility_target(0.1, 0.0)
