"""`Market`: an aligned panel of closed bars, the one form in which prices travel through the house."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from tradewind.core.arrays import Array, Times, long_frame
from tradewind.core.clock import DAY, format_time, parse_duration, parse_time, timeframe_name
from tradewind.core.errors import DataError
from tradewind.core.settings import choose

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CALENDARS", "Market", "infer_calendar", "infer_step"]

CALENDARS: Final = {"24/7": (365.0, 24.0), "24/5": (260.0, 24.0), "us-equity": (252.0, 6.5)}
"""Trading days a year and trading hours a day: what annualisation is measured with."""

PRICES: Final = ("open", "high", "low", "close")
FIELDS: Final = (*PRICES, "volume")
OPTIONAL: Final = ("funding_rate", "mark_close")


@final
@dataclass(frozen=True, eq=False)
class Market:
    """Closed bars of one or more symbols on one timeframe.

    `open_time` and `known` (time,) int64 UTC ns, strictly increasing: when a bar began and when it could first be acted on.
    `open, high, low, close, volume` (time, symbol) float64. A symbol without a bar at some time has NaN in all of them; volume
    alone is NaN where the source has none. A time at which no symbol has a bar is absent: nothing is filled in.
    `funding_rate` (time, symbol): for perpetuals, the rate settled at `open_time`, NaN where none is; `mark_close` the mark price at
    the close. `calendar` is one of CALENDARS.

    A slice of a Market is a Market (views, no copies). Raises DataError, naming symbol, row and mend, for bars that cannot be.
    """

    symbols: tuple[str, ...]
    timeframe: str
    open_time: Times
    known: Times
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    funding_rate: Array | None = None
    mark_close: Array | None = None
    calendar: str = "24/7"

    def __post_init__(self) -> None:
        choose(self.calendar, CALENDARS, "calendar")
        for name in ("open_time", "known"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
        for name in (*FIELDS, *OPTIONAL):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, np.ascontiguousarray(array, dtype=np.float64))
        _check(self)
        for name in ("open_time", "known", *FIELDS, *OPTIONAL):
            array = getattr(self, name)
            if array is not None:
                array = array.view()
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    # -- shape -------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, rows: slice) -> Market:
        """The bars at `rows`, a slice with step 1."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise DataError(f"a Market is cut by a slice of bars with step 1, such as market[:500], not by {rows!r}")
        return self._with(rows)

    def between(self, start: str | int | None = None, end: str | int | None = None) -> Market:
        """The bars that open at or after `start` and before `end`; each an ISO time or UTC ns."""
        moments = [parse_time(m) if isinstance(m, str) else m for m in (start, end)]
        first = 0 if moments[0] is None else int(np.searchsorted(self.open_time, moments[0]))
        last = len(self) if moments[1] is None else int(np.searchsorted(self.open_time, moments[1]))
        return self[first:last]

    def select(self, symbols: tuple[str, ...] | list[str]) -> Market:
        """Some of the symbols, in the order asked; times at which none of them has a bar are dropped."""
        for symbol in symbols:
            choose(symbol, dict.fromkeys(self.symbols), "symbol")
        columns = [self.symbols.index(symbol) for symbol in symbols]
        present = ~np.isnan(self.close[:, columns]).all(axis=1)
        taken = {name: getattr(self, name)[present][:, columns] for name in (*FIELDS, *OPTIONAL) if getattr(self, name) is not None}
        return Market(tuple(symbols), self.timeframe, self.open_time[present], self.known[present], calendar=self.calendar, **taken)

    def _with(self, rows: slice) -> Market:
        cut = object.__new__(Market)
        cut.__dict__.update(self.__dict__)
        for name in _CACHED:
            cut.__dict__.pop(name, None)
        for name in _ARRAYS:
            array = self.__dict__[name]
            if array is not None:
                cut.__dict__[name] = array[rows]
        return cut

    # -- time --------------------------------------------------------------------------------------------------------
    @cached_property
    def step(self) -> int:
        """The bar length in nanoseconds."""
        return parse_duration(self.timeframe)

    @cached_property
    def periods_per_year(self) -> float:
        """Bars a year by the calendar: 365 days of 24 hours for crypto."""
        days, hours = CALENDARS[self.calendar]
        return days * DAY / self.step if self.step >= DAY else days * hours * DAY / 24 / self.step

    def bars(self, duration: str | int) -> int:
        """How many bars a duration such as `30d` spans on this calendar; a whole number is bars already. At least 1."""
        if isinstance(duration, int):
            return max(1, duration)
        return max(1, round(parse_duration(duration) / (365 * DAY) * self.periods_per_year))

    # -- identity and frames -----------------------------------------------------------------------------------------
    @cached_property
    def digest(self) -> str:
        """sha256 over everything in it: the identity of the data in manifests and ledgers."""
        hasher = hashlib.sha256(repr((self.symbols, self.timeframe, self.calendar)).encode())
        for name in _ARRAYS:
            array = getattr(self, name)
            hasher.update(name.encode())
            if array is not None:
                hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()

    def to_frame(self) -> pl.DataFrame:
        """A long polars frame: open_time, symbol, open, high, low, close, volume (and funding_rate, mark_close); missing bars left out."""
        import polars as pl

        columns = {name: getattr(self, name) for name in (*FIELDS, *OPTIONAL) if getattr(self, name) is not None}
        return long_frame(self.open_time, self.symbols, columns).filter(pl.col("close").is_not_nan())

    @classmethod
    def from_frame(cls, frame: Any, *, timeframe: str | None = None, calendar: str | None = None) -> Market:
        """A Market of a long polars (or pandas) frame with the columns open_time, symbol, open, high, low, close, volume.

        `open_time` is datetime (one without a zone is UTC) or int64 UTC ns; `known` is open_time + timeframe. Rows may come in any
        order, but a symbol and time only once. `timeframe` and `calendar` are inferred when not given: the most common distance
        between bars, and whether any bar opens on a Saturday. Raises DataError naming the column, row and mend.
        """
        import polars as pl

        if not isinstance(frame, pl.DataFrame):
            frame = pl.from_pandas(frame)
        needed = ("open_time", "symbol", *FIELDS)
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            raise DataError(f"the frame lacks the columns {missing}; it has {frame.columns}; tradewind.data.read knows more spellings")
        if frame.is_empty():
            raise DataError("the frame has no rows; a Market needs at least one closed bar")
        times = _frame_times(frame)
        symbols = tuple(frame["symbol"].cast(pl.String).unique(maintain_order=True).to_list())
        open_time, row = np.unique(times, return_inverse=True)
        column = frame["symbol"].cast(pl.String).replace_strict({s: i for i, s in enumerate(symbols)}, return_dtype=pl.Int64).to_numpy()
        cell = row * len(symbols) + column
        order = np.argsort(cell, kind="stable")
        again = np.flatnonzero(np.diff(cell[order]) == 0)
        if len(again):
            twice = int(order[again[0] + 1])
            raise DataError(f"row {twice}: {symbols[column[twice]]} at {format_time(times[twice])} stands twice; keep one of them")
        panels = {}
        for name in (*FIELDS, *(n for n in OPTIONAL if n in frame.columns)):
            panel = np.full(len(open_time) * len(symbols), np.nan)
            panel[cell] = _numbers(frame, name)
            panels[name] = panel.reshape(len(open_time), len(symbols))
        step = parse_duration(timeframe) if timeframe else infer_step(open_time)
        calendar = calendar or infer_calendar(open_time)
        return cls(symbols, timeframe_name(step), open_time, open_time + step, calendar=calendar, **panels)


_ARRAYS: Final = ("open_time", "known", *FIELDS, *OPTIONAL)
_CACHED: Final = ("digest",)


def infer_step(open_time: Times) -> int:
    """The bar length in ns: the most common distance between neighbouring times. Raises DataError with fewer than two times."""
    if len(open_time) < 2:
        raise DataError("a single bar does not tell its timeframe; pass timeframe='1h' or whatever it is")
    steps, counts = np.unique(np.diff(open_time), return_counts=True)
    return int(steps[np.argmax(counts)])


def infer_calendar(open_time: Times) -> str:
    """`24/7` when any bar opens on a Saturday or the span is too short to tell, `us-equity` for daily or slower bars, else `24/5`.

    Sunday does not tell: currencies open on Sunday evening.
    """
    weekday = (open_time // DAY + 3) % 7
    if len(open_time) < 2 or open_time[-1] - open_time[0] < 8 * DAY or (weekday == 5).any():
        return "24/7"
    return "us-equity" if infer_step(open_time) >= DAY else "24/5"


def _frame_times(frame: pl.DataFrame) -> Times:
    import polars as pl

    column = frame["open_time"]
    if column.null_count():
        raise DataError(f"row {int(column.is_null().arg_max() or 0)}: open_time is missing")
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.cast_time_unit("ns").to_physical().to_numpy().astype(np.int64)
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("ns")).to_physical().to_numpy().astype(np.int64)
    if column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    raise DataError(f"column open_time is {column.dtype}; make it a datetime or int64 UTC nanoseconds")


def _numbers(frame: pl.DataFrame, name: str) -> Array:
    import polars as pl

    column = frame[name]
    if column.dtype != pl.Null and not column.dtype.is_numeric():
        raise DataError(f"column {name} is {column.dtype}, not a number; read text files with tradewind.data.read")
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _check(market: Market) -> None:
    """Raise DataError for the first thing that a panel of closed bars cannot be."""
    shape = (len(market.open_time), len(market.symbols))
    if len(set(market.symbols)) != len(market.symbols) or not market.symbols:
        raise DataError(f"symbols must be distinct and at least one: {market.symbols}")
    if market.known.shape != shape[:1]:
        raise DataError(f"known has shape {market.known.shape}, open_time {shape[:1]}")
    for name in (*FIELDS, *OPTIONAL):
        array = getattr(market, name)
        if array is not None and array.shape != shape:
            raise DataError(f"{name} has shape {array.shape}, expected (time, symbol) = {shape}")
    backward = np.flatnonzero(np.diff(market.open_time) <= 0)
    if len(backward):
        bar = int(backward[0]) + 1
        raise DataError(
            f"bar {bar}: open_time does not increase ({format_time(market.open_time[bar])}); sort the bars and keep one of each"
        )
    early = np.flatnonzero(market.known < market.open_time + market.step)
    if len(early):
        raise DataError(f"bar {early[0]}: known before its close, which is open_time + {market.timeframe}")
    _check_prices(market)


def _check_prices(market: Market) -> None:
    prices = {name: getattr(market, name) for name in PRICES}
    absent = np.isnan(market.close)
    rules = {f"{name} is missing while close is not, or the reverse": np.isnan(a) != absent for name, a in prices.items()}
    rules |= {f"{name} is not a positive finite number": (a <= 0) | np.isinf(a) for name, a in prices.items()}
    rules["high is under low"] = market.high < market.low
    rules["high is under open or close"] = market.high < np.maximum(market.open, market.close)
    rules["low is over open or close"] = market.low > np.minimum(market.open, market.close)
    rules["volume is negative or infinite"] = (market.volume < 0) | np.isinf(market.volume)
    for rule, broken in rules.items():
        if broken.any():
            t, s = (int(i) for i in np.argwhere(broken)[0])
            bar = ", ".join(f"{name} {getattr(market, name)[t, s]:g}" for name in FIELDS)
            raise DataError(f"bar {t} of {market.symbols[s]} ({format_time(market.open_time[t])}): {rule} ({bar}); mend or drop that bar")
