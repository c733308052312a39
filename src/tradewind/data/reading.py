"""Bars from files into a Market. Nothing is mended unless it is asked for, and whatever was mended is counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from tradewind.core.clock import format_time, timeframe_name
from tradewind.core.errors import DataError, QualityError
from tradewind.core.market import Market
from tradewind.core.settings import choose
from tradewind.data import inspection
from tradewind.data.inspection import INVALID, REFUSED, Quality
from tradewind.data.table import Table, load

__all__ = ["REPAIRS", "read", "repair_table"]

_PERPETUAL: Final = re.compile(r"(-PERP|:[A-Z0-9]+)$", re.IGNORECASE)


def read(
    paths: str | Path | Sequence[str | Path],
    symbol: str | None = None,
    timeframe: str | None = None,
    calendar: str | None = None,
    repair: Sequence[str] = (),
) -> Market:
    """A Market from one or more parquet, CSV or feather files.

    Columns, in any case: open_time (or timestamp, datetime, date, time), open, high, low, close, volume, and where there are any symbol,
    funding_rate, mark_close. Times are ISO 8601 (without an offset: UTC), epochs in s, ms, us or ns, or datetimes. A file without a symbol
    column holds the bars of `symbol`, by default of its own name. Several files are joined on their times; bars that a symbol lacks are
    NaN. `timeframe` and `calendar` are inferred when not given.

    `repair` names what may be mended, of `drop-part-bars`, `drop-off-grid`, `drop-invalid`, `sort` and `drop-duplicates` (the last
    one is kept), always in this order. Without it bad bars raise QualityError, whose `.report` counts every kind;
    what is not bars at all raises DataError. Perpetuals (`-PERP`, or `:` and a settlement) need their funding_rate.
    """
    sources = [paths] if isinstance(paths, str | Path) else list(paths)
    if not sources:
        raise DataError("no files to read; pass at least one path")
    if symbol is not None and len(sources) > 1:
        raise DataError(f"symbol={symbol!r} names the bars of one file, not of {len(sources)}; give the files a symbol column")
    for name in [repair] if isinstance(repair, str) else repair:
        choose(name, REPAIRS, "repair")
    tables, steps = [], []
    for source in sources:
        table = load(source, symbol)
        steps.append(inspection.step_of(table, timeframe))
        tables.append(_admit(table, steps[-1], calendar, [repair] if isinstance(repair, str) else repair))
    if len(set(steps)) > 1:
        odd = next(i for i, step in enumerate(steps) if step != steps[0])
        names = [timeframe_name(steps[i]) for i in (0, odd)]
        raise DataError(f"{sources[odd]}: has {names[1]} bars, {sources[0]} has {names[0]}; read files of one timeframe")
    return _join(tables, timeframe_name(steps[0]), calendar)


def repair_table(table: Table, step: int, repair: Iterable[str]) -> tuple[Table, dict[str, int]]:
    """`table` after the named repairs, in the order of REPAIRS, and how many rows each removed or moved."""
    counts = {}
    for name in REPAIRS:
        if name in repair:
            mended = REPAIRS[name](table, step)
            counts[name] = len(table) - len(mended) if name != "sort" else int((mended.row != table.row).sum())
            table = mended
    return table, counts


def _drop_part_bars(table: Table, step: int) -> Table:
    return table.take(~inspection.unfinished(table, step))


def _drop_off_grid(table: Table, step: int) -> Table:
    return table.take(~inspection.off_grid(table.open_time, step))


def _drop_invalid(table: Table, step: int) -> Table:
    masks = inspection.row_masks(table, step)
    return table.take(~np.logical_or.reduce([masks[kind] for kind in INVALID]))


def _sort(table: Table, step: int) -> Table:
    return table.take(np.argsort(table.open_time, kind="stable"))


def _drop_duplicates(table: Table, step: int) -> Table:
    order = np.lexsort((np.arange(len(table)), table.open_time, table.code))
    same = (np.diff(table.open_time[order]) == 0) & (np.diff(table.code[order]) == 0)
    dropped = order[:-1][same]
    kept = np.ones(len(table), dtype=bool)
    kept[dropped] = False
    return table.take(kept)


REPAIRS: Final[dict[str, Callable[[Table, int], Table]]] = {
    "drop-part-bars": _drop_part_bars,
    "drop-off-grid": _drop_off_grid,
    "drop-invalid": _drop_invalid,
    "sort": _sort,
    "drop-duplicates": _drop_duplicates,
}
"""In the order in which they are applied: what a row off the grid says about the rows above it must be read before anything is moved."""


def _admit(table: Table, step: int, calendar: str | None, repair: Sequence[str]) -> Table:
    """The repaired rows, or QualityError with the report of what is left to mend."""
    # Once the rows off the grid are gone nothing tells an open bar from a closed one, so that is judged before any repair.
    opened = inspection.unfinished(table, step)
    if opened.any() and "drop-part-bars" not in repair:
        _refuse(inspection.inspect(table, step, calendar), "part-bar")
    mended, counts = repair_table(table, step, repair)
    if not len(mended):
        raise QualityError(f"{table.source}: no row is left after {', '.join(repair)}", inspection.inspect(table, step, calendar))
    report = inspection.inspect(mended, step, calendar, counts)
    if not report.ok:
        _refuse(report)
    _require_funding(mended)
    return mended


def _refuse(report: Quality, kind: str | None = None) -> None:
    finding = next(f for f in report.findings if f.refused and kind in (None, f.kind))
    others = sum(f.count for f in report.findings if f.refused) - 1
    more = f" (and {others} more refused)" if others else ""
    raise QualityError(f"{report.source}: {finding.first[0]}{more}; {REFUSED[finding.kind]}", report)


def _require_funding(table: Table) -> None:
    funding = table.values.get("funding_rate")
    for code, name in enumerate(table.symbols):
        if _PERPETUAL.search(name) and (funding is None or np.isnan(funding[table.code == code]).all()):
            raise DataError(
                f"{table.source}: {name} is a perpetual and has no funding_rate; add that column, with the rate in the bars that open at "
                "funding times and nothing in the others"
            )


def _join(tables: Sequence[Table], timeframe: str, calendar: str | None) -> Market:
    optional = [name for name in ("funding_rate", "mark_close") if any(name in table.values for table in tables)]
    frames = []
    for table in tables:
        names = pl.Series("symbol", table.code).replace_strict(dict(enumerate(table.symbols)), return_dtype=pl.String)
        columns = {
            name: table.values.get(name, np.full(len(table), np.nan)) for name in ("open", "high", "low", "close", "volume", *optional)
        }
        frames.append(pl.DataFrame({"open_time": table.open_time, "symbol": names, **columns}))
    if len(tables) > 1:
        _require_distinct(tables)
    return Market.from_frame(pl.concat(frames), timeframe=timeframe, calendar=calendar)


def _require_distinct(tables: Sequence[Table]) -> None:
    """Two files may carry the same symbol, such as two years of it, but not the same bar."""
    seen: dict[str, list[Table]] = {}
    for table in tables:
        for code, name in enumerate(table.symbols):
            part = table.take(table.code == code)
            for other in seen.get(name, []):
                shared = np.intersect1d(part.open_time, other.open_time)
                if len(shared):
                    raise QualityError(
                        f"{table.source}: {name} at {format_time(shared[0])} stands in {other.source} too "
                        f"({len(shared)} bars are in both); drop them from one"
                    )
            seen.setdefault(name, []).append(part)
