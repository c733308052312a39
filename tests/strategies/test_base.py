from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.core.types import View
from tradewind.engine import walk
from tradewind.simulate.account import Book
from tradewind.strategies.base import Strategy

from .markets import behaves, panel, same


class Mine(tw.Strategy):
    warmup = 21

    def decide(self, view):
        c = view.market.close
        return tw.Target(np.sign(c[-1] / c[-21] - 1.0))


class Counting(Strategy):
    """Remembers plain data of every kind."""

    def __init__(self) -> None:
        self.seen = 0
        self.kept = {"prices": [], "last": np.zeros(2), "limits": (1.0, float("inf")), 3: None}
        self._cache = object()

    def decide(self, view: View) -> tw.Target:
        self.seen += 1
        self.kept["prices"].append(float(view.market.close[-1, 0]))
        self.kept["last"] = view.market.close[-1].copy()
        return tw.Target(np.full(len(view.market.symbols), (self.seen % 3 - 1) / 4))


def clean(bars: int = 90) -> tw.Market:
    return panel(100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, (bars, 2)), axis=0)))


def test_the_class_of_the_readme(tmp_path: object) -> None:
    market = clean()
    targets = behaves(Mine, market, tmp_path)
    np.testing.assert_array_equal(targets[20:], np.sign(market.close[20:] / market.close[:-20] - 1.0))
    assert isinstance(Mine(), StrategyLike)


def test_only_decide_is_abstract() -> None:
    with pytest.raises(TypeError, match="decide"):
        Strategy()
    mine = Mine()
    assert mine.fit(clean()) is mine
    assert (mine.warmup, mine.refit_every, mine.horizon) == (21, 1, 0)
    mine.learn(None)
    mine.reseed(3)
    assert vars(mine) == {}


def test_default_decide_all_is_the_loop_and_leaves_the_book_alone() -> None:
    market, book = clean(), Book(("S0", "S1"))
    before = book.state()
    same(Mine().decide_all(market, book, 30), walk(Mine(), market, book, 30))
    assert np.isnan(Mine().decide_all(market, book, 30)[:30]).all()
    assert book.state() == before


def test_default_state_takes_plain_data_through_files(tmp_path: object) -> None:
    market, one = clean(), Counting()
    walk(one, market[:50])
    save_state(tmp_path, one.state())
    two = Counting()
    two.kept, two.stale = None, "left over"
    cache = two._cache
    two.restore(load_state(tmp_path))
    assert two.seen == one.seen == 50
    assert two.kept["limits"] == (1.0, float("inf"))
    assert two.kept[3] is None
    np.testing.assert_array_equal(two.kept["last"], market.close[49])
    assert not hasattr(two, "stale")
    assert two._cache is cache
    assert two.state() == one.state()
    # The state is a copy: what happens later does not reach it.
    saved = one.state()
    walk(one, market[:3])
    assert saved == two.state()


def test_state_refuses_what_is_not_data_and_names_it() -> None:
    one = Counting()
    one.kept["model"] = [object()]
    with pytest.raises(StateError, match=r"Counting\.kept\['model'\]\[0\] is a object.*implement state"):
        one.state()
    one.kept = np.array([object()])
    with pytest.raises(StateError, match=r"Counting\.kept is a ndarray"):
        one.state()


def test_state_of_another_class_is_refused() -> None:
    with pytest.raises(StateError, match=r"of 'Counting', not of 'Mine'"):
        Mine().restore(Counting().state())
    with pytest.raises(StateError, match="no attributes"):
        Mine().restore(tw.State({"class": "Mine"}))
    with pytest.raises(StateError, match="cannot be read"):
        Mine().restore(tw.State({"class": "Mine", "attributes": {"x": {"$": "array", "at": "gone"}}}))
