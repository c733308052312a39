"""`Book`: an account that lives through bars, any number at a time, and `Record`: what happened to it at each bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError, StateError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Portfolio, State, Targets
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import (
    CASH,
    CLOSE,
    EQUITY,
    FEES,
    FUNDED,
    HELD,
    SLIPPAGE,
    SLIPPAGE_VOLATILITY,
    SLIPPED,
    SMOOTHING,
    TRADED,
    live_through,
    tell_flows,
)
from tradewind.simulate.slippage import slip_rates

__all__ = ["Book", "Origin", "Panels", "Record", "check_targets", "panels", "walk_band"]

Panels: TypeAlias = tuple[Array, Array, Array, Array, Array]
"""What the kernels read of a market, each (time, symbol): opens, closes, funding, marks, slips; no rows where there are none."""

_FORMAT: Final = 1
_STATE: Final = ("money", "holdings", "spread", "pending")


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """Where a record begins: the panels it lived through, the rates it paid, and the account before its first bar."""

    panels: Panels
    rates: Array
    purse: float
    holdings: Array


@final
@dataclass(frozen=True, eq=False)
class Record:
    """What happened to an account at each bar, float64, in account currency unless said otherwise.

    `equity` (time,) = cash + sum(quantities * close), a missing bar standing at the last close. `quantities` (time, symbol) and `cash`
    (time,) after the bar's fills. The change of equity over a bar is what prices did to the quantities, less fees, slippage and funding.
    """

    equity: Array
    quantities: Array
    cash: Array
    origin: Origin

    def __len__(self) -> int:
        return len(self.equity)

    @staticmethod
    def join(records: Sequence[Record]) -> Record:
        """One record of several, each beginning where the one before ends."""
        lived = [r.origin.panels for r in records]
        equity, quantities, cash = (np.concatenate([getattr(r, name) for r in records]) for name in ("equity", "quantities", "cash"))
        opens, closes, funding, marks, slips = (_readonly(np.concatenate(parts)) for parts in zip(*lived, strict=True))
        return Record(equity, quantities, cash, replace(records[0].origin, panels=(opens, closes, funding, marks, slips)))

    @property
    def fees(self) -> Array:
        """(time,) paid to the venue for fills."""
        return np.asarray(self._flows[FEES])

    @property
    def slippage(self) -> Array:
        """(time,) lost to fills worse than the open."""
        return np.asarray(self._flows[SLIPPED])

    @property
    def funding(self) -> Array:
        """(time,) paid for positions held; below zero it was received."""
        return np.asarray(self._flows[FUNDED])

    @property
    def traded(self) -> Array:
        """(time,) notional of the fills over the equity before them: the turnover."""
        return np.asarray(self._flows[TRADED])

    @cached_property
    def _flows(self) -> Array:
        flows, before = np.empty((4, len(self))), self.origin
        holdings = before.holdings.copy()
        tell_flows(*before.panels, before.rates, before.purse, holdings, self.equity, self.cash, self.quantities, flows)
        return flows


@final
class Book:
    """The one account of a strategy: cash, quantities, and the targets still waiting for their open.

    `symbols`: names in the order of the market's columns. `capital`: cash to begin with, in account currency, positive. An account whose
    equity is not above zero is closed out and trades nothing more. Bars before the account's life may be shown to it with targets
    of NaN, so that volatility slippage knows them. Raises SettingsError when the capital is not positive and finite.
    """

    def __init__(self, symbols: Sequence[str], costs: Costs | None = None, capital: float = 1.0) -> None:
        require(bool(np.isfinite(capital)) and capital > 0, f"capital is {capital!r}; it is a positive amount of money")
        self.symbols = tuple(symbols)
        self.costs = costs if costs is not None else Costs()
        self.capital = float(capital)
        self.bars = 0
        self._rates = self.costs.rates()
        self._money = np.zeros(6)
        self._money[[CASH, EQUITY]] = self.capital
        self._holdings = np.zeros((3, len(self.symbols)))
        self._spread = np.zeros((3, len(self.symbols)))
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
        """(symbol,) the last close of each, NaN before its first."""
        return np.where(self._holdings[CLOSE] > 0, self._holdings[CLOSE], np.nan)

    @property
    def pending(self) -> Targets:
        """(latency, symbol) targets that wait for their open, oldest first, a copy."""
        return self._pending.copy()

    def portfolio(self) -> Portfolio:
        """The account as a strategy sees it at the last close."""
        return Portfolio(self._weights(), self._holdings[HELD].copy(), self.cash, self.equity)

    def _weights(self) -> Array:
        # The same product and quotient as in the kernel, so that a band decides alike bar by bar and all at once.
        equity = self._money[EQUITY]
        return np.asarray(self._holdings[HELD] * self._holdings[CLOSE] / equity if equity > 0 else np.zeros(len(self.symbols)))

    def copy(self) -> Book:
        """An equal account that lives on its own."""
        twin = Book(self.symbols, self.costs, self.capital)
        twin.bars = self.bars
        twin._money, twin._holdings = self._money.copy(), self._holdings.copy()
        twin._spread, twin._pending = self._spread.copy(), self._pending.copy()
        return twin

    def advance(self, market: Market, targets: ArrayLike) -> Record:
        """Live through the bars of `market`, which follow those lived through before; cutting them differently changes no bit.

        `targets` (time, symbol), or (time,) for one symbol: row t is decided at the close of bar t. The last rows wait in `pending` for
        bars to come. Raises DataError for other symbols, another shape or an infinite target.
        """
        wanted = check_targets(targets, market)
        record, latency, n = self._begin(market), len(self._pending), len(market)
        # What waited fills the first opens; from then on the targets do, as they are, one latency later.
        self._live(record, slice(0, min(latency, n)), self._pending)
        self._live(record, slice(latency, n), wanted)
        self._pending = np.concatenate([self._pending[n:], wanted[max(0, n - latency) :]])
        return record

    def submit(self, weights: ArrayLike) -> None:
        """Say after a bar what is wanted at its close, `weights` (symbol,): it takes the place of the newest row of `pending`.

        `advance(bar, nan)` and then `submit(weights)` is `advance(bar, weights)` for one who decides after having seen the bar.
        Raises DataError for another shape or an infinite weight.
        """
        wanted = np.asarray(weights, dtype=np.float64)
        if wanted.shape != (len(self.symbols),) or np.isinf(wanted).any():
            raise DataError(f"target {wanted.tolist()} is no row of finite weights, or NaN to keep, for the symbols {list(self.symbols)}")
        self._pending[-1] = wanted

    def keep_inside(self, market: Market, desired: Targets, band: Array, stop: Array | None = None) -> Targets:
        """Live through the bars of `market`, deciding at each close with a no-trade band, and return what was decided; see `walk_band`.

        `stop` (time, symbol): how far before `desired` a trade ends; nowhere before it where None.
        """
        record, latency, n = self._begin(market), len(self._pending), len(market)
        queue = np.concatenate([self._pending, np.full_like(desired, np.nan)])
        self._live(record, slice(0, n), queue, desired, (band, np.zeros_like(band) if stop is None else stop), queue[latency:])
        self._pending = queue[n:].copy()
        return queue[latency:]

    def walk(self, market: Market, decide: Callable[[int, Array], Array]) -> Targets:
        """Live through the bars of `market`, and ask at each close what is wanted; return what was decided (time, symbol).

        `decide(t, weights)` is told the bar and the weights (symbol,) held at its close, and answers a row of targets. It is `advance` with
        NaN, `portfolio` and `submit` at every bar, to the bit, in a fifth of their time.
        """
        record, latency, n = self._begin(market), len(self._pending), len(market)
        queue = np.concatenate([self._pending, np.full(market.close.shape, np.nan)])
        opens, closes, funding, marks, slips = record.origin.panels
        nothing = np.empty((0, len(self.symbols)))
        for t in range(n):
            bar = slice(t, t + 1)
            live_through(
                opens[bar], closes[bar], funding[bar], marks[bar], slips[bar], queue[bar], nothing, nothing, nothing,
                self._rates, self._money, self._holdings, record.equity[bar], record.cash[bar], record.quantities[bar], nothing,
            )  # fmt: skip
            queue[t + latency] = decide(t, self._weights())
        self._pending = queue[n:].copy()
        return queue[latency:]

    def _begin(self, market: Market) -> Record:
        if market.symbols != self.symbols:
            raise DataError(f"the market has the symbols {list(market.symbols)}, the book {list(self.symbols)}; give the book the market's")
        n, width = market.close.shape
        self.bars += n
        origin = Origin(panels(market, self._rates, self._spread), self._rates, self.cash, self._holdings.copy())
        # One block: three would be given back to the system and faulted in again at each backtest, at twice the time.
        block = np.empty(n * (width + 2))
        return Record(block[:n], block[2 * n :].reshape(n, width), block[n : 2 * n], origin)

    def _live(
        self,
        record: Record,
        bars: slice,
        due: Array,
        desired: Array | None = None,
        bands: tuple[Array, Array] | None = None,
        decided: Array | None = None,
    ) -> None:
        if bars.start >= bars.stop:
            return
        nothing = np.empty((0, len(self.symbols)))
        opens, closes, funding, marks, slips = record.origin.panels
        band, stop = bands if bands is not None else (nothing, nothing)
        live_through(
            opens[bars], closes[bars], funding[bars], marks[bars], slips[bars],
            # What is not a panel is writeable, though nothing writes to the targets: one numba signature whatever comes in.
            np.require(due, requirements=["C", "W"]), nothing if desired is None else np.require(desired, requirements=["C", "W"]),
            np.require(band, requirements=["C", "W"]), np.require(stop, requirements=["C", "W"]),
            self._rates, self._money, self._holdings,
            record.equity[bars], record.cash[bars], record.quantities[bars], nothing if decided is None else decided,
        )  # fmt: skip

    def state(self) -> State:
        """The account as data; its costs belong to its settings and are not in it."""
        values = {"format": _FORMAT, "symbols": list(self.symbols), "capital": self.capital, "bars": self.bars}
        return State(values, {name: getattr(self, f"_{name}").copy() for name in _STATE})

    def restore(self, state: State) -> Self:
        """Become the account that `state` describes. Raises StateError when it is of other symbols or another latency."""
        if state.values.get("format") != _FORMAT or tuple(state.values.get("symbols", ())) != self.symbols:
            raise StateError(f"this is no state of a book of {list(self.symbols)}: {dict(state.values)}")
        for name in _STATE:
            mine, saved = getattr(self, f"_{name}"), state.arrays.get(name)
            if saved is None or saved.shape != mine.shape or saved.dtype != mine.dtype:
                found = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise StateError(f"book state: {name} is {found}, expected {mine.dtype} {mine.shape}; restore it under the latency it had")
        self.capital, self.bars = float(state.values["capital"]), int(state.values["bars"])
        for name in _STATE:
            setattr(self, f"_{name}", state.arrays[name].copy())
        return self


def walk_band(market: Market, desired: ArrayLike, band: ArrayLike, book: Book | None = None, start: int = 0, edge: bool = False) -> Targets:
    """Targets with a no-trade band: `desired` where it is at least `band` away from the weight held at that close, else NaN.

    `desired` (time, symbol), or (time,) for one symbol: weights wanted, NaN keeps. `band`: weight, a number or (time, symbol).
    `edge`: move to the near edge of the band around `desired`, not all the way. `book` is the account before bar `start` and stays as it
    is; None is a new one under the default costs. Rows before `start` come back NaN. The weights held follow from the accounting step that
    the book itself takes, so walking bar by bar gives the same targets.
    """
    wanted = check_targets(desired, market)
    width = np.broadcast_to(np.asarray(band, dtype=np.float64), wanted.shape)
    require(bool((width >= 0).all()), "band has a value that is no weight; it is at least 0")
    decided = np.full(wanted.shape, np.nan)
    twin = Book(market.symbols) if book is None else book.copy()
    inside = np.ascontiguousarray(width[start:])
    decided[start:] = twin.keep_inside(market[start:], wanted[start:], inside, inside if edge else None)
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
    # A finite sum proves that nothing is infinite, in one cheap pass; NaN hides it and asks for the costly one.
    if not np.isfinite(weights.sum()) and np.isinf(weights).any():
        t, s = (int(i) for i in np.argwhere(np.isinf(weights))[0])
        raise DataError(f"bar {t}: the target of {market.symbols[s]} is {weights[t, s]}; a target is a finite weight, or NaN to keep")
    return weights


def panels(market: Market, rates: Array, spread: Array) -> Panels:
    """What the kernels read of a market: opens, closes, funding, marks, slips; without rows where there are none.

    `spread` (3, symbol) is the memory of volatility slippage and is moved on.
    """
    nothing = _readonly(np.empty((0, len(market.symbols))))
    slips = nothing
    if rates[SLIPPAGE_VOLATILITY] > 0:
        slips = np.empty(market.close.shape)
        slip_rates(_readonly(market.close), rates[SLIPPAGE], rates[SLIPPAGE_VOLATILITY], rates[SMOOTHING], spread, slips)
    funding, marks = (nothing if panel is None else _readonly(panel) for panel in (market.funding_rate, market.mark_close))
    return _readonly(market.open), _readonly(market.close), funding, marks, _readonly(slips)


def _readonly(array: Array) -> Array:
    # One numba signature whatever comes in: panels are always read-only and contiguous.
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
