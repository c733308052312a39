"""`Book`: an account that lives through bars, any number at a time, and `Record`: what happened to it at each bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError, StateError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Portfolio, State, Targets
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import CASH, CLOSE, COUNT, EQUITY, FEES, FUNDED, HELD, MARK, SLIPPED, TRADED, live_through

__all__ = ["Book", "Record", "check_targets", "walk_band"]

_FORMAT: Final = 1


@final
@dataclass(frozen=True, eq=False)
class Record:
    """What happened to an account at each bar, float64, in account currency unless said otherwise.

    `equity` (time,) = cash + sum(quantities * close), a missing bar standing at the last close. `quantities` (time, symbol) and `cash`
    (time,) after the bar. `fees`, `slippage`, `funding` (time,) paid in the bar; funding below zero was received.
    `traded` (time,): notional of the fills over the equity before them, the turnover.
    """

    equity: Array
    quantities: Array
    cash: Array
    fees: Array
    slippage: Array
    funding: Array
    traded: Array

    def __len__(self) -> int:
        return len(self.equity)


@final
class Book:
    """The one account of a strategy: cash, quantities, and the targets still waiting for their open.

    `symbols`: names in the order of the market's columns. `capital`: cash to begin with, in account currency, positive. An account
    whose equity is not above zero is closed out and trades nothing more. Bars before the account's life can be shown to it with targets
    of NaN, so that volatility slippage knows them. Raises SettingsError when the capital is not positive and finite.
    """

    def __init__(self, symbols: Sequence[str], costs: Costs | None = None, capital: float = 1.0) -> None:
        require(np.isfinite(capital) and capital > 0, f"capital is {capital!r}; it is a positive amount of money")
        self.symbols = tuple(symbols)
        self.costs = costs if costs is not None else Costs()
        self.capital = float(capital)
        self.bars = 0
        self._money = np.array([self.capital, self.capital])
        self._holdings = np.zeros((COUNT + 1, len(self.symbols)))
        self._holdings[[CLOSE, MARK]] = np.nan
        self._pending = np.full((self.costs.latency, len(self.symbols)), np.nan)

    @property
    def cash(self) -> float:
        """Account currency."""
        return float(self._money[CASH])

    @property
    def equity(self) -> float:
        """Account currency at the last close."""
        return float(self._money[EQUITY])

    @property
    def quantities(self) -> Array:
        """(symbol,) units held, a copy."""
        return np.array(self._holdings[HELD])

    @property
    def closes(self) -> Array:
        """(symbol,) the last close of each, NaN before its first, a copy."""
        return np.array(self._holdings[CLOSE])

    @property
    def pending(self) -> Targets:
        """(latency, symbol) targets that wait for their open, oldest first, a copy."""
        return self._pending.copy()

    def portfolio(self) -> Portfolio:
        """The account as a strategy sees it at the last close."""
        held = self._holdings[HELD]
        weights = np.zeros(len(self.symbols))
        open_positions = held != 0.0
        weights[open_positions] = held[open_positions] * self._holdings[CLOSE, open_positions] / self._money[EQUITY]
        return Portfolio(weights, held.copy(), self.cash, self.equity)

    def copy(self) -> Book:
        """An equal account that lives on its own."""
        twin = Book(self.symbols, self.costs, self.capital)
        twin.bars = self.bars
        twin._money, twin._holdings, twin._pending = self._money.copy(), self._holdings.copy(), self._pending.copy()
        return twin

    def advance(self, market: Market, targets: ArrayLike) -> Record:
        """Live through the bars of `market`, which follow those lived through before; cutting them differently changes no bit.

        `targets` (time, symbol), or (time,) for one symbol: row t is decided at the close of bar t. The last rows wait in `pending` for
        bars to come. Raises DataError for other symbols, another shape or an infinite target.
        """
        wanted = check_targets(targets, market)
        return self._live(market, wanted, _nothing(market), _nothing(market), wanted)

    def _live(self, market: Market, targets: Targets, band: Array, decided: Array, final_targets: Targets) -> Record:
        self._check(market)
        n, symbols = market.close.shape
        equity, cash, quantities, flows = np.empty(n), np.empty(n), np.empty((n, symbols)), np.empty((4, n))
        funding, marks = (_readonly(a) if a is not None else _nothing(market) for a in (market.funding_rate, market.mark_close))
        live_through(
            _readonly(market.open), _readonly(market.close), funding, marks,
            _readonly(targets), self._pending, _readonly(band),
            self.costs.rates(), self._money, self._holdings,
            equity, cash, quantities, flows, decided,
        )  # fmt: skip
        self._pending = np.concatenate([self._pending, final_targets[max(0, n - len(self._pending)) :]])[-len(self._pending) :]
        self.bars += n
        return Record(equity, quantities, cash, flows[FEES], flows[SLIPPED], flows[FUNDED], flows[TRADED])

    def _check(self, market: Market) -> None:
        if market.symbols != self.symbols:
            raise DataError(f"the market has the symbols {list(market.symbols)}, the book {list(self.symbols)}; give the book the market's")

    def submit(self, weights: ArrayLike) -> None:
        """Say after a bar what is wanted at its close, `weights` (symbol,): it takes the place of the newest row of `pending`.

        `advance(bar, nan)` and then `submit(weights)` is `advance(bar, weights)` for one who decides after having seen the bar.
        Raises DataError for another shape or an infinite weight.
        """
        wanted = np.asarray(weights, dtype=np.float64)
        if wanted.shape != (len(self.symbols),) or np.isinf(wanted).any():
            raise DataError(f"target {wanted.tolist()} is no row of finite weights, or NaN to keep, for the symbols {list(self.symbols)}")
        self._pending[-1] = wanted

    def state(self) -> State:
        """The account as data; its costs belong to its settings and are not in it."""
        values = {"format": _FORMAT, "symbols": list(self.symbols), "capital": self.capital, "bars": self.bars}
        return State(values, {"money": self._money.copy(), "holdings": self._holdings.copy(), "pending": self._pending.copy()})

    def restore(self, state: State) -> Self:
        """Become the account that `state` describes. Raises StateError when it is of other symbols or another latency."""
        arrays = {"money": self._money, "holdings": self._holdings, "pending": self._pending}
        if state.values.get("format") != _FORMAT or tuple(state.values.get("symbols", ())) != self.symbols:
            raise StateError(f"this is no state of a book of {list(self.symbols)}: {dict(state.values)}")
        for name, mine in arrays.items():
            saved = state.arrays.get(name)
            if saved is None or saved.shape != mine.shape or saved.dtype != mine.dtype:
                found = None if saved is None else saved.shape
                raise StateError(
                    f"book state: {name} has shape {found}, expected {mine.shape}; restore it under the costs it was saved with"
                )
        self.capital, self.bars = float(state.values["capital"]), int(state.values["bars"])
        self._money, self._holdings, self._pending = (np.array(state.arrays[name]) for name in arrays)
        return self


def walk_band(market: Market, desired: ArrayLike, band: ArrayLike, book: Book | None = None, start: int = 0) -> Targets:
    """Targets with a no-trade band: `desired` where it is at least `band` away from the weight held at that close, else NaN.

    `desired` (time, symbol), or (time,) for one symbol: weights wanted, NaN keeps. `band`: weight, a number or (time, symbol).
    `book` is the account before bar `start` and stays untouched; None is a new one under the default costs. Rows before `start` come
    back NaN. The weights held follow from the accounting step that the book itself takes, so walking bar by bar gives the same targets.
    """
    wanted = check_targets(desired, market)
    width = np.broadcast_to(np.asarray(band, dtype=np.float64), wanted.shape)
    require(not np.isnan(width).any() and bool((width >= 0).all()), "band has a value that is no weight; it is at least 0")
    twin = Book(market.symbols) if book is None else book.copy()
    decided = np.full(wanted.shape, np.nan)
    rest = decided[start:]
    twin._live(market[start:], wanted[start:], np.ascontiguousarray(width[start:]), rest, rest)
    return decided


def check_targets(targets: ArrayLike, market: Market) -> Targets:
    """`targets` as a C-contiguous float64 (time, symbol) array that fits `market`; (time,) is accepted where there is one symbol.

    Raises DataError, naming the bar, for another shape or an infinite weight.
    """
    try:
        weights = np.ascontiguousarray(targets, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"targets are not an array of numbers: {error}") from None
    shape = market.close.shape
    if weights.ndim == 1 and shape[1] == 1:
        weights = weights.reshape(-1, 1)
    if weights.shape != shape:
        raise DataError(f"targets have shape {weights.shape}, expected (time, symbol) = {shape}; one row for each bar of the market")
    # A finite sum proves that nothing is infinite unless NaN hides it: one cheap pass before the costly one.
    if not np.isfinite(weights.sum()) and np.isinf(weights).any():
        t, s = (int(i) for i in np.argwhere(np.isinf(weights))[0])
        raise DataError(f"bar {t}: the target of {market.symbols[s]} is {weights[t, s]}; a target is a finite weight, or NaN to keep")
    return weights


def _readonly(array: Array) -> Array:
    # One numba signature whatever comes in: arrays that are only read are always read-only and contiguous.
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _nothing(market: Market) -> Array:
    return np.empty((0, len(market.symbols)))
