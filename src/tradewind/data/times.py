"""Times as files write them: ISO text with or without UTC offsets, epochs in s, ms, us or ns, datetimes of any unit and zone."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.types import Times

__all__ = ["parse_times"]

_UNITS: Final = {"seconds": 1_000_000_000, "milliseconds": 1_000_000, "microseconds": 1_000, "nanoseconds": 1}
_EDGES: Final = (1e8, 1e11, 1e14, 1e17, 9.2e18)
"""Where one unit ends and the next begins: each covers the years 1973 to 5138 but nanoseconds, which end in 2261."""

_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_OFFSET: Final = r"\s*(Z|z|[+-]\d{2}:?\d{2}|[+-]\d{2}|UTC)$"
_LAST_YEAR: Final = 2261


def parse_times(series: pl.Series, source: str) -> tuple[Times, NDArray[np.bool_]]:
    """UTC ns (n,), and which rows have another UTC offset than the first (n,).

    Times without an offset or zone are UTC. Raises DataError naming source, column, row, value and mend for a missing time, text that
    is not ISO 8601, a number whose magnitude is that of no epoch, or epochs of several units in one column.
    """
    absent = series.is_null() if series.dtype != pl.String else series.is_null() | (series.str.strip_chars() == "")
    if absent.any():
        raise DataError(f"{_where(series, source, int(absent.arg_max() or 0))}: the time is missing; drop that row or write its time")
    if isinstance(series.dtype, pl.Datetime) or series.dtype == pl.Date:
        return _of_datetimes(series, source), np.zeros(len(series), dtype=bool)
    if series.dtype == pl.String and not series.str.contains(r"^\s*\d+(\.0*)?\s*$").all():
        return _of_text(series, source)
    if series.dtype == pl.String or series.dtype.is_numeric():
        return _of_epochs(series, source), np.zeros(len(series), dtype=bool)
    raise DataError(f"{source}: column {series.name!r} is {series.dtype}, not a time; write ISO 8601 or an epoch")


def _where(series: pl.Series, source: str, index: int) -> str:
    return f"{source}: column {series.name!r}, row {index + 1}"


def _nanoseconds(moments: pl.Series) -> Times:
    return moments.cast(pl.Datetime("ns")).to_physical().to_numpy().astype(np.int64)


def _of_datetimes(series: pl.Series, source: str) -> Times:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    _require_years(series, series, source)
    return _nanoseconds(series)


def _require_years(moments: pl.Series, series: pl.Series, source: str) -> None:
    beyond = (moments.dt.year() > _LAST_YEAR) | (moments.dt.year() < 1700)
    if beyond.any():
        index = int(beyond.arg_max() or 0)
        raise DataError(
            f"{_where(series, source, index)}: {series[index]} is not in the years 1700 to {_LAST_YEAR}; check the unit of time"
        )


def _of_epochs(series: pl.Series, source: str) -> Times:
    numbers = series.str.strip_chars().cast(pl.Float64) if series.dtype == pl.String else series
    magnitude = numbers.cast(pl.Float64).to_numpy()
    unit = np.digitize(magnitude, _EDGES)
    strange = ~np.isfinite(magnitude) | (unit == 0) | (unit == len(_EDGES))
    if strange.any():
        index = int(np.argmax(strange))
        raise DataError(
            f"{_where(series, source, index)}: {series[index]} is no epoch in seconds, milliseconds, microseconds or nanoseconds "
            "(1973 or later); write one of these or ISO 8601"
        )
    mixed = unit != unit[0]
    names = list(_UNITS)
    if mixed.any():
        index = int(np.argmax(mixed))
        raise DataError(
            f"{_where(series, source, index)}: {series[index]} looks like {names[unit[index] - 1]}, row 1 like {names[unit[0] - 1]}; "
            "write one unit of time throughout"
        )
    scale = _UNITS[names[unit[0] - 1]]
    if numbers.dtype.is_integer():
        return numbers.cast(pl.Int64).to_numpy() * scale
    if series.dtype == pl.String and series.str.contains(r"^\s*\d+\s*$").all():
        return series.str.strip_chars().cast(pl.Int64).to_numpy() * scale
    # A float of seconds keeps microseconds exactly; rounding to them keeps 0.1 s from becoming 0.0999999 s.
    return np.round(numbers.to_numpy() * (scale / 1_000)).astype(np.int64) * 1_000


def _of_text(series: pl.Series, source: str) -> tuple[Times, NDArray[np.bool_]]:
    text = series.str.strip_chars()
    clock = text.str.slice(10)  # behind the date: only there may an offset stand, 2021-01-02 is not 2021 minus 01:02
    offset = clock.str.extract(_OFFSET).fill_null("")
    local = (text.str.slice(0, 10) + clock.str.replace(_OFFSET, "").str.replace("T", " ", literal=True)).str.strip_chars()
    moments = local.str.to_datetime(_FORMATS[0], time_unit="us", strict=False)
    for style in _FORMATS[1:]:
        if moments.null_count():
            moments = moments.fill_null(local.str.to_datetime(style, time_unit="us", strict=False))
    if moments.null_count():
        index = int(moments.is_null().arg_max() or 0)
        raise DataError(
            f"{_where(series, source, index)}: {series[index]!r} is no time; write ISO 8601, such as 2021-09-27T13:45:00+00:00, or an epoch"
        )
    _require_years(moments, series, source)
    kinds = {word: _offset_minutes(word) for word in offset.unique().to_list()}
    minutes = offset.replace_strict(kinds, return_dtype=pl.Int64).to_numpy()
    stated = (offset != "").to_numpy()
    return _nanoseconds(moments) - minutes * (60 * _UNITS["seconds"]), (minutes != minutes[0]) | (stated != stated[0])


def _offset_minutes(word: str) -> int:
    if word in ("", "Z", "z", "UTC"):
        return 0
    digits = word[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return -minutes if word[0] == "-" else minutes
