"""The store: bars in parquet files of one symbol, timeframe and month each, with a manifest of their sha256.

Every page has a checksum and every file a sha256, both verified on each read, so damage is told and never traded on. A part is written
under the name of its content and the manifest is replaced last: killed at any moment, the store is as before or as after. One writer
at a time. Appending rewrites the months it touches; that is cheap for bars and wrong for ticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote

import numpy as np
import polars as pl

from tradewind.core.clock import DAY, format_time, parse_duration, parse_time
from tradewind.core.errors import Corrupt, DataError
from tradewind.core.files import canonical_json, read_bytes, read_json, sha256, write_bytes, write_json
from tradewind.core.market import FIELDS, OPTIONAL, Market
from tradewind.core.settings import choose
from tradewind.data.parquet import encode_parquet, read_parquet

__all__ = ["Store"]

_FORMAT: Final = 1

Series = dict[str, Any]
"""One symbol on one timeframe: symbol, timeframe, calendar, parts (month -> file, sha256, rows, first, last)."""


@final
class Store:
    """A folder of bars. Making one touches nothing; `write` creates it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # -- what is there -----------------------------------------------------------------------------------------------
    def series(self) -> list[tuple[str, str, int, int]]:
        """(symbol, timeframe, first open_time, last open_time) in the order in which they were first written."""
        return [
            (entry["symbol"], entry["timeframe"], min(p["first"] for p in parts), max(p["last"] for p in parts))
            for entry in self._manifest()
            if (parts := entry["parts"].values())
        ]

    def last(self, symbol: str, timeframe: str) -> int | None:
        """The open_time (UTC ns) of the newest bar; None when there is none. What a download continues from."""
        return next((end for name, frame, _, end in self.series() if (name, frame) == (symbol, timeframe)), None)

    # -- write -------------------------------------------------------------------------------------------------------
    def write(self, market: Market) -> int:
        """Add the bars of `market`; returns how many were new.

        Bars that are there already are stored once. Raises DataError, and changes nothing, for a bar that contradicts the one stored
        or a calendar that differs; raises Corrupt when a part to be extended is damaged.
        """
        entries = self._manifest()
        by_month = "%Y-%m" if market.step < DAY else "%Y"
        frame = _frame(market).with_columns(part=pl.col("open_time").dt.strftime(by_month))
        added, replaced = 0, []
        for (symbol,), bars in frame.group_by("symbol", maintain_order=True):
            entry = _entry(entries, str(symbol), market)
            for (part,), rows in bars.group_by("part", maintain_order=True):
                old = entry["parts"].get(part)
                merged = self._merge(old, rows.drop("part"))
                new = merged.height - (old["rows"] if old else 0)
                if new:
                    added += new
                    replaced.append(old["file"] if old else "")
                    entry["parts"][part] = self._write_part(entry, str(part), merged)
        if added:
            body = {"format": _FORMAT, "series": entries}
            write_json(self._manifest_path, {**body, "sha256": sha256(canonical_json(body))})
            # Only now does nobody need the parts that were replaced.
            for name in filter(None, replaced):
                (self.path / name).unlink(missing_ok=True)
        return added

    def _merge(self, old: Mapping[str, Any] | None, rows: pl.DataFrame) -> pl.DataFrame:
        if old is None:
            return rows.sort("open_time")
        stored = self._read_part(old)
        both = pl.concat([stored, rows], how="diagonal").unique(maintain_order=True)
        twice = both.filter(pl.col("open_time").is_duplicated())
        if twice.height:
            bar = twice.sort("open_time", maintain_order=True)
            raise DataError(
                f"{self.path / old['file']}: {bar['symbol'][0]} at {format_time(int(bar['open_time'].to_physical()[0]))} is stored with "
                f"close {bar['close'][0]:.10g}, and the new bar says {bar['close'][1]:.10g} or differs elsewhere; find out which is right "
                "and remove the other"
            )
        return both.sort("open_time")

    def _write_part(self, entry: Series, part: str, rows: pl.DataFrame) -> dict[str, Any]:
        data = encode_parquet(rows)
        digest = sha256(data)
        # A symbol may hold any character, even those that mean something in a path.
        folder = quote(entry["symbol"], safe="").replace(".", "%2E")
        name = f"{entry['timeframe']}/{folder}/{part}-{digest[:12]}.parquet"
        write_bytes(self.path / name, data)
        times = rows["open_time"].to_physical()
        return {"file": name, "sha256": digest, "rows": rows.height, "first": int(times[0]), "last": int(times[-1])}

    # -- read --------------------------------------------------------------------------------------------------------
    def read(
        self,
        symbols: Sequence[str] | str | None = None,
        timeframe: str | None = None,
        start: str | int | None = None,
        end: str | int | None = None,
    ) -> Market:
        """The bars of `symbols` (all by default) on `timeframe` (the only one by default) that open in [start, end).

        Raises SettingsError for a symbol or timeframe that is not there, DataError when no bar is, Corrupt when a part is damaged.
        """
        entries = self._pick(symbols, timeframe)
        first, last = (parse_time(moment) if isinstance(moment, str) else moment for moment in (start, end))
        frames = []
        for entry in entries:
            for part in entry["parts"].values():
                if (first is None or part["last"] >= first) and (last is None or part["first"] < last):
                    frames.append(self._read_part(part))
        if not frames:
            raise DataError(f"{self.path}: no bars from {start} to {end}; widen the span or fetch them")
        market = _market(pl.concat(frames, how="diagonal"), entries[0]).between(first, last)
        if not len(market):
            raise DataError(f"{self.path}: no bars from {start} to {end}; widen the span or fetch them")
        return market

    def query(self, sql: str) -> pl.DataFrame:
        """The answer of DuckDB to `sql` over the view `bars`: timeframe, symbol, open_time, known, open, high, low, close, volume, ...

        Every file is verified first. Raises Corrupt when one is damaged and DataError when DuckDB refuses the query.
        """
        import duckdb

        parts = [part for entry in self._manifest() for part in entry["parts"].values()]
        if not parts:
            raise DataError(f"{self.path}: is an empty store; write or fetch bars first")
        for part in parts:
            read_bytes(self.path / part["file"], part["sha256"])
        files = [str(self.path / part["file"]) for part in parts]
        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.read_parquet(files, union_by_name=True).create_view("bars")
            try:
                answer = connection.sql(sql)
                frame = answer.pl() if answer is not None else pl.DataFrame()
            except duckdb.Error as error:
                raise DataError(f"{self.path}: the query failed: {' '.join(str(error).split())[:200]}") from None
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _pick(self, symbols: Sequence[str] | str | None, timeframe: str | None) -> list[Series]:
        entries = self._manifest()
        timeframes = {entry["timeframe"]: parse_duration(entry["timeframe"]) for entry in entries}
        if not timeframes:
            raise DataError(f"{self.path}: is an empty store; write or fetch bars first")
        if timeframe is None and len(timeframes) > 1:
            raise DataError(f"{self.path}: holds {', '.join(timeframes)}; say which with timeframe=")
        timeframe = timeframe or next(iter(timeframes))
        choose(timeframe, timeframes, f"timeframe in {self.path}:")
        there = {entry["symbol"]: entry for entry in entries if entry["timeframe"] == timeframe}
        wanted = [symbols] if isinstance(symbols, str) else (symbols or list(there))
        picked = [choose(symbol, there, f"symbol in {self.path}:") for symbol in wanted]
        if len({entry["calendar"] for entry in picked}) > 1:
            raise DataError(f"{self.path}: {', '.join(wanted)} keep different calendars; read them apart")
        return picked

    def _read_part(self, part: Mapping[str, Any]) -> pl.DataFrame:
        return read_parquet(self.path / part["file"], part["sha256"])

    @property
    def _manifest_path(self) -> Path:
        return self.path / "manifest.json"

    def _manifest(self) -> list[Series]:
        """The series, each safe to change; none when the store was never written."""
        if not self._manifest_path.exists():
            return []
        manifest = read_json(self._manifest_path)
        if not isinstance(manifest, dict) or manifest.pop("sha256", None) != sha256(canonical_json(manifest)):
            raise Corrupt(f"{self._manifest_path}: was changed or damaged; restore it from a copy, or fetch the bars anew")
        if manifest.get("format") != _FORMAT:
            raise DataError(f"{self._manifest_path}: is of format {manifest.get('format')}, this version reads {_FORMAT}")
        return list(manifest["series"])


def _entry(entries: list[Series], symbol: str, market: Market) -> Series:
    """The series of a symbol, begun where there is none."""
    for entry in entries:
        if (entry["symbol"], entry["timeframe"]) == (symbol, market.timeframe):
            if entry["calendar"] != market.calendar:
                raise DataError(f"{symbol} is stored on the calendar {entry['calendar']}, the new bars are on {market.calendar}")
            return entry
    entry = {"symbol": symbol, "timeframe": market.timeframe, "calendar": market.calendar, "parts": {}}
    entries.append(entry)
    return entry


def _frame(market: Market) -> pl.DataFrame:
    times = pl.DataFrame({"open_time": market.open_time, "known": market.known}).with_columns(
        pl.col("open_time", "known").cast(pl.Datetime("ns", "UTC"))
    )
    frame = market.to_frame().join(times, on="open_time", how="left", maintain_order="left")
    optional = [name for name in OPTIONAL if name in frame.columns]
    return frame.select(pl.lit(market.timeframe).alias("timeframe"), "symbol", "open_time", "known", *FIELDS, *optional)


def _market(frame: pl.DataFrame, entry: Series) -> Market:
    market = Market.from_frame(frame, timeframe=entry["timeframe"], calendar=entry["calendar"])
    known = frame.group_by("open_time").agg(pl.col("known").max()).sort("open_time")["known"].to_physical().to_numpy()
    return market if np.array_equal(known, market.known) else replace(market, known=known)
