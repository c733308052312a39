"""A member of an ensemble: a strategy with a paper account of its own, which is sent into quarantine when it fails.

Alone in its account a member sees a portfolio that it chose, and what the account earns, after costs, is what the member is worth. Source:
the specialists of Freund, Schapire, Singer, Warmuth, "Using and combining predictors that specialize", STOC 1997,
https://doi.org/10.1145/258533.258616: who has no opinion sleeps, and is neither praised nor blamed. Costs the member's own decisions and
one pass of the accounting kernel. Fails to tell a member that is wrong from one that is broken: only errors, answers of another shape,
infinite weights and lateness count as broken.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import Clock
from tradewind.core.errors import DataError, MissingExtra, StateError
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.core.types import Array, Outcome, State, Target, Targets, View
from tradewind.engine import Backtest, targets
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.registry import describe

__all__ = ["Answer", "Deadline", "Member", "Track", "names_of"]


@final
@dataclass(frozen=True)
class Deadline:
    """How long a member may take to decide, in `seconds` by `clock`. Only who trades live sets one: a backtest asks no clock."""

    clock: Clock
    seconds: float


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What a member did at one bar: `wanted` (symbol,) its target, NaN keeps, `held` (symbol,) the weights in its account at that close.

    `earned`: its net return over the bar. `awake`: whether it has an opinion and is not in quarantine.
    """

    wanted: Array
    held: Array
    earned: float
    awake: bool


@final
@dataclass(frozen=True, eq=False)
class Track:
    """The answers of a member over many bars: `wanted` and `held` (time, symbol), `earned` (time,), `awake` (time,)."""

    wanted: Targets
    held: Array
    earned: Array
    awake: NDArray[np.bool_]

    def __getitem__(self, row: int) -> Answer:
        """The answer at one bar."""
        return Answer(self.wanted[row], self.held[row], float(self.earned[row]), bool(self.awake[row]))


@final
class Member:
    """`strategy`, fitted, and its paper account under `costs`, flat before its first bar.

    A member sleeps until it first asks for something, and for good once its account is ruined. One that raises, answers with another shape
    or infinite weights, or is late, is told to be flat and is asked again after `quarantine` bars; `fault` says what happened last. One
    that learns from outcomes gets them as the engine would deliver them, on a copy.
    """

    def __init__(self, given: StrategyLike, costs: Costs, quarantine: int) -> None:
        self.horizon = int(getattr(given, "horizon", 0))
        self._changes = self.horizon > 0 or bool(getattr(given, "remembers", False))
        self.strategy = copy.deepcopy(given) if self._changes else given
        self.fault = ""
        self._costs, self._quarantine = costs, quarantine
        self._book: Book | None = None
        self._spoken, self._out, self._decided = False, 0, 0
        self._recent: list[Array] = []

    def closes(self, symbols: int) -> Array:
        """(symbol,) the last close of each of its `symbols` that it lived through, NaN before its first."""
        return np.full(symbols, np.nan) if self._book is None else self._book.closes

    @property
    def quarantined(self) -> int:
        """Bars until it is asked again; 0 when it is not in quarantine."""
        return self._out

    def live(self, market: Market, begin: int) -> Track:
        """Live through `market` from bar `begin` on, the bars before being history, with a new account; what it did there.

        At one go where it can; one that fails on the way, or changes as it is asked, bar by bar, which gives the same answers.
        """
        self._book = Book(market.symbols, self._costs)
        wanted = None if self._changes else self._at_one_go(market, begin)
        if wanted is None:
            return _joined([self.step(market[: t + 1]) for t in range(begin, len(market))], len(market.symbols))
        lived = market[begin:]
        record = self._book.advance(lived, wanted)
        account = Backtest(lived, self._costs, 1.0, wanted, record)
        spoken = np.logical_or.accumulate(~np.isnan(wanted).all(axis=1))
        self._spoken = bool(len(spoken) and spoken[-1])
        return Track(wanted, account.weights, account.returns, spoken & (account.equity > 0))

    def step(self, market: Market, deadline: Deadline | None = None) -> Answer:
        """Live through the last bar of `market`, which follows those lived through before, and decide at its close."""
        bar = len(market) - 1
        book = self._book = Book(market.symbols, self._costs) if self._book is None else self._book
        before = book.equity
        book.advance(market[bar:], np.full((1, len(market.symbols)), np.nan))
        earned = (book.equity - before) / before if before > 0 else 0.0
        portfolio = book.portfolio()
        self._recent = [*self._recent, portfolio.weights][-self.horizon :] if self.horizon else []
        self._out = max(0, self._out - 1)
        wanted = np.full(len(market.symbols), np.nan)
        if self._out:
            wanted = np.zeros(len(market.symbols))
        elif bar >= int(self.strategy.warmup) - 1:
            wanted = self._asked(View(market, int(market.known[bar]), portfolio), deadline)
        book.submit(wanted)
        self._spoken = self._spoken or not (self._out or bool(np.isnan(wanted).all()))
        return Answer(wanted, portfolio.weights, earned, self._spoken and not self._out and book.equity > 0)

    def state(self) -> State:
        """The account, the quarantine, and a strategy that changes as it is asked; what was fitted is kept by its owner."""
        values = {"spoken": self._spoken, "out": self._out, "decided": self._decided, "fault": self.fault, "opened": self._book is not None}
        recent = {"recent": np.array(self._recent)} if self._recent else {}
        own = State({**values, "symbols": [] if self._book is None else list(self._book.symbols)}, recent)
        own = own if self._book is None else own.nest("account", self._book.state())
        return own.nest("strategy", self.strategy.state()) if self._changes else own

    def restore(self, state: State) -> Self:
        """Become the member that `state` describes. Raises StateError for the state of something else."""
        names = ("spoken", "out", "decided", "fault", "opened")
        if any(name not in state.values for name in names):
            raise StateError(f"this is no state of a member: it lacks {[name for name in names if name not in state.values]}")
        spoken, out, decided, fault, opened = (state.values[name] for name in names)
        self._spoken, self._out, self._decided, self.fault = bool(spoken), int(out), int(decided), str(fault)
        self._recent = [row.copy() for row in state.arrays.get("recent", ())]
        self._book = Book(state.values["symbols"], self._costs).restore(state.child("account")) if opened else None
        if self._changes:
            self.strategy = self.strategy.restore(state.child("strategy"))
        return self

    def _at_one_go(self, market: Market, begin: int) -> Targets | None:
        """Its targets (time, symbol) from bar `begin` on; None where it fails, so that the walk finds out at which bar."""
        try:
            return targets(self.strategy, market, self._book, begin)[begin:]
        except MissingExtra:
            raise
        except Exception:  # noqa: BLE001 - whatever a member does wrong, the ensemble goes on
            return None

    def _asked(self, view: View, deadline: Deadline | None) -> Array:
        """What the member wants, (symbol,); zeros, and quarantine, when it fails."""
        try:
            started = 0.0 if deadline is None else deadline.clock.monotonic()
            self._taught(view.market)
            wanted = _checked(self.strategy.decide(view), len(view.market.symbols))
            taken = 0.0 if deadline is None else deadline.clock.monotonic() - started
            if deadline is not None and taken > deadline.seconds:
                raise DataError(f"took {taken:.3f} s to decide; {deadline.seconds:g} s are allowed")
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a member does wrong, the ensemble goes on
            self.fault, self._out, self._decided = _told(error), self._quarantine, 0
            self._spoken = False
            return np.zeros(len(view.market.symbols))
        self._decided = min(self._decided + 1, self.horizon)
        return wanted

    def _taught(self, market: Market) -> None:
        """Deliver the outcome that has become known, as the engine's loop does."""
        now, asked = len(market) - 1, len(market) - 1 - self.horizon
        if self.horizon and self._decided >= self.horizon:
            returns = market.close[now] / market.close[asked] - 1.0
            self.strategy.learn(Outcome(int(market.known[asked]), int(market.known[now]), returns, self._recent[0].copy()))


def names_of(members: Sequence[StrategyLike]) -> tuple[str, ...]:
    """What the members are called: by the registered name or the class, numbered where two are called alike."""
    plain = [describe(each)[0].rpartition(".")[2] for each in members]
    return tuple(name if plain.count(name) == 1 else f"{name} {plain[: k + 1].count(name)}" for k, name in enumerate(plain))


def _checked(target: object, symbols: int) -> Array:
    if not isinstance(target, Target):
        raise DataError(f"decide returned {type(target).__name__}; return tradewind.Target(weights) with one weight a symbol")
    if target.weights.shape != (symbols,):
        raise DataError(f"decide wants {target.weights.shape} weights, expected {(symbols,)}: one for each symbol")
    return target.weights


def _joined(answers: Sequence[Answer], symbols: int) -> Track:
    wanted, held = (np.array([getattr(each, name) for each in answers]).reshape(-1, symbols) for name in ("wanted", "held"))
    earned, awake = np.array([each.earned for each in answers]), np.array([each.awake for each in answers], dtype=np.bool_)
    return Track(wanted, held, earned, awake)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
