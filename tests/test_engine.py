from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from simulate.reference import NO, random_market, random_targets, table
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market
from tradewind.core.types import Array, Outcome, Target, View
from tradewind.engine import Backtest, backtest, run, targets, walk
from tradewind.simulate.account import Book, walk_band
from tradewind.simulate.costs import Costs


class Cross:
    """Depends on prices alone; says the same all at once."""

    warmup = 5

    def decide(self, view: View) -> Target:
        close = view.market.close[-5:]
        return Target(np.sign(close[-1] - close[0]) / len(view.market.symbols))

    def decide_all(self, market: Market) -> Array:
        decided = np.full(market.close.shape, NO)
        decided[4:] = np.sign(market.close[4:] - market.close[:-4]) / len(market.symbols)
        return decided


class OnlyDecides:
    """Anything with `warmup` and `decide` is a strategy; this one looks at its own book."""

    warmup = 3

    def decide(self, view: View) -> Target:
        held = view.portfolio.weights
        step = np.nan_to_num(view.market.close[-1] / view.market.close[-3] - 1)
        return Target(np.clip(held + np.where(held > 0.2, -0.5, 5 * step), -0.6, 0.6))


class Banded:
    """Path-dependent, with a fast way through `walk_band`."""

    warmup = 2

    def decide(self, view: View) -> Target:
        desired = self.desired(view.market.close[-2:])[-1]
        return Target(np.where(np.abs(desired - view.portfolio.weights) < 0.15, NO, desired))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Array:
        desired = np.full(market.close.shape, NO)
        desired[1:] = self.desired(market.close)
        first = max(start, 1)
        own = Book(market.symbols) if book is None else book.copy()
        own.advance(market[start:first], np.full(market.close[start:first].shape, NO))
        return walk_band(market, desired, 0.15, own, first)

    @staticmethod
    def desired(close: Array) -> Array:
        return np.clip(20 * (close[1:] / close[:-1] - 1), -0.5, 0.5)


class Learner:
    """Trades the way that lately paid, as its outcomes tell it."""

    warmup = 2
    horizon = 3

    def __init__(self) -> None:
        self.lean = 0.0
        self.heard: list[Outcome] = []

    def learn(self, outcome: Outcome) -> None:
        self.heard.append(outcome)
        self.lean = 0.8 * self.lean + float(np.nan_to_num(outcome.returns).sum()) + 0.01 * float(outcome.weights.sum())

    def decide(self, view: View) -> Target:
        return Target(np.full(len(view.market.symbols), np.tanh(10 * self.lean) / len(view.market.symbols)))


STRATEGIES = [Cross, OnlyDecides, Banded, Learner]


def equal(a: Array, b: Array) -> None:
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("latency", [1, 2, 3])
@pytest.mark.parametrize("funding", [False, True])
def test_bar_by_bar_is_all_at_once(kind: Any, latency: int, funding: bool) -> None:
    costs = Costs(latency=latency, slippage_volatility=0.1)
    for symbols in (1, 3):
        bars = random_market(latency, 90, symbols, funding=funding)
        fast, slow = backtest(kind(), bars, costs, 50.0), run(kind(), bars, costs, 50.0)
        equal(fast.targets, slow.targets)
        for name in ("equity", "returns", "positions", "weights", "fees", "slippage", "funding", "turnover"):
            assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes(), name
        assert np.isfinite(fast.targets).any()
        assert fast.positions.any()


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("start", [0, 1, 30, 89, 90])
def test_walking_is_deciding_all_at_once_from_any_start_and_book(kind: Any, start: int) -> None:
    bars, costs = random_market(5, 90, 2), Costs(latency=2)
    book = Book(bars.symbols, costs, 3.0)
    book.advance(bars[:start], random_targets(5, start, 2))
    before = book.state()
    fast, slow = targets(kind(), bars, book, start), walk(kind(), bars, book, start)
    equal(fast, slow)
    assert np.isnan(fast[: max(start, kind.warmup - 1)]).all()
    assert book.state() == before


@pytest.mark.parametrize("kind", [Cross, OnlyDecides, Banded])
def test_one_account_through_parts_is_one_backtest(kind: Any) -> None:
    bars, costs = random_market(6, 100, 2), Costs(latency=2)
    book, parts = Book(bars.symbols, costs), []
    for begin, end in ((0, 40), (40, 41), (41, 100)):
        parts.append(targets(kind(), bars[:end], book, begin)[begin:])
        book.advance(bars[begin:end], parts[-1])
    equal(np.concatenate(parts), backtest(kind(), bars, costs).targets)
    assert book.equity == backtest(kind(), bars, costs).equity[-1]


def test_a_late_start_holds_nothing_before() -> None:
    bars = random_market(7, 60, 2)
    late = run(Cross(), bars, start=20)
    assert np.isnan(late.targets[:20]).all()
    assert (late.equity[:21] == 1).all()
    assert len(late.equity) == 60
    equal(late.targets[20:], run(Cross(), bars).targets[20:])


@pytest.mark.parametrize("horizon", [1, 3, 7])
def test_outcomes_come_when_they_are_known_before_the_next_decision(horizon: int) -> None:
    bars = random_market(8, 40, 2)
    learner = Learner()
    learner.horizon = horizon
    lived = run(learner, bars)
    assert len(learner.heard) == 40 - horizon - 1  # asked from bar 1 on, answered `horizon` bars later
    for asked, outcome in enumerate(learner.heard, start=1):
        assert outcome.asked == bars.known[asked]
        assert outcome.known == bars.known[asked + horizon]
        equal(outcome.returns, bars.close[asked + horizon] / bars.close[asked] - 1)
        equal(outcome.weights, lived.weights[asked + 1])


def test_a_strategy_without_a_horizon_is_never_taught() -> None:
    learner = Learner()
    learner.horizon = 0
    run(learner, random_market(8, 40, 2))
    assert learner.heard == []


def test_a_backtest_teaches_a_copy_and_so_repeats_itself() -> None:
    bars, learner = random_market(9, 60, 1), Learner()
    first, second = backtest(learner, bars), backtest(learner, bars)
    equal(first.targets, second.targets)
    assert learner.heard == []


def test_nothing_later_than_the_bar_is_in_the_view() -> None:
    bars, seen = random_market(10, 30, 1), []

    class Watcher:
        warmup = 4

        def decide(self, view: View) -> Target:
            seen.append((len(view.market), view.now, view.market.close.flags.writeable))
            return Target(np.zeros(1))

    run(Watcher(), bars)
    assert seen == [(t + 1, int(bars.known[t]), False) for t in range(3, 30)]


def test_the_public_face_works_as_written() -> None:
    market = table([[10], [10], [20]], [[10], [10], [20]])
    b = tw.backtest(np.array([0.5, 0, NO]), market, costs=tw.Costs(fee_bps=10, slippage_bps=0, latency=1))
    assert b.equity == pytest.approx([1, 0.9995, 1.4985])
    assert b.fees == pytest.approx([0, 0.0005, 0.001])
    assert b.positions[:, 0] == pytest.approx([0, 0.05, 0])
    assert b.returns == pytest.approx([0, -0.0005, 0.499 / 0.9995])
    assert b.weights[:, 0] == pytest.approx([0, 0.5 / 0.9995, 0])
    assert b.slippage.tolist() == b.funding.tolist() == [0, 0, 0]
    assert b.turnover == pytest.approx([0, 0.5, 1 / 1.4995])
    assert (b.market, b.costs, b.capital) == (market, tw.Costs(slippage_bps=0), 1.0)


def test_weights_stand_at_the_last_close_and_returns_stop_at_ruin() -> None:
    gap = backtest([1, NO, NO, NO], table([[10], [10], [NO], [20]], [[10], [15], [NO], [20]]), Costs.zero())
    assert gap.weights[:, 0].tolist() == [0, 1, 1, 1]
    ruin = backtest([-1, -1, -1, -1], table([[10], [10], [5], [5]], [[10], [25], [5], [5]]), Costs.zero())
    assert ruin.returns.tolist() == [0, -1.5, 0, 0]
    assert ruin.weights[:, 0].tolist() == [0, 0, 0, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 50))
def test_returns_compound_to_the_equity(seed: int, n: int) -> None:
    bars = random_market(seed, n, 2)
    b = backtest(random_targets(seed, n, 2), bars, capital=7.0)
    assert 7.0 * np.prod(1 + b.returns) == pytest.approx(b.equity[-1], rel=1e-12)
    assert b.returns[0] == 0


class Answers:
    """Gives back what it was told to."""

    warmup = 1

    def __init__(self, one: object, all_: object = None) -> None:
        self.one, self.all = one, all_
        if all_ is not None:
            self.decide_all = lambda market: all_

    def decide(self, view: View) -> Any:
        return self.one


def test_wrong_answers_say_whose_they_are_and_where() -> None:
    bars = random_market(11, 10, 2)
    for ask in (walk, run):
        with pytest.raises(DataError, match=r"bar 0: Answers.decide returned ndarray; return tradewind.Target"):
            ask(Answers(np.zeros(2)), bars)
        with pytest.raises(DataError, match=r"bar 0: Answers.decide wants \(3,\) weights, expected \(2,\)"):
            ask(Answers(Target(np.zeros(3))), bars)
    with pytest.raises(DataError, match=r"Answers.decide_all: targets have shape \(9, 2\), expected \(time, symbol\) = \(10, 2\)"):
        targets(Answers(None, np.zeros((9, 2))), bars)
    infinite = np.zeros((10, 2))
    infinite[4, 1] = np.inf
    with pytest.raises(DataError, match=r"Answers.decide_all: bar 4: the target of B is inf"):
        backtest(Answers(None, infinite), bars)


def test_rows_before_the_warmup_and_the_start_are_blanked() -> None:
    bars = random_market(11, 10, 2)
    eager = Answers(None, np.ones((10, 2)))
    eager.warmup = 4
    decided = targets(eager, bars)
    assert np.isnan(decided[:3]).all()
    assert (decided[3:] == 1).all()
    assert np.isnan(targets(eager, bars, start=6)[:6]).all()
    assert (eager.all == 1).all()  # the strategy's own array is left alone
    patient = copy.copy(eager)
    patient.warmup = 100
    assert np.isnan(targets(patient, bars)).all()
    assert np.isnan(walk(Answers(Target(np.ones(2))), bars, start=10)).all()


def test_decide_all_gets_only_the_arguments_that_it_takes() -> None:
    bars, told = random_market(11, 10, 1), []

    class Takes:
        warmup = 1

        def decide(self, view: View) -> Target:
            return Target(np.zeros(1))

        def decide_all(self, market: Market, **extra: object) -> Array:
            told.append(extra)
            return np.zeros((len(market), 1))

    class Starts(Takes):
        def decide_all(self, market: Market, start: int) -> Array:  # type: ignore[override]
            told.append(start)
            return np.zeros((len(market), 1))

    book = Book(bars.symbols)
    targets(Takes(), bars, book, 3)
    targets(Starts(), bars, book, 4)
    assert told == [{"book": book, "start": 3}, 4]


def test_impossible_settings_are_refused() -> None:
    bars = random_market(12, 10, 1)
    with pytest.raises(SettingsError, match=r"costs is 10; write tradewind.Costs"):
        backtest(np.zeros(10), bars, costs=10)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="capital"):
        backtest(np.zeros(10), bars, capital=0)
    for start in (-1, 11):
        with pytest.raises(SettingsError, match="the market has 10 bars"):
            walk(Cross(), bars, start=start)
    with pytest.raises(DataError, match="expected"):
        backtest(np.zeros(9), bars)


def test_a_book_of_other_symbols_is_refused() -> None:
    with pytest.raises(DataError, match="give the book the market's"):
        walk(Cross(), random_market(12, 10, 1), Book(("X",)))


def test_an_empty_market_gives_an_empty_backtest() -> None:
    bars = random_market(12, 10, 2)[:0]
    for b in (backtest(np.empty((0, 2)), bars), run(Cross(), bars)):
        assert isinstance(b, Backtest)
        assert len(b.equity) == len(b.returns) == len(b.fees) == len(b.weights) == 0
