"""Several timeframes: joined when they are known and not before, the same bar by bar, and of one mind when they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.clock import HOUR
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.market import Market
from tradewind.data import resample, synthetic
from tradewind.regimes import FOUR, CrossRegimes, Timeframes, detector, mapped
from tradewind.regimes.base import RegimeFilter

SMALL = {"fast": 3, "slow": 6, "memory": 20, "hold": 4}
SLOWER = ("4h", "12h")


def reading(market: Market, **more: object) -> CrossRegimes:
    return Timeframes(SLOWER, settings=SMALL, **more).read(market)  # type: ignore[arg-type]


def test_a_slow_regime_counts_from_the_close_of_its_bar() -> None:
    market = synthetic.regimes(400, seed=3).market
    found = reading(market)
    slow = resample(market, "4h")
    own = mapped(detector("rules", **SMALL).filter(slow), "four").probabilities[:, 0]
    for t in range(len(market)):
        closed = np.flatnonzero(slow.known <= market.known[t])
        expected = own[closed[-1]] if len(closed) else np.full(4, np.nan)
        np.testing.assert_array_equal(found.probabilities[t, 0, 1], expected)


def test_the_fastest_is_the_market_itself() -> None:
    market = synthetic.regimes(200, seed=3).market
    found = reading(market)
    assert found.timeframes == ("1h", "4h", "12h")
    assert found.names == FOUR
    own = mapped(detector("rules", **SMALL).filter(market), "four").probabilities
    np.testing.assert_array_equal(found.probabilities[:, :, 0], own)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), start=st.integers(0, 13), missing=st.sampled_from([0.0, 0.1, 0.5]), cut=st.integers(1, 299))
def test_bar_by_bar_to_the_bit_through_holes_and_a_restore(seed: int, start: int, missing: float, cut: int) -> None:
    market = synthetic.gappy(300, symbols=2, seed=seed, missing=missing).market[start:]
    plan = Timeframes(SLOWER, settings=SMALL, weights=(1, 2, 4))
    whole, watch = plan.read(market), plan.watch(market.symbols)
    for t in range(len(market)):
        if t == cut:
            watch = Timeframes(SLOWER, settings=SMALL).restore(plan.state()).watch(market.symbols).restore(watch.state())
        row = watch.update(market[t : t + 1])
        np.testing.assert_array_equal(row.probabilities[0], whole.probabilities[t])
        np.testing.assert_array_equal(row.agreement[0], whole.agreement[t])
        np.testing.assert_array_equal(row.consensus.probabilities[0], whole.consensus.probabilities[t])


@settings(max_examples=12, deadline=None)
@given(cut=st.integers(1, 399))
def test_no_later_bar_changes_an_earlier_row(cut: int) -> None:
    market = synthetic.regimes(400, seed=9, symbols=2).market
    whole, part = reading(market), reading(market[:cut])
    assert whole.probabilities[:cut].tobytes() == part.probabilities.tobytes()
    assert whole.agreement[:cut].tobytes() == part.agreement.tobytes()


def test_agreement_is_the_weight_of_those_of_one_mind() -> None:
    market = synthetic.regimes(600, seed=5).market
    found = reading(market, weights=(1, 1, 2))
    layers, weights = found.probabilities[:, 0], np.array([0.25, 0.25, 0.5])
    for t in range(300, 600):
        assert not np.isnan(layers[t]).any()
        minds = layers[t].argmax(axis=1)
        assert found.agreement[t, 0] == pytest.approx(max(weights[minds == mind].sum() for mind in minds))
        np.testing.assert_allclose(found.consensus.probabilities[t, 0], weights @ layers[t])
    # Before the slower ones are warm, whoever has a regime shares the weight.
    early = np.flatnonzero(~np.isnan(found.agreement[:, 0]))[0]
    assert found.agreement[early, 0] == 1.0
    np.testing.assert_array_equal(found.consensus.probabilities[early, 0], layers[early, 0])


def test_a_long_trend_is_one_mind() -> None:
    steps = np.random.default_rng(1).normal(0.003, 0.004, 1_000)
    closes = 100 * np.exp(np.cumsum(steps))[:, None]
    opens = np.concatenate([[[100.0]], closes[:-1]])
    times = np.arange(1_000, dtype=np.int64) * HOUR
    bars = (opens, np.maximum(opens, closes), np.minimum(opens, closes), closes, np.ones_like(closes))
    found = reading(Market(("X",), "1h", times, times + HOUR, *bars))
    assert found.agreement[-1, 0] == 1.0
    assert found.consensus.current[-1, 0] == FOUR.index("bull")


def test_detectors_that_learn_are_fitted_on_bars_of_their_own_and_keep_their_names() -> None:
    market = synthetic.switching(2_000, timeframe="1h").market
    plan = Timeframes(("4h",), detector="hmm").fit(market[:1_500])
    found = plan.read(market)
    assert found.names == plan.filters[0].names != FOUR
    alone: RegimeFilter = detector("hmm").fit(resample(market[:1_500], "4h"))
    last = alone.filter(resample(market, "4h")).probabilities[-1, 0]
    np.testing.assert_array_equal(found.probabilities[-1, 0, 1], last)


def test_faults() -> None:
    market = synthetic.noise(50).market
    with pytest.raises(SettingsError, match="ascend"):
        Timeframes(("1d", "4h"))
    with pytest.raises(SettingsError, match="ascend"):
        Timeframes(())
    with pytest.raises(SettingsError, match="2 weights for 3 timeframes"):
        Timeframes(("4h", "1d"), weights=(1, 1))
    with pytest.raises(SettingsError, match="positive"):
        Timeframes(("4h",), weights=(1, 0))
    with pytest.raises(SettingsError, match="did you mean 'rules'"):
        Timeframes(("4h",), detector="rule")
    with pytest.raises(SettingsError, match="multiple"):
        Timeframes(("90m",)).read(market)
    late = Market(
        market.symbols, "1h", market.open_time, market.known + HOUR, market.open, market.high, market.low, market.close, market.volume
    )
    with pytest.raises(DataError, match="bar 0 is known a bar's length"):
        Timeframes(("4h",)).read(late)
    watch = Timeframes(("4h",), settings=SMALL).watch(market.symbols)
    with pytest.raises(StateError):
        Timeframes(("4h",), settings=SMALL).watch(("OTHER",)).restore(watch.state())
    with pytest.raises(StateError):
        Timeframes(SLOWER, settings=SMALL).watch(market.symbols).restore(watch.state())
    with pytest.raises(StateError, match="kind"):
        Timeframes(("4h",)).restore(detector("rules").state())


def test_too_short_for_a_slow_bar_is_no_error() -> None:
    market = synthetic.noise(10).market
    found = Timeframes(("1d",), settings=SMALL).read(market)
    assert np.isnan(found.probabilities[:, :, 1]).all()
