"""`live_one_bar` is `live_through`, to the bit, lane by lane."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulate.reference import random_market, random_targets

from tradewind.core.types import Array
from tradewind.rl.arena import bars_of
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import live_one_bar

COSTS = st.builds(
    Costs,
    fee_bps=st.sampled_from([0.0, 10.0]),
    slippage_bps=st.sampled_from([0.0, 3.0]),
    slippage_volatility=st.sampled_from([0.0, 0.1]),
    volatility_bars=st.sampled_from([3, 50]),
    max_leverage=st.sampled_from([0.5, 1.0, 4.0]),
    min_trade=st.sampled_from([0.0, 0.05]),
)


def walked(bars: Array, due: Array, costs: Costs, capital: float) -> tuple[Array, Array, Array, Array]:
    """Equity, cash, quantity and turnover (time, lane) of one account a symbol, bar by bar from row 1."""
    width, n = bars.shape[:2]
    told = np.full((4, n, width), np.nan)
    symbols, purses, helds = np.arange(width), np.full(width, capital), np.zeros(width)
    equity, traded = np.empty(width), np.empty(width)
    for t in range(1, n):
        live_one_bar(bars, symbols, np.full(width, t), due[t], costs.rates(), purses, helds, equity, traded)
        told[:, t] = equity, purses, helds, traded
    return told[0], told[1], told[2], told[3]


@given(seed=st.integers(0, 10**6), costs=COSTS, funding=st.booleans(), volatility=st.sampled_from([0.02, 0.4]))
@settings(deadline=None, max_examples=60)
def test_each_lane_lives_as_a_book_of_one_symbol(seed: int, costs: Costs, funding: bool, volatility: float) -> None:
    market = random_market(seed, bars=30, symbols=3, missing=0.0, funding=funding, volatility=volatility)
    targets = random_targets(seed, 30, 3, size=costs.max_leverage * 1.5)
    due = np.full_like(targets, np.nan)
    due[2:] = targets[1:-1]
    equity, cash, quantities, traded = walked(bars_of(market, costs), due, costs, 1000.0)
    for s, symbol in enumerate(market.symbols):
        alone = market.select([symbol])
        wanted = targets[:, s].copy()
        wanted[0] = np.nan
        book = Book(alone.symbols, costs, 1000.0)
        record = book.advance(alone, wanted)
        assert record.equity[1:].tobytes() == equity[1:, s].tobytes()
        np.testing.assert_allclose(traded[1:, s], record.traded[1:], rtol=1e-9, atol=1e-12)
        alive = record.equity[1:] > 0
        assert record.cash[1:][alive].tobytes() == cash[1:, s][alive].tobytes()
        assert record.quantities[1:, 0][alive].tobytes() == quantities[1:, s][alive].tobytes()
        assert (quantities[1:, s][~alive] == 0).all()


def test_some_accounts_are_ruined() -> None:
    """The property above would be idle where nobody ever fails."""
    market = random_market(1, bars=200, symbols=8, missing=0.0, volatility=0.4)
    costs = Costs(max_leverage=4.0)
    due = np.full(market.close.shape, -4.0)
    equity, _, quantities, _ = walked(bars_of(market, costs), due, costs, 1.0)
    dead = equity[-1] <= 0
    assert dead.any()
    assert (quantities[-1][dead] == 0).all()
    assert (np.diff(equity[1:], axis=0)[:, dead][-1] == 0).all()


def test_a_market_without_marks_funding_and_slippage_of_its_own_has_neutral_numbers() -> None:
    market = random_market(3, bars=5, symbols=2, missing=0.0)
    bars = bars_of(market, Costs(slippage_bps=2.0))
    assert np.array_equal(bars[:, :, 1].T, market.close)
    assert np.array_equal(bars[:, 1:, 2], bars[:, :-1, 1])
    assert (bars[:, :, 3] == 0).all()
    assert (bars[:, :, 4] == 2e-4).all()
