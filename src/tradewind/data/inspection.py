"""The quality of bars: each rule of markets counted, with the first rows that break it.

What cannot be traded on is refused (duplicates, disorder, impossible prices, bars that were not closed); what may be true of a real market
(gaps, stale prices, spikes, silence) is told as a warning. Nothing is mended here. One sort and some ten passes over the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isinf, isnan
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.core.clock import DAY, HOUR, SystemClock, format_time, parse_duration, timeframe_name
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market, infer_calendar, infer_step
from tradewind.data.table import Table, load, table_of

__all__ = ["INVALID", "REFUSED", "WARNED", "Finding", "Quality", "inspect", "off_grid", "quality", "row_masks", "step_of", "unfinished"]

Mask = NDArray[np.bool_]

REFUSED: Final[Mapping[str, str]] = {
    "missing-price": "drop it: repair=('drop-invalid',)",
    "not-positive": "drop it: repair=('drop-invalid',)",
    "infinite": "drop it: repair=('drop-invalid',)",
    "high-below-low": "drop it: repair=('drop-invalid',)",
    "outside-range": "drop it: repair=('drop-invalid',)",
    "bad-volume": "drop it: repair=('drop-invalid',)",
    "part-bar": "drop it: repair=('drop-part-bars',)",
    "off-grid": "drop it: repair=('drop-off-grid',), or give the timeframe",
    "unsorted": "sort the rows: repair=('sort',)",
    "duplicate": "keep the last of each: repair=('drop-duplicates',)",
}
"""What is refused, and how to mend it; in the order in which it is told."""

WARNED: Final = ("mixed-offsets", "gap", "stale", "spike", "zero-volume", "no-volume")
INVALID: Final = ("missing-price", "not-positive", "infinite", "high-below-low", "outside-range", "bad-volume")
SPIKE: Final = 3.0
"""A price that is this many times its neighbours, or one part in as many, is told as a spike."""

_WORDS: Final = {
    "missing-price": "a price is missing",
    "not-positive": "a price is zero or negative",
    "infinite": "a price is infinite",
    "high-below-low": "high is under low",
    "outside-range": "open or close is outside of low to high",
    "bad-volume": "volume is negative or infinite",
    "part-bar": "the bar was not closed when it was written",
    "off-grid": "the time is not a multiple of the timeframe",
    "unsorted": "the time is before that of the row above",
    "duplicate": "the symbol has another row at this time",
    "mixed-offsets": "the UTC offset is another than in the first row; all were brought to UTC",
    "gap": "bars are missing before this row",
    "stale": "the bar repeats the one before to the digit",
    "spike": f"the price is over {SPIKE:g} times, or under a {SPIKE:g}rd of, that around it",
    "zero-volume": "nothing was traded",
    "no-volume": "the volume is not known",
}


@final
@dataclass(frozen=True)
class Finding:
    """One kind of trouble: how often, and the first rows in words."""

    kind: str
    count: int
    first: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether bars with it are refused; otherwise it is a warning."""
        return self.kind in REFUSED


@final
@dataclass(frozen=True)
class Quality:
    """What is known about the bars of one source. `repaired` counts the rows that each asked repair removed or moved."""

    source: str
    rows: int
    symbols: tuple[str, ...]
    timeframe: str
    start: str
    end: str
    findings: tuple[Finding, ...]
    repaired: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is refused; warnings may remain."""
        return not any(finding.refused for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> number of rows, for what was found."""
        return {finding.kind: finding.count for finding in self.findings}

    def to_text(self) -> str:
        """A few lines for people."""
        head = f"{self.source}: {self.rows} rows of {', '.join(self.symbols)}, {self.timeframe} bars, {self.start} to {self.end} UTC"
        lines = [head]
        for finding in self.findings:
            mend = f"; {REFUSED[finding.kind]}" if finding.refused else ""
            lines.append(
                f"  {'refused' if finding.refused else 'warning'} {finding.kind}: {finding.count} rows: {_WORDS[finding.kind]}{mend}"
            )
            lines.extend(f"    {words}" for words in finding.first)
        lines.extend(f"  repaired {kind}: {count} rows" for kind, count in self.repaired.items())
        return "\n".join([*lines, "  usable" if self.ok else "  refused as it stands"])


def quality(bars: str | Path | Market | Any, timeframe: str | None = None, calendar: str | None = None) -> Quality:
    """The quality report of a file, a Market or a long frame; bad bars are counted, not raised.

    Raises DataError only for what is not bars at all: no such file, damaged bytes, missing columns, text in a price.
    """
    if isinstance(bars, Market):
        return inspect(table_of(bars.to_frame(), "market"), bars.step, bars.calendar)
    if isinstance(bars, str | Path):
        table = load(bars)
    else:
        table = table_of(bars if isinstance(bars, pl.DataFrame) else pl.from_pandas(bars), "frame")
    return inspect(table, step_of(table, timeframe), calendar)


def step_of(table: Table, timeframe: str | None) -> int:
    """The bar length in ns: as given, or the most common distance between a symbol's neighbouring times."""
    if timeframe is not None:
        return parse_duration(timeframe)
    order = np.lexsort((table.open_time, table.code)) if len(table.symbols) > 1 else np.argsort(table.open_time, kind="stable")
    steps = np.diff(table.open_time[order])[np.diff(table.code[order]) == 0]
    steps = steps[steps > 0]
    if not len(steps):
        raise DataError(f"{table.source}: no symbol has two different times, which does not tell the timeframe; pass timeframe='1h' or so")
    step = infer_step(np.concatenate([[0], np.cumsum(steps)]))
    try:
        timeframe_name(step)
    except SettingsError:
        raise DataError(
            f"{table.source}: its times are mostly {step} ns apart, no whole number of seconds; check the unit of time"
        ) from None
    return step


def inspect(table: Table, step: int, calendar: str | None = None, repaired: Mapping[str, int] | None = None) -> Quality:
    """Count every kind of trouble in `table`, whose bars are `step` ns long."""
    masks = row_masks(table, step) | _sequence_masks(table, step, calendar)
    findings = [_finding(table, kind, masks[kind]) for kind in (*REFUSED, *WARNED) if masks[kind].any()]
    start, end = (format_time(moment) for moment in (table.open_time.min(), table.open_time.max()))
    return Quality(table.source, len(table), table.symbols, timeframe_name(step), start, end, tuple(findings), dict(repaired or {}))


def row_masks(table: Table, step: int) -> dict[str, Mask]:
    """What can be told of each row in its place in the file: kind -> (n,) bool."""
    opens, highs, lows, closes = (table.values[name] for name in ("open", "high", "low", "close"))
    volume = table.values["volume"]
    prices = (opens, highs, lows, closes)
    silent = np.isnan(volume)
    return {
        "missing-price": np.logical_or.reduce([np.isnan(price) for price in prices]),
        "not-positive": np.logical_or.reduce([price <= 0 for price in prices]),
        "infinite": np.logical_or.reduce([np.isinf(price) for price in prices]),
        "high-below-low": highs < lows,
        "outside-range": (highs >= lows) & ((highs < np.maximum(opens, closes)) | (lows > np.minimum(opens, closes))),
        "bad-volume": (volume < 0) | np.isinf(volume),
        "off-grid": off_grid(table.open_time, step),
        "part-bar": unfinished(table, step),
        "unsorted": _backward(table),
        "mixed-offsets": table.shifted,
        "zero-volume": volume == 0,
        "no-volume": silent if not silent.all() else np.zeros(len(table), dtype=bool),
    }


def off_grid(open_time: NDArray[np.int64], step: int) -> Mask:
    """Rows whose time is not on the grid that most are on; daily and slower bars may move by an hour, which is daylight saving."""
    late = _lateness(open_time, step)
    late = np.minimum(late, step - late)
    return np.asarray(late > HOUR if step >= DAY else late > 0)


def _lateness(open_time: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Nanoseconds since the last time of the grid that most times are on."""
    residue = open_time % step
    kinds, counts = np.unique(residue, return_counts=True)
    return np.asarray((residue - kinds[np.argmax(counts)]) % step)


def unfinished(table: Table, step: int) -> Mask:
    """Bars that were written before they closed.

    A row off the grid is the price at the moment of writing, as some sources append it: the rows above it of the bar that it falls into
    were open then. A bar that ends after the present is open now.
    """
    mask = np.asarray(table.open_time + step > SystemClock().now())
    off = np.flatnonzero(off_grid(table.open_time, step))
    if step >= DAY or not len(off):
        return mask
    begun = table.open_time - _lateness(table.open_time, step)
    written = {(code, bar): row for code, bar, row in zip(table.code[off], begun[off], off, strict=True)}  # the last such row counts
    same_bar = np.flatnonzero(np.isin(begun, begun[off]) & (table.open_time == begun))
    for index in same_bar:
        mask[index] |= index < written.get((table.code[index], begun[index]), -1)
    return mask


def _backward(table: Table) -> Mask:
    """Rows whose time is before that of their symbol's row above."""
    mask = np.zeros(len(table), dtype=bool)
    for code in range(len(table.symbols)):
        index = np.flatnonzero(table.code == code) if len(table.symbols) > 1 else np.arange(len(table))
        times = table.open_time[index]
        mask[index[1:]] = np.diff(times) < 0
    return mask


def _sequence_masks(table: Table, step: int, calendar: str | None) -> dict[str, Mask]:
    """What can be told only in the order of time: kind -> (n,) bool in the order of the file."""
    order = np.lexsort((table.open_time, table.code)) if len(table.symbols) > 1 else np.argsort(table.open_time, kind="stable")
    times = table.open_time[order]
    near = np.concatenate([[False], np.diff(table.code[order]) == 0])
    distance = np.concatenate([[0], np.diff(times)])
    ordered = np.sort(times)
    calendar = calendar or infer_calendar(ordered[np.concatenate([[True], np.diff(ordered) > 0])])
    same = near & (distance == 0)
    found = {"duplicate": same, "gap": near & (distance > step) & ~_closed(times, distance, calendar)}
    found["stale"] = near & ~same & (table.values["volume"][order] != 0)
    for name in ("open", "high", "low", "close", "volume"):
        column = table.values[name][order]
        alike = column[1:] == column[:-1]
        if name == "volume":
            alike |= np.isnan(column[1:]) & np.isnan(column[:-1])
        found["stale"][1:] &= alike
    found["spike"] = _spikes(table, order, near)
    return {kind: _in_file_order(mask, order) for kind, mask in found.items()}


def _in_file_order(mask: Mask, order: NDArray[np.int64]) -> Mask:
    out = np.zeros_like(mask)
    out[order] = mask
    return out


def _closed(times: NDArray[np.int64], distance: NDArray[np.int64], calendar: str) -> Mask:
    """Distances that the calendar explains: nights, weekends and holidays of us-equity up to five days, weekends of 24/5."""
    before = times - distance
    if calendar == "us-equity":
        return (distance <= 5 * DAY) & (times // DAY > before // DAY)
    if calendar == "24/5":
        # Weeks begin on Monday in Wellington: on Sunday evening UTC, 4 hours before Monday, 3 days after the epoch's Thursday.
        week, shift = 7 * DAY, 3 * DAY + 4 * HOUR
        return (distance <= 3 * DAY) & ((times + shift) // week > (before + shift) // week)
    return np.zeros(len(times), dtype=bool)


def _spikes(table: Table, order: NDArray[np.int64], near: Mask) -> Mask:
    """Bars with a price far from the close before and, where there is one, from the open behind."""
    with np.errstate(divide="ignore", invalid="ignore"):
        high, low, opened, close = (np.log(table.values[name][order]) for name in ("high", "low", "open", "close"))
    after = np.concatenate([near[1:], [False]])
    previous = np.where(near, np.roll(close, 1), np.nan)
    following = np.where(after, np.roll(opened, -1), np.nan)
    limit = np.log(SPIKE)
    up = np.fmin(high - previous, high - following) > limit
    down = np.fmin(previous - low, following - low) > limit
    return np.asarray((up | down) & np.isfinite(high) & np.isfinite(low))


def _finding(table: Table, kind: str, mask: Mask) -> Finding:
    index = np.flatnonzero(mask)
    return Finding(kind, len(index), tuple(_describe(table, int(i), kind) for i in index[:3]))


def _describe(table: Table, index: int, kind: str) -> str:
    """`row 7, BTC/USD at 2021-09-27 13:45:00: high is under low (open 1, high 2, low 3, close 4, volume 5)`."""
    bar = ", ".join(f"{name} {table.values[name][index]:.10g}" for name in ("open", "high", "low", "close", "volume"))
    column = _columns(table, index, kind)
    at = f"{table.symbols[table.code[index]]} at {format_time(table.open_time[index])}"
    return f"row {table.row[index]}, {column}{at}: {_WORDS[kind]} ({bar})"


def _columns(table: Table, index: int, kind: str) -> str:
    """The column at fault, for the kinds that have one."""
    faults: dict[str, Callable[[float], bool]] = {"missing-price": isnan, "infinite": isinf, "not-positive": (0.0).__ge__}
    if kind not in faults:
        return {"bad-volume": "column volume, ", "off-grid": "column open_time, ", "unsorted": "column open_time, "}.get(kind, "")
    names = [name for name in ("open", "high", "low", "close") if faults[kind](float(table.values[name][index]))]
    return f"column {names[0]}, "
