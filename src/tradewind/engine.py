"""THE loop: a bar closes, the account lives through it, the strategy learns what is due, decides, and the venue takes the target.

`backtest` is the fast way (all targets at once, one pass of the accounting kernel), `run` the honest one (bar by bar); they give the same.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy
from tradewind.core.settings import require
from tradewind.core.types import Array, Outcome, Target, Targets, View
from tradewind.simulate.account import Book, Record, check_targets
from tradewind.simulate.costs import Costs
from tradewind.venues.simulated import SimulatedVenue

__all__ = ["Backtest", "backtest", "run", "targets", "walk"]


@final
@dataclass(frozen=True, eq=False)
class Backtest:
    """What became of targets on a market: `targets` (time, symbol) as decided, and the account's `record`, bar by bar."""

    market: Market
    costs: Costs
    capital: float
    targets: Targets
    record: Record

    @property
    def equity(self) -> Array:
        """(time,) account currency at each close."""
        return self.record.equity

    @property
    def positions(self) -> Array:
        """(time, symbol) units held after each bar."""
        return self.record.quantities

    @property
    def fees(self) -> Array:
        """(time,) account currency paid in each bar."""
        return self.record.fees

    @property
    def slippage(self) -> Array:
        """(time,) account currency lost in each bar to fills worse than the open."""
        return self.record.slippage

    @property
    def funding(self) -> Array:
        """(time,) account currency paid in each bar for positions held; below zero it was received."""
        return self.record.funding

    @property
    def turnover(self) -> Array:
        """(time,) notional of each bar's fills over the equity before them."""
        return self.record.traded

    @cached_property
    def returns(self) -> Array:
        """(time,) simple return of each bar, 0 for the first and for every bar after the account is ruined."""
        change = np.zeros(len(self.equity))
        alive = self.equity[:-1] > 0
        np.divide(np.diff(self.equity), self.equity[:-1], out=change[1:], where=alive)
        return change

    @cached_property
    def weights(self) -> Array:
        """(time, symbol) signed fractions of equity held at each close, a missing bar standing at the last close; 0 once ruined."""
        shares = np.zeros(self.positions.shape)
        held = (self.positions != 0) & (self.equity > 0)[:, None]
        np.divide(self.positions * _last_closes(self.market), self.equity[:, None], out=shares, where=held)
        return shares


def backtest(source: ArrayLike | Strategy, market: Market, costs: Costs | None = None, capital: float = 1.0) -> Backtest:
    """What `source` would have earned on `market`, after costs.

    `source`: targets (time, symbol), or (time,) where there is one symbol, or a fitted strategy. `costs` defaults to `Costs()`,
    `capital` is in account currency. A strategy that learns from outcomes is taught on a copy, so a second backtest gives the same.
    Raises DataError when targets do not fit the market or are infinite, SettingsError for impossible settings.
    """
    book = _new_book(market, costs, capital)
    if hasattr(source, "decide"):
        strategy = copy.deepcopy(source) if getattr(source, "horizon", 0) else source
        wanted = targets(strategy, market, book)
    else:
        wanted = check_targets(source, market)
    return Backtest(market, book.costs, book.capital, wanted, book.advance(market, wanted))


def run(strategy: Any, market: Market, costs: Costs | None = None, capital: float = 1.0, start: int = 0) -> Backtest:
    """Let a fitted strategy live through `market` bar by bar, as it would on paper: nothing later than the bar exists when it decides.

    It first decides at bar `start`, or when it has its warm-up. With `horizon` > 0 it is taught as it goes, and keeps what it learned.
    Gives the targets and the equity of `backtest`, to the bit. Raises what `backtest` raises.
    """
    book = _new_book(market, costs, capital)
    first = _first(strategy, market, start)
    before = book.advance(market[:first], np.full(market.close[:first].shape, np.nan))
    decided, after = _live(strategy, market, SimulatedVenue(book), first)
    return Backtest(market, book.costs, book.capital, decided, Record.join([before, *after]))


def targets(strategy: Any, market: Market, book: Book | None = None, start: int = 0) -> Targets:
    """(time, symbol) what a fitted strategy wants at each close, the fast way: by its `decide_all`, or by `walk` when it has none.

    `book`: the account before bar `start`, untouched, for strategies whose decisions depend on what they hold; they take it, and `start`,
    as arguments of `decide_all`. Rows before `start` and before the warm-up are NaN. Raises DataError for answers of another shape or
    infinite ones.
    """
    decide_all = getattr(strategy, "decide_all", None)
    if decide_all is None:
        return walk(strategy, market, book, start)
    first = _first(strategy, market, start)
    extra = {name: value for name, value in (("book", book), ("start", start)) if _takes(decide_all, name)}
    try:
        decided = check_targets(decide_all(market, **extra), market)
    except DataError as error:
        raise DataError(f"{type(strategy).__name__}.decide_all: {error}") from error
    if not np.isnan(decided[:first]).all():
        decided = decided.copy()
        decided[:first] = np.nan
    return decided


def walk(strategy: Any, market: Market, book: Book | None = None, start: int = 0) -> Targets:
    """(time, symbol) what a fitted strategy wants at each close, asked bar by bar through `decide`: the default of `decide_all`.

    Each decision sees the bars up to its own and the portfolio that its earlier decisions led to: a copy of `book`, the account before
    bar `start` (None: a new one under the default costs), lives on beside it. With `horizon` > 0 outcomes are delivered to `learn`.
    """
    own = Book(market.symbols) if book is None else book.copy()
    first = _first(strategy, market, start)
    own.advance(market[start:first], np.full(market.close[start:first].shape, np.nan))
    return _live(strategy, market, SimulatedVenue(own), first)[0]


def _live(strategy: Any, market: Market, venue: SimulatedVenue, first: int) -> tuple[Targets, list[Record]]:
    """The loop: from bar `first` on, which the venue has not lived through yet."""
    horizon = int(getattr(strategy, "horizon", 0))
    decided = np.full(market.close.shape, np.nan)
    held = np.full(market.close.shape, np.nan)
    records = []
    for t in range(first, len(market)):
        records.append(venue.advance(market[t : t + 1]))
        portfolio = venue.portfolio()
        held[t] = portfolio.weights
        if horizon > 0 and t - horizon >= first:
            strategy.learn(_outcome(market, t - horizon, t, held))
        target = strategy.decide(View(market[: t + 1], int(market.known[t]), portfolio))
        decided[t] = _checked(target, strategy, market, t)
        venue.submit(target)
    return decided, records


def _outcome(market: Market, asked: int, t: int, held: Array) -> Outcome:
    returns = market.close[t] / market.close[asked] - 1.0
    return Outcome(int(market.known[asked]), int(market.known[t]), returns, held[asked + 1].copy())


def _checked(target: object, strategy: object, market: Market, t: int) -> Array:
    name = type(strategy).__name__
    if not isinstance(target, Target):
        raise DataError(
            f"bar {t}: {name}.decide returned {type(target).__name__}; return tradewind.Target(weights) with one weight a symbol"
        )
    if target.weights.shape != (len(market.symbols),):
        raise DataError(
            f"bar {t}: {name}.decide wants {target.weights.shape} weights, expected {(len(market.symbols),)}: one for each symbol"
        )
    return target.weights


def _first(strategy: Any, market: Market, start: int) -> int:
    require(0 <= start <= len(market), f"start is {start}; the market has {len(market)} bars")
    return min(max(start, int(strategy.warmup) - 1), len(market))


def _takes(function: Any, name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _new_book(market: Market, costs: Costs | None, capital: float) -> Book:
    require(costs is None or isinstance(costs, Costs), f"costs is {costs!r}; write tradewind.Costs(fee_bps=10, slippage_bps=2)")
    return Book(market.symbols, costs, capital)


def _last_closes(market: Market) -> Array:
    """(time, symbol) the close of each bar, or the last one before it where the bar is missing."""
    rows = np.where(np.isnan(market.close), 0, np.arange(len(market))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    return np.take_along_axis(market.close, rows, axis=0)
