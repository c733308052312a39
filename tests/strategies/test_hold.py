from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tradewind.engine import backtest, walk
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.hold import Hold

from .markets import behaves, flat, gappy, panel, same


@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("market", [gappy(), flat(), gappy(symbols=1, missing=0.3)], ids=["gappy", "flat", "one"])
def test_promises(market: object, latency: int, tmp_path: object) -> None:
    behaves(Hold, market, tmp_path, Costs(latency=latency))


def test_buys_each_symbol_when_it_is_listed_and_never_trades_again() -> None:
    market = gappy(bars=300, missing=0.0)
    result = backtest(Hold(), market, Costs(fee_bps=10))
    first = np.argmax(~np.isnan(market.close), axis=0)
    asked = np.argwhere(~np.isnan(result.targets))
    np.testing.assert_array_equal(asked, sorted([[first[s], s] for s in range(3)]))
    np.testing.assert_array_equal(np.flatnonzero(result.turnover), sorted({int(bar) + 1 for bar in first}))
    assert (result.positions[-1] > 0).all()


def test_a_winner_grows_beyond_twice_its_share_and_is_kept() -> None:
    market = panel(np.stack([np.linspace(1, 60, 80), np.full(80, 2.0), np.full(80, 3.0)], axis=1))
    result = backtest(Hold(), market, Costs.zero())
    assert result.weights[-1, 0] > 2 / 3
    assert np.isnan(result.targets[1:]).all()


def test_asks_again_while_a_fill_is_impossible() -> None:
    close = np.array([[1.0, 1.0], [np.nan, 1.0], [np.nan, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    targets = Hold().decide_all(panel(close))
    # What is left for it is what the other's costs have left.
    np.testing.assert_allclose(targets[:, 0], [0.5, np.nan, np.nan, 0.5, np.nan, np.nan], rtol=1e-3)
    never = Book(("S0", "S1"), Costs(min_trade=0.6))
    same(Hold().decide_all(panel(close), never), walk(Hold(), panel(close), never))
    assert (Hold().decide_all(panel(close), never)[3:] == 0.5).all()


def test_goes_on_with_what_the_book_holds() -> None:
    market = gappy(missing=0.0)
    book = Book(market.symbols)
    book.advance(market[:200], Hold().decide_all(market[:200]))
    assert np.isnan(Hold().decide_all(market, book, 200)).all()


def test_a_symbol_listed_late_is_bought_with_the_cash_that_waited_for_it() -> None:
    close = np.stack([np.linspace(1, 60, 80), np.r_[np.full(60, np.nan), np.full(20, 2.0)]], axis=1)
    result = backtest(Hold(), panel(close), Costs.zero())
    assert result.weights[-1, 1] == pytest.approx(0.5 / result.equity[-1], rel=1e-3)
    # The share is of the equity at the decision; the fill comes at the next open, where it may be worth a little more.
    assert (result.record.cash >= -0.01 * result.equity).all()


def test_funding_is_paid_by_selling_a_part_and_never_by_a_growing_debt(tmp_path: Path) -> None:
    market = dataclasses.replace(gappy(missing=0.0), funding_rate=np.full(gappy(missing=0.0).close.shape, 0.002))
    result = backtest(Hold(), market)
    assert (result.record.cash >= -0.06 * result.equity).all()
    assert (result.record.cash[-1] < 0) and (result.equity > 0).all()
    behaves(Hold, market, tmp_path)
