"""The seven by rules: against the formulas written out bar by bar, by the symmetries they must have, and on paths drawn to be one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.clock import HOUR
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.data import synthetic
from tradewind.regimes import SEVEN, RegimeRules, detector
from tradewind.regimes.rules import MEASURES

SMALL = {"fast": 5, "slow": 15, "memory": 40, "hold": 6}
BULL, BEAR, WILD, CALM, BREAKOUT, REVERSAL, CRISIS = range(7)


def bars(logs: Array, wick: float = 0.002) -> Market:
    """Bars of one symbol that open at the last close; `logs` (time,) log closes, wicks of `wick` on both sides."""
    closes = np.exp(logs)[:, None]
    opens = np.concatenate([closes[:1], closes[:-1]])
    times = np.arange(len(logs), dtype=np.int64) * HOUR
    highs, lows = np.maximum(opens, closes) * math.exp(wick), np.minimum(opens, closes) * math.exp(-wick)
    return Market(("X",), "1h", times, times + HOUR, opens, highs, lows, closes, np.ones_like(closes))


def soft(a: float) -> float:
    return 1 / (1 + math.exp(-a / 0.25))


def by_hand(market: Market, fast: int, slow: int, memory: int, hold: int) -> tuple[Array, Array]:
    """Measures and probabilities of one symbol without holes, from the words at the head of the file, every window gathered anew."""
    o, h, low, c = (np.log(getattr(market, name)[:, 0]) for name in ("open", "high", "low", "close"))
    gap = np.concatenate([[0.0], o[1:] - c[:-1]])
    variance = gap**2 + 0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2

    def smooth(values: Array, span: int) -> Array:
        out = [values[0]]
        for n, value in enumerate(values[1:], start=2):
            out.append(out[-1] + max(1 / n, 2 / (span + 1)) * (value - out[-1]))
        return np.array(out)

    quick, steady = np.sqrt(smooth(variance, fast)), np.sqrt(smooth(variance, slow))
    normal = smooth(np.log(quick), memory)
    measures, beliefs = np.full((len(c), 7), np.nan), np.full((len(c), 7), np.nan)
    belief, breakout, edge, reversal = np.full(7, 1 / 7), 0.0, 0.0, 0.0
    for t in range(fast + slow, len(c)):
        unit = steady[t] * math.sqrt(slow)
        trend, turn = (c[t] - c[t - slow]) / unit, (c[t] - c[t - fast]) / (quick[t] * math.sqrt(fast))
        before = (c[t - fast] - c[t - fast - slow]) / unit
        volatility = math.log(quick[t]) - normal[t]
        depth = (h[t - slow - fast + 1 : t + 1].max() - c[t]) / (math.exp(normal[t]) * math.sqrt(slow))
        top, bottom = h[t - slow : t].max(), low[t - slow : t].min()
        narrow = soft(math.sqrt(8 / math.pi) - (top - bottom) / unit)
        breakout = 0.0 if breakout * (c[t] - edge) < 0 else breakout * (1 - 1 / hold)
        if c[t] > top and soft((c[t] - top) / quick[t] - 1.0) * narrow > abs(breakout):
            breakout, edge = soft((c[t] - top) / quick[t] - 1.0) * narrow, top
        if c[t] < bottom and soft((bottom - c[t]) / quick[t] - 1.0) * narrow > abs(breakout):
            breakout, edge = -soft((bottom - c[t]) / quick[t] - 1.0) * narrow, bottom
        reversal = 0.0 if reversal * turn < 0 else reversal * (1 - 1 / hold)
        side = 1.0 if turn > 0 else -1.0
        turned = soft(-side * before - 1.0) * soft(abs(turn) - 0.7)
        reversal = side * turned if turned > abs(reversal) else reversal
        measures[t] = trend, turn, before, volatility, depth, breakout, reversal
        crisis = soft(volatility - math.log(1.5)) * soft(depth - 1.5) * soft(-turn)
        left = 1 - crisis
        broke = left * abs(breakout)
        left -= broke
        back = left * abs(reversal)
        left -= back
        bull, bear = left * soft(trend - 1.0), left * soft(-trend - 1.0)
        left -= bull + bear
        wild = left * soft(volatility - math.log(1.25))
        shares = np.array([bull, bear, wild, left - wild, broke, back, crisis])
        assert shares.sum() == pytest.approx(1.0)
        belief = (0.85 * belief + 0.15 / 6 * (1 - belief)) * (np.maximum(shares, 0) + 0.01) ** 0.3
        belief = belief / belief.sum()
        beliefs[t] = belief
    return measures, beliefs


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_rules_as_written(seed: int) -> None:
    market = synthetic.regimes(400, seed=seed).market
    measures, beliefs = by_hand(market, **SMALL)
    rules = RegimeRules(**SMALL)
    np.testing.assert_allclose(rules.measures(market)[:, 0], measures, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(rules.filter(market).probabilities[:, 0], beliefs, rtol=1e-7, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), price=st.floats(1e-4, 1e5), stretch=st.floats(0.05, 4))
def test_neither_price_nor_size_of_moves_matters(seed: int, price: float, stretch: float) -> None:
    market = synthetic.regimes(300, timeframe="15m", seed=seed).market
    other = {name: price * (getattr(market, name) / 100) ** stretch for name in ("open", "high", "low", "close")}
    moved = Market(market.symbols, "1d", np.arange(300) * 24 * HOUR, np.arange(1, 301) * 24 * HOUR, volume=market.volume, **other)
    rules = RegimeRules(**SMALL)
    np.testing.assert_allclose(rules.filter(moved).probabilities, rules.filter(market).probabilities, rtol=1e-6, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_market_upside_down_has_its_measures_turned(seed: int) -> None:
    market = synthetic.regimes(300, seed=seed).market
    mirrored = Market(
        market.symbols,
        "1h",
        market.open_time,
        market.known,
        1 / market.open,
        1 / market.low,
        1 / market.high,
        1 / market.close,
        market.volume,
    )
    rules = RegimeRules(**SMALL)
    up, down = rules.measures(market)[20:, 0], rules.measures(mirrored)[20:, 0]
    for name in ("trend", "turn", "before", "breakout", "reversal"):
        i = MEASURES.index(name)
        np.testing.assert_allclose(down[:, i], -up[:, i], rtol=1e-7, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(down[:, MEASURES.index("volatility")], up[:, MEASURES.index("volatility")], atol=1e-9)


def drawn(*moves: tuple[int, float, float], seed: int = 4) -> Array:
    """Log closes after stretches of (bars, mean, deviation) of log returns."""
    random = np.random.default_rng(seed)
    return np.cumsum(np.concatenate([random.normal(mean, deviation, n) for n, mean, deviation in moves]))


def reverting(n: int, deviation: float, seed: int = 4) -> Array:
    random = np.random.default_rng(seed)
    logs = np.zeros(n)
    for t in range(1, n):
        logs[t] = 0.85 * logs[t - 1] + deviation * random.standard_normal()
    return logs


QUIET = reverting(400, 0.004)


@pytest.mark.parametrize(
    ("regime", "logs"),
    [
        (BULL, np.concatenate([QUIET, QUIET[-1] + drawn((150, 0.002, 0.004))])),
        (BEAR, np.concatenate([QUIET, QUIET[-1] - drawn((150, 0.002, 0.004))])),
        (CALM, QUIET),
        (WILD, np.concatenate([QUIET, reverting(150, 0.012)])),
        (BREAKOUT, np.concatenate([QUIET, QUIET.max() + 0.03 + drawn((8, 0.002, 0.005))])),
        (BREAKOUT, np.concatenate([QUIET, QUIET.min() - 0.012 - drawn((6, 0.001, 0.002))])),
        (REVERSAL, drawn((300, 0.0, 0.004), (120, 0.003, 0.004), (16, -0.005, 0.004))),
        (REVERSAL, -drawn((300, 0.0, 0.004), (120, 0.003, 0.004), (16, -0.005, 0.004))),
        (CRISIS, np.concatenate([QUIET, drawn((40, -0.008, 0.014))])),
    ],
)
def test_each_regime_is_seen_where_it_is_drawn(regime: int, logs: Array) -> None:
    found = RegimeRules().filter(bars(logs))
    assert SEVEN[found.current[-1, 0]] == SEVEN[regime], found.probabilities[-1, 0].round(2)


def test_a_breakout_is_over_when_the_close_comes_back_and_fades_when_it_does_not() -> None:
    out = QUIET.max() + 0.03
    column = MEASURES.index("breakout")
    stays = RegimeRules().measures(bars(np.concatenate([QUIET, np.full(10, out)])))[-10:, 0, column]
    assert stays[0] > 0.9
    np.testing.assert_allclose(stays[1:] / stays[:-1], 1 - 1 / 20)
    returns = RegimeRules().measures(bars(np.concatenate([QUIET, [out, out, 0.0, 0.0]])))[-4:, 0, column]
    assert returns[1] > 0.8
    assert np.array_equal(returns[2:], [0, 0])


def test_a_price_that_stands_still_is_a_calm_range() -> None:
    found = RegimeRules(**SMALL).filter(synthetic.flat(100).market)
    assert (found.current[20:] == CALM).all()
    assert not np.isnan(found.probabilities[20:]).any()


def test_the_first_answer_is_that_of_the_bar_after_the_warm_up() -> None:
    rules = detector("rules", **SMALL)
    assert rules.warmup == 20
    found = rules.filter(synthetic.gappy(200, symbols=2, missing=0.3).market)
    market = synthetic.gappy(200, symbols=2, missing=0.3).market
    for s in range(2):
        there = np.flatnonzero(~np.isnan(market.close[:, s]))
        assert (found.current[there[:20], s] == -1).all()
        assert (found.current[there[20:], s] >= 0).all()
        assert (np.delete(found.current[:, s], there) == -1).all()


def test_holes_are_as_if_the_bars_had_never_been() -> None:
    market = synthetic.gappy(300, symbols=2, missing=0.3).market
    found = RegimeRules(**SMALL).filter(market)
    for symbol in market.symbols:
        alone = RegimeRules(**SMALL).filter(market.select([symbol]))
        column = market.symbols.index(symbol)
        there = ~np.isnan(market.close[:, column])
        assert found.probabilities[there, column].tobytes() == alone.probabilities[:, 0].tobytes()


def test_a_watch_says_what_it_is_shown_wrongly() -> None:
    market = synthetic.noise(10, symbols=2).market
    watch = RegimeRules().watch(market.symbols)
    with pytest.raises(DataError, match="one bar"):
        watch.update(market[:2])
    with pytest.raises(DataError, match="NOISE-1"):
        watch.update(market.select(["NOISE-2"])[:1])
    with pytest.raises(StateError):
        RegimeRules(**SMALL).watch(market.symbols).restore(watch.state())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slwo": 50}, "did you mean 'slow'"),
        ({"fast": 60}, "ascend"),
        ({"memory": 30}, "ascend"),
        ({"fast": 1}, "at least 2"),
        ({"hold": 2.5}, "whole number"),
        ({"stay": 1.0}, "below 1"),
        ({"evidence": 0.0}, "above 0"),
        ({"softness": 0}, "positive"),
        ({"thrust": -1}, "not negative"),
        ({"high_volatility": 0.9}, "above 1"),
        ({"crisis_depth": float("nan")}, "crisis_depth"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        detector("rules", **wrong)


def test_settings_travel_with_the_state() -> None:
    market = synthetic.regimes(200).market
    one = RegimeRules(**SMALL, trend=1.5)
    other = RegimeRules().restore(one.state())
    assert other.warmup == one.warmup
    assert other.filter(market).probabilities.tobytes() == one.filter(market).probabilities.tobytes()
    with pytest.raises(StateError, match="hmm"):
        RegimeRules().restore(detector("hmm").state())


def test_it_tells_the_seven_apart_on_labelled_paths() -> None:
    """Chance is a seventh; bench/regimes.py has the table."""
    made = synthetic.regimes(20_000, seed=1)
    found = RegimeRules().filter(made.market).current[:, 0]
    assert made.oracle.states is not None
    hits = [np.mean(found[made.oracle.states == k] == k) for k in range(7)]
    assert np.mean(hits) > 0.5
    assert min(hits) > 1 / 7
