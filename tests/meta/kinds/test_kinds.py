"""The labels of the five kinds, each against its rule written out bar by bar."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.meta.markets import disturbed, related

from tradewind.features import compute
from tradewind.labels import trailing_volatility
from tradewind.meta.kinds.arbitrage import arbitrage, spread_band
from tradewind.meta.kinds.arbitrage import related as related_pairs
from tradewind.meta.kinds.direction import direction
from tradewind.meta.kinds.ground import Ground, stand, window_volatility
from tradewind.meta.kinds.portfolio import baskets, long_only_weights, portfolio
from tradewind.meta.kinds.regime import regime
from tradewind.meta.kinds.risk import risk, risk_thresholds, window_drawdown
from tradewind.meta.task_parts import divide

MARKET = related(600, 3, missing=0.03)
HORIZON, SPAN = 6, 20
CLOSES = arrays.arrays(np.float64, st.integers(8, 30), elements=st.floats(1.0, 100.0))


def ground(market=MARKET, split: str = "train", window: int = 1) -> Ground:  # type: ignore[no-untyped-def]
    division = divide(len(market), market.symbols, (0.6, 0.2, 0.2), 0.2, 30)
    return stand(market, compute(market, ["return_1", "rsi_7"]), division, split, window, SPAN)


def own(column: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows in which a symbol has bars, and its closes there."""
    bars = np.flatnonzero(~np.isnan(MARKET.close[:, column]))
    return bars, MARKET.close[bars, column]


@pytest.mark.parametrize("ways", [2, 3])
def test_direction(ways: int) -> None:
    volatility = trailing_volatility(MARKET, SPAN)
    seen = set()
    for column, series in enumerate(direction(ground(), HORIZON, HORIZON, ways, 0.43)):
        bars, closes = own(column)
        for row, end, label, earned in zip(series.rows, series.ends, series.labels, series.returns, strict=True):
            i = int(np.searchsorted(bars, row))
            move = closes[i + HORIZON] / closes[i] - 1
            score = move / (volatility[row, column] * HORIZON**0.5)
            assert end == bars[i + HORIZON] and earned == np.float32(move)
            assert label == (int(score > 0) if ways == 2 else 1 + int(score > 0.43) - int(score < -0.43))
            seen.add(int(label))
    assert seen == set(range(ways))


@pytest.mark.parametrize("ways", [3, 4])
def test_regime(ways: int) -> None:
    volatility = trailing_volatility(MARKET, SPAN)
    seen = set()
    for column, series in enumerate(regime(ground(), HORIZON, HORIZON, ways, 0.5, 1.25)):
        bars, closes = own(column)
        for row, label in zip(series.rows, series.labels, strict=True):
            i, trailing = int(np.searchsorted(bars, row)), volatility[row, column]
            steps = closes[i + 1 : i + HORIZON + 1] / closes[i : i + HORIZON] - 1
            score = (closes[i + HORIZON] / closes[i] - 1) / (trailing * HORIZON**0.5)
            restless = ways == 4 and np.sqrt(np.mean(steps**2)) > 1.25 * trailing
            assert label == (3 if restless else 0 if score > 0.5 else 1 if score < -0.5 else 2)
            seen.add(int(label))
    assert seen == set(range(ways))


@given(closes=CLOSES, horizon=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_windows(closes: np.ndarray, horizon: int) -> None:
    falls, deviations = window_drawdown(closes, horizon), window_volatility(closes, horizon)
    for i in range(len(closes) - horizon):
        path = closes[i : i + horizon + 1]
        assert falls[i] == max(1 - path[v] / path[: v + 1].max() for v in range(len(path)))
        np.testing.assert_allclose(deviations[i], np.sqrt(np.mean((path[1:] / path[:-1] - 1) ** 2)), rtol=1e-12)


@pytest.mark.parametrize("measure", ["drawdown", "volatility"])
def test_risk_is_parted_by_the_training_part_alone(measure: str) -> None:
    thresholds = risk_thresholds(ground(), HORIZON, 3, measure)
    later = disturbed(MARKET, int(len(MARKET) * 0.6))
    assert np.array_equal(thresholds, risk_thresholds(ground(later, "test"), HORIZON, 3, measure))
    assert not np.array_equal(thresholds, risk_thresholds(ground(disturbed(MARKET, 100)), HORIZON, 3, measure))
    labels = np.concatenate([series.labels for series in risk(ground(), HORIZON, HORIZON, 3, measure)])
    np.testing.assert_allclose(np.bincount(labels) / len(labels), 1 / 3, atol=0.03)
    for column, series in enumerate(risk(ground(split="test"), HORIZON, HORIZON, 3, measure)):
        bars, closes = own(column)
        measured = (window_drawdown if measure == "drawdown" else window_volatility)(closes, HORIZON)
        for row, label in zip(series.rows, series.labels, strict=True):
            assert label == sum(measured[np.searchsorted(bars, row)] >= thresholds)


def test_portfolio() -> None:
    volatility = trailing_volatility(MARKET, SPAN)
    found = portfolio(ground(), (4, 12), None, 2)
    assert [series.symbols for series in found[:3]] == [("COIN-1", "COIN-2"), ("COIN-1", "COIN-3"), ("COIN-2", "COIN-3")]
    assert [series.stride for series in found] == [4, 4, 4, 12, 12, 12]
    for series in found:
        columns = [MARKET.symbols.index(symbol) for symbol in series.symbols]
        for sample in range(0, len(series.rows), 17):
            row, ends = int(series.rows[sample]), []
            for asset, column in enumerate(columns):
                bars, closes = own(column)
                i = int(np.searchsorted(bars, row))
                move = closes[i + series.stride] / closes[i] - 1
                expected = volatility[row, column] * series.stride**0.5
                assert series.returns[sample, asset] == np.float32(move)
                assert series.labels[sample, asset] == np.float32(move / expected)
                ends.append(bars[i + series.stride])
            assert series.ends[sample] == max(ends)
        shown = series.inputs(np.arange(3))
        assert shown.shape == (3, 4) and np.array_equal(shown[:, :2], ground().inputs[series.rows[:3], columns[0]])


def test_baskets() -> None:
    assert baskets((2, 5, 7), 3) == [(2, 5, 7)] and len(baskets(range(10), 8)) == 45
    many = baskets(range(20), 8)
    assert len(set(many)) == len(many) == 64 and many == baskets(range(20), 8) and all(b == tuple(sorted(set(b))) for b in many)


def test_long_only_weights() -> None:
    weights = long_only_weights(torch.tensor([[1.0, 3.0, -2.0], [-1.0, 0.0, -1.0]]))
    assert weights.tolist() == [[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]
    assert long_only_weights(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 3.0])).tolist() == [0.75, 0.25]


@given(spread=arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1.0, 1.0)), window=st.integers(2, 8))
@settings(max_examples=50, deadline=None)
def test_spread_band(spread: np.ndarray, window: int) -> None:
    mean, deviation = spread_band(spread, window)
    assert np.isnan(mean[: window - 1]).all() and np.isnan(deviation[: window - 1]).all()
    for i in range(window - 1, len(spread)):
        part = spread[i - window + 1 : i + 1]
        np.testing.assert_allclose([mean[i], deviation[i]], [part.mean(), part.std()], atol=2e-7)


def test_arbitrage() -> None:
    cost, seen = 4 * 2.0e-4, []
    for series in arbitrage(ground(), HORIZON, 1.0, 20, 2.0, 0.5, HORIZON):
        pair = [MARKET.symbols.index(symbol) for symbol in series.symbols]
        bars = np.flatnonzero(np.isfinite(MARKET.close[:, pair]).all(axis=1))
        a, b = MARKET.close[np.ix_(bars, pair)].T
        spread = np.log(a / b)
        for row, end, label, earned in zip(series.rows, series.ends, series.labels, series.returns, strict=True):
            i = int(np.searchsorted(bars, row))
            mean, deviation = spread[i - 19 : i + 1].mean(), spread[i - 19 : i + 1].std()
            assert abs(spread[i] - mean) > 1.0 * deviation
            side = np.sign(spread[i] - mean)
            leave = next((u for u in range(i + 1, i + HORIZON) if side * (spread[u] - mean) <= 0), i + HORIZON)
            net = side * ((b[leave] / b[i] - 1) - (a[leave] / a[i] - 1)) - cost
            np.testing.assert_allclose(earned, net, rtol=1e-4, atol=1e-8)
            assert label == (net > 0) and end == bars[i + HORIZON]
            seen.append(int(label))
        entered = np.searchsorted(bars, series.rows)
        assert (np.diff(entered) >= HORIZON).all()
        # What a sample shows of the spread, before the features of both markets.
        i, shown = int(entered[-1]), series.inputs(np.array([len(entered) - 1]))[0]
        mean, deviation = spread[i - 19 : i + 1].mean(), spread[i - 19 : i + 1].std()
        earlier = (spread[i - HORIZON] - spread[i - HORIZON - 19 : i - HORIZON + 1].mean()) / spread[
            i - HORIZON - 19 : i - HORIZON + 1
        ].std()
        score = (spread[i] - mean) / deviation
        np.testing.assert_allclose(shown[:4], [score, abs(score), np.log1p(abs(spread[i] - mean) * 1e4), score - earlier], rtol=1e-4)
        assert np.array_equal(shown[4:], ground().inputs[series.rows[-1], pair].reshape(-1))
    assert 0.3 < np.mean(seen) < 1.0 and len(seen) > 50


def test_markets_are_related_by_the_training_part_alone() -> None:
    assert related_pairs(ground(), 0.5) == [(0, 1), (0, 2), (1, 2)] and related_pairs(ground(), 1.0) == []
    later = ground(disturbed(MARKET, int(len(MARKET) * 0.6)), "test")
    assert related_pairs(later, 0.5) == [(0, 1), (0, 2), (1, 2)]
    assert related_pairs(ground(disturbed(MARKET, 0)), 0.5) == []
