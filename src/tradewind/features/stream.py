"""Features bar by bar: `Stream` for one symbol, `Live` for strategies that are shown a growing market. The numbers are those of a batch.

Costs under a microsecond in the kernels and about three through Python for the 27 columns of `s0`; a user's own function costs what it
costs, once a bar. Fails with DataError on bars that do not move forward in time.
"""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError, StateError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Features, State
from tradewind.features.catalog import Chosen, Indicated, Wanted, resolve
from tradewind.features.custom import INPUTS, Feature
from tradewind.features.program import Linked, Panels, Program

__all__ = ["Live", "Steps", "Stream"]

_BEFORE_ALL: Final = np.iinfo(np.int64).min


@final
class Steps:
    """The shared engine of `Stream` and `Live`: features of some symbols, one row of bars after another."""

    def __init__(self, chosen: tuple[Chosen, ...], symbols: int) -> None:
        self.chosen = chosen
        built = [(i, item) for i, item in enumerate(chosen) if isinstance(item, Indicated)]
        self.custom = [(i, item) for i, item in enumerate(chosen) if isinstance(item, Feature)]
        self.columns = np.array([i for i, _ in built], dtype=np.int64)
        self.program = Program([item for _, item in built], symbols)
        # What the user's functions are shown: the last bars of each symbol, and how many of them there are.
        depth = max((item.warmup + 1 for _, item in self.custom), default=0)
        self.bars, self.times = np.full((symbols, 5, depth), np.nan), np.zeros((symbols, depth), dtype=np.int64)
        self.seen = np.zeros(symbols, dtype=np.int64)
        # The next bar is put into `inbox` and `clock`; `answer` is where the linked program answers.
        self.inbox, self.clock = np.full((5, 1, symbols), np.nan), np.zeros(1, dtype=np.int64)
        self.answer = np.full((1, symbols, len(built)), np.nan)
        self._linked: Linked | None = None

    def step(self) -> Array:
        """(symbol, feature) of the bar in `inbox` (field, 1, symbol) and `clock` (1,); NaN where a symbol has no bar."""
        if self._linked is None:
            self._linked = self.program.link(self.clock, _panels(self.inbox), self.answer)
        self._linked.step()
        if not self.custom:
            row: Array = self.answer[0].copy()
            return row
        self._remember(self.inbox[:, 0], int(self.clock[0]))
        return self._joined(self.answer[0])

    def sweep(self, market: Market) -> Array:
        """(time, symbol, feature) of the next bars all at once."""
        panels = (market.open, market.high, market.low, market.close, market.volume)
        values = np.empty((*market.close.shape, self.program.columns))
        if len(market):
            self.program.link(market.open_time, panels, values).step()
        if not self.custom:
            return values
        rows = np.empty((*market.close.shape, len(self.chosen)))
        for t in range(len(market)):
            self._remember(np.stack([panel[t] for panel in panels]), int(market.open_time[t]))
            rows[t] = self._joined(values[t])
        return rows

    def _remember(self, bar: Array, moment: int) -> None:
        self._present = ~np.isnan(bar[INPUTS["close"]])
        for s in np.flatnonzero(self._present):
            self.bars[s, :, :-1], self.times[s, :-1] = self.bars[s, :, 1:], self.times[s, 1:]
            self.bars[s, :, -1], self.times[s, -1] = bar[:, s], moment
            self.seen[s] += 1

    def _joined(self, built: Array) -> Array:
        row = np.full((len(self.seen), len(self.chosen)), np.nan)
        row[:, self.columns] = built
        for s in np.flatnonzero(self._present):
            for column, item in self.custom:
                if self.seen[s] > item.warmup:
                    shown = (self.times[s] if name == "open_time" else self.bars[s, INPUTS[name]] for name in item.inputs)
                    row[s, column] = item(*(series[-item.warmup - 1 :].copy() for series in shown))[-1]
        return row

    def forget(self) -> None:
        """Go back to before the first bar."""
        self.program.forget()
        self.seen[:] = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of all that it carries from bar to bar."""
        return {**self.program.arrays(), "bars": self.bars.copy(), "times": self.times.copy(), "counts": self.seen.copy()}

    def put(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave. Raises StateError where the shapes are not these features'."""
        own = {"bars": self.bars, "times": self.times, "counts": self.seen}
        for name, here in own.items():
            if name not in arrays or arrays[name].shape != here.shape:
                raise StateError(
                    f"the state's array {name!r} is missing or has another shape than {here.shape}; restore it into the same features"
                )
        self.program.put(arrays)
        for name, here in own.items():
            here[:] = arrays[name]

    def __getstate__(self) -> dict[str, Any]:
        # A linked program holds pointers and views; a copy of this object links its own when it is first asked.
        return {**self.__dict__, "_linked": None}


def _panels(inbox: Array) -> Panels:
    return (inbox[0], inbox[1], inbox[2], inbox[3], inbox[4])


@final
class Stream:
    """Features of one symbol, bar by bar, equal to those of a batch to the bit.

    `names` (feature,) are the columns, `warmup` the bars before the slowest has a value. Raises SettingsError for unknown features.
    """

    def __init__(self, features: Wanted = "standard") -> None:
        self._steps = Steps(resolve(features), 1)
        self.names = tuple(item.name for item in self._steps.chosen)
        self.warmup = max(item.warmup for item in self._steps.chosen)
        self._last = _BEFORE_ALL

    def update(self, open_time: int, open: float, high: float, low: float, close: float, volume: float = np.nan) -> Array:  # noqa: A002
        """Take the next closed bar and give its features (feature,), NaN where not warm.

        `open_time` in UTC ns. A bar whose close is NaN is a missing one: the row is NaN and nothing is remembered. Volume may be NaN.
        Raises DataError when open_time is not later than the last bar's.
        """
        if open_time <= self._last:
            raise DataError(f"the bar of {format_time(open_time)} is not later than the last one; feed each bar once, in order")
        steps = self._steps
        steps.clock[0] = self._last = int(open_time)
        box = steps.inbox
        box[0, 0, 0], box[1, 0, 0], box[2, 0, 0], box[3, 0, 0], box[4, 0, 0] = open, high, low, close, volume
        row: Array = steps.step()[0]
        return row

    def state(self) -> State:
        """All that the stream carries from bar to bar."""
        return State({"names": list(self.names), "last": self._last}, self._steps.arrays())

    def restore(self, state: State) -> Stream:
        """Go on from `state`. Raises StateError when it is of other features."""
        if list(state.values.get("names", ())) != list(self.names):
            raise StateError(f"the state is of the features {state.values.get('names')}, this stream has {list(self.names)}")
        self._steps.put(dict(state.arrays))
        self._last = int(state.values["last"])
        return self


@final
class Live:
    """Features of a market that grows: what a strategy asks at each bar. It works on the bars that are new since it was last asked.

    `keep`: the most rows that can be asked for. A market that does not go on from what was seen (other symbols, another past) is
    taken as a new one.
    """

    def __init__(self, features: Wanted = "standard", keep: int = 1) -> None:
        require(isinstance(keep, int) and keep >= 1, f"keep must be a whole number of rows of at least 1, not {keep!r}")
        self._chosen = resolve(features)
        self.names = tuple(item.name for item in self._chosen)
        self.warmup = max(item.warmup for item in self._chosen)
        self.keep = keep
        self._symbols: tuple[str, ...] = ()
        self._count = 0

    def rows(self, market: Market, count: int = 1) -> Features:
        """The last `count` rows, those of `compute(market)[-count:]`; `market` holds every bar up to now.

        Raises SettingsError when more rows are asked for than are kept.
        """
        require(1 <= count <= self.keep, f"{count} rows asked for, but {self.keep} are kept; give Live(..., keep={count})")
        self._follow(market)
        count = min(count, len(market))
        values = self._rows[self._end - count : self._end].copy()
        warmup = max(0, self.warmup - (len(market) - count))
        cut = slice(len(market) - count, None)
        return Features(self.names, values, warmup, market.open_time[cut], market.known[cut], market.symbols)

    def _follow(self, market: Market) -> None:
        if not self._continues(market):
            self._start(market)
        if len(market) - self._count == 1:
            panels = (market.open, market.high, market.low, market.close, market.volume)
            for field, panel in enumerate(panels):
                self._steps.inbox[field, 0] = panel[-1]
            self._steps.clock[0] = market.open_time[-1]
            self._append(self._steps.step()[None])
        elif len(market) > self._count:
            self._append(self._steps.sweep(market[self._count :]))
        if len(market):
            self._count, self._first = len(market), int(market.open_time[0])
            self._last, self._close = int(market.open_time[-1]), market.close[-1].copy()

    def _continues(self, market: Market) -> bool:
        n = self._count
        if n == 0 or len(market) < n or market.symbols != self._symbols:
            return False
        same = market.open_time[0] == self._first and market.open_time[n - 1] == self._last
        return bool(same) and market.close[n - 1].tobytes() == self._close.tobytes()

    def _start(self, market: Market) -> None:
        self._symbols, self._count, self._end = market.symbols, 0, 0
        self._steps = Steps(self._chosen, len(market.symbols))
        # Twice as long as what is kept, so that rows move to the front only once in `keep` bars.
        self._rows = np.full((2 * self.keep, len(market.symbols), len(self.names)), np.nan)

    def _append(self, rows: Array) -> None:
        rows = rows[-self.keep :]
        if self._end + len(rows) > len(self._rows):
            kept = self.keep - len(rows)
            self._rows[:kept] = self._rows[self._end - kept : self._end].copy()
            self._end = kept
        self._rows[self._end : self._end + len(rows)] = rows
        self._end += len(rows)
