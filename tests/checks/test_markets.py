"""The markets of the checks: untidy ones are untidy in every promised way, ruined ones keep their past, planted edges can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind import engine
from tradewind.checks import markets
from tradewind.core.seeds import generator
from tradewind.simulate.costs import Costs

FIELDS = ("open", "high", "low", "close", "volume")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(150, 700))
def test_untidy_markets_have_gaps_of_every_kind(seed: int, bars: int) -> None:
    market = markets.untidy(bars, seed)
    missing = np.isnan(market.close)
    assert len(market) == bars
    assert len(market.symbols) == 3
    assert (np.diff(market.open_time) > market.step).sum() == 3
    assert missing.any(axis=0).all()
    assert not missing.all(axis=1).any()
    assert missing[: bars // 20, 2].all()
    assert len(markets.gaps(market)) > 5
    assert markets.untidy(bars, seed).digest == market.digest != markets.untidy(bars, seed + 1).digest


def test_gaps_are_the_bars_right_after() -> None:
    market = markets.untidy(400, 3)
    for bar in markets.gaps(market):
        late = market.open_time[bar] - market.open_time[bar - 1] > market.step
        back = (np.isnan(market.close[bar - 1]) & ~np.isnan(market.close[bar])).any()
        assert late or back
    assert markets.gaps(markets.tidy(50, 1)) == []


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(markets.RUINS), st.integers(1, 299), st.integers(0, 10**6))
def test_a_ruined_market_keeps_its_past_and_loses_its_future(kind: str, cut: int, seed: int) -> None:
    market = markets.untidy(300, 7)
    other = markets.ruined(market, cut, kind, generator(seed, "ruin"))
    for name in (*FIELDS, "open_time"):
        assert np.array_equal(getattr(other, name)[:cut], getattr(market, name)[:cut], equal_nan=True)
    changed = ~((other.close == market.close) | (np.isnan(other.close) & np.isnan(market.close)))
    if kind == "another future of one symbol":
        assert changed.any(axis=0).sum() <= 1
    if cut < 290:
        assert changed[cut:].any()


def test_detached_markets_share_no_memory() -> None:
    market = markets.untidy(100, 1)
    alone = markets.detached(market[:50])
    assert alone.digest == market[:50].digest
    for name in FIELDS:
        array = getattr(alone, name)
        assert not np.shares_memory(array, getattr(market, name))
        assert len(array.base if array.base is not None else array) == 50


@pytest.mark.parametrize("kind", markets.PLANTED)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_edge_can_be_seen_by_who_knows_it(kind: str, seed: int) -> None:
    bars = 6000 if kind.startswith("slow") else 1500
    market = markets.planted(kind, bars, seed)
    price = np.log(market.close)
    past = np.full_like(price, np.nan)
    lookback = {"momentum": 60, "slow momentum": 60, "reversal": 20, "waves": 8}[kind]
    past[lookback:] = price[lookback:] - price[:-lookback]
    returns = engine.backtest(np.sign(past) * (-1 if kind == "reversal" else 1) / 2, market, Costs.zero()).returns
    assert returns.mean() / returns.std() * np.sqrt(bars) > 3


def test_noise_has_no_drift_that_the_past_shows() -> None:
    values = []
    for seed in range(20):
        market = markets.noise(1500, seed)
        past = np.sign(np.diff(np.log(market.close), axis=0, prepend=np.nan)) / 3
        returns = engine.backtest(past, market, Costs.zero()).returns
        values.append(returns.mean() / returns.std() * np.sqrt(1500))
    assert abs(np.mean(values)) < 1
    assert np.max(np.abs(values)) < 4.5
