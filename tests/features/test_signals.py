"""The rules, against the sentences that describe them, spelled out bar by bar in Python over the indicators' own values."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw

from .conftest import build_market


def column(market: tw.Market, name: str) -> np.ndarray:
    return tw.features.compute(market, name).values[:, 0, 0]


def assert_signal(market: tw.Market, name: str, wanted: np.ndarray) -> None:
    signal = column(market, name)
    np.testing.assert_array_equal(signal, wanted)
    assert {-1.0, 0.0, 1.0} >= set(signal[~np.isnan(signal)])
    assert (signal == 1.0).any()
    assert (signal == -1.0).any()


@pytest.mark.parametrize("seed", range(3))
def test_ema_cross(seed: int) -> None:
    market = build_market(900, seed=seed)
    fast, slow = column(market, "ema_10"), column(market, "ema_40")
    assert_signal(market, "signal_ema_cross_10_40", np.where(np.isnan(slow), np.nan, np.sign(fast - slow)))


@pytest.mark.parametrize("seed", range(3))
def test_rsi_reversal(seed: int) -> None:
    market = build_market(900, seed=seed)
    position, wanted = 0.0, []
    for strength in column(market, "rsi_14"):
        if strength < 35:
            position = 1.0
        elif strength > 65:
            position = -1.0
        elif position * (strength - 50.0) >= 0.0:
            position = 0.0
        wanted.append(np.nan if np.isnan(strength) else position)
    assert_signal(market, "signal_rsi_reversal_14_35_65", np.array(wanted))


@pytest.mark.parametrize("seed", range(3))
def test_bollinger_reversal(seed: int) -> None:
    market = build_market(900, seed=seed)
    X = tw.features.compute(market, ["bb_lower_20", "bb_middle_20", "bb_upper_20"]).values[:, 0]
    position, wanted = 0.0, []
    for close, (lower, middle, upper) in zip(market.close[:, 0], X, strict=True):
        if close < lower:
            position = 1.0
        elif close > upper:
            position = -1.0
        elif position * (close - middle) >= 0.0:
            position = 0.0
        wanted.append(np.nan if np.isnan(lower) else position)
    assert_signal(market, "signal_bollinger_reversal_20", np.array(wanted))


@pytest.mark.parametrize("seed", range(3))
def test_rsi_divergence(seed: int) -> None:
    market = build_market(900, seed=seed)
    close, strength = market.close[:, 0], column(market, "rsi_14")
    position, wanted = 0.0, np.full(900, np.nan)
    for t in range(28, 900):
        if position * (strength[t] - 50.0) >= 0.0:
            position = 0.0
        prices, strengths = close[t - 14 : t], strength[t - 14 : t]
        if close[t] < prices.min() and strengths.min() < strength[t] < 50.0:
            position = 1.0
        elif close[t] > prices.max() and strengths.max() > strength[t] > 50.0:
            position = -1.0
        wanted[t] = position
    assert_signal(market, "signal_rsi_divergence_14", wanted)
