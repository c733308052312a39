from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.clock import DAY, HOUR
from tradewind.core.errors import SettingsError
from tradewind.simulate.account import Book
from tradewind.strategies.momentum import Momentum, MomentumMix

from .markets import behaves, flat, gappy, panel, same

NOTHING = np.nan


def test_sign_of_the_return_over_the_symbols_own_bars() -> None:
    market = panel([[1.0, 5.0], [2.0, NOTHING], [3.0, 4.0], [1.0, 4.0], [2.0, 4.0]])
    targets = Momentum(lookback=2).decide_all(market)
    expected = [[NOTHING] * 2, [NOTHING] * 2, [0.5, NOTHING], [-0.5, -0.5], [-0.5, 0.0]]
    np.testing.assert_array_equal(targets, expected)
    np.testing.assert_array_equal(Momentum(lookback=2, long_only=True).decide_all(market)[3:], [[0.0, 0.0], [0.0, 0.0]])


def test_the_mix_worked_by_hand() -> None:
    # Daily bars 100, 110, 99, 108.9: returns .1, -.1, .1. At the last bar lookback 1 votes up, 2 down (108.9 < 110), 3 up.
    market = panel([100.0, 110.0, 99.0, 108.9], "1d")
    mix = MomentumMix(lookbacks=("1d", "2d", "3d"), volatility_target=0.5, volatility_window=3)
    deviation = np.std([0.1, -0.1, 0.1], ddof=1) * np.sqrt(365)
    np.testing.assert_allclose(mix.decide_all(market)[3, 0], 2 / 3 * 0.5 / deviation, rtol=1e-12)
    np.testing.assert_allclose(mix.decide_all(market)[1, 0], 1.0)  # one return has no spread: only the cap holds
    both = MomentumMix(lookbacks=("1d", "2d", "3d"), volatility_target=0.5, volatility_window=3, long_only=False)
    np.testing.assert_allclose(both.decide_all(market)[3, 0], 1 / 3 * 0.5 / deviation, rtol=1e-12)


def test_decides_at_the_first_bar_known_in_a_new_day_and_keeps_in_between() -> None:
    market = gappy(bars=24 * 12, symbols=2, seed=3)
    targets = MomentumMix(lookbacks=(24, 48)).fit(market).decide_all(market)
    for s in range(2):
        bars = np.flatnonzero(~np.isnan(market.close[:, s]))
        day = market.known[bars] // DAY
        new = np.concatenate([[False], np.diff(day) > 0]) & (np.arange(len(bars)) >= 24)
        np.testing.assert_array_equal(~np.isnan(targets[bars, s]), new)
    assert ((targets >= 0) | np.isnan(targets)).all()
    assert (np.nansum(targets, axis=1) <= 1 + 1e-12).all()


def test_warmup_comes_from_the_timeframe() -> None:
    for timeframe, bars in (("15m", 481), ("1h", 121), ("1d", 6)):
        assert MomentumMix().fit(gappy(timeframe=timeframe)).warmup == bars


@pytest.mark.parametrize(
    "make",
    [
        lambda: Momentum(lookback=7),
        lambda: Momentum(lookback=20, long_only=True),
        lambda: MomentumMix(lookbacks=("1d", 30, "3d"), volatility_window=40),
        lambda: MomentumMix(lookbacks=(5,), volatility_window=2, rebalance="1h", long_only=False, max_weight=2.0),
    ],
)
@pytest.mark.parametrize("market", [gappy(), flat(), gappy(symbols=2, timeframe="1d", seed=2)], ids=["gappy", "flat", "daily"])
def test_promises(make: object, market: object, tmp_path: object) -> None:
    targets = behaves(make, market, tmp_path)
    assert np.isfinite(targets).any()


def test_flat_prices_want_nothing() -> None:
    for strategy in (Momentum(5), MomentumMix(lookbacks=(5,), long_only=False)):
        assert (np.nan_to_num(strategy.decide_all(flat())) == 0).all()


def test_one_bar_of_one_symbol() -> None:
    market = panel([[1.0, NOTHING]] * 40)
    lonely = panel(np.where(np.arange(80).reshape(40, 2) == 61, 3.0, market.close))
    for strategy in (Momentum(3), MomentumMix(lookbacks=(3,), rebalance="1h")):
        assert np.isnan(strategy.decide_all(lonely)[:, 1]).all()
        assert np.isnan(strategy.decide_all(lonely[:1])).all()


def test_answers_do_not_depend_on_fit_or_on_where_the_history_begins() -> None:
    market = gappy(bars=600)
    mix = MomentumMix(lookbacks=(24, 72), volatility_window=48)
    same(mix.decide_all(market)[24:], MomentumMix(lookbacks=(24, 72), volatility_window=48).fit(market).decide_all(market)[24:])
    same(mix.decide_all(market[200:])[150:], mix.decide_all(market)[350:])
    same(mix.decide_all(market, Book(market.symbols), 300)[300:], mix.decide_all(market)[300:])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=40), st.integers(1, 5), st.floats(0.01, 1e6))
def test_scale_free_and_bounded(prices: list[float], lookback: int, scale: float) -> None:
    close = np.array(prices)
    for strategy in (Momentum(lookback), MomentumMix(lookbacks=(lookback,), volatility_window=3, rebalance="1h")):
        weights = strategy.decide_all(panel(close))
        assert (np.abs(weights[~np.isnan(weights)]) <= 1).all()
        # A power of two changes no rounding.
        same(strategy.decide_all(panel(close * 2.0 ** round(np.log2(scale)))), weights)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lookbacks": ()},
        {"lookbacks": "5d"},
        {"lookbacks": ("5x",)},
        {"lookbacks": (0,)},
        {"lookbacks": (True,)},
        {"volatility_target": 0},
        {"volatility_window": 1.5},
        {"rebalance": "daily"},
        {"max_weight": float("inf")},
    ],
)
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        MomentumMix(**wrong)
    with pytest.raises(SettingsError, match="lookback is 0"):
        Momentum(0)


def test_a_day_is_utc() -> None:
    market = panel(np.exp(np.linspace(0, 1, 60)), "1h", first=19_000 * DAY + 5 * HOUR)
    decided = np.flatnonzero(~np.isnan(MomentumMix(lookbacks=(2,)).decide_all(market)[:, 0]))
    np.testing.assert_array_equal(market.known[decided] % DAY, 0)
    assert len(decided) == 2
