"""One file of bars as it stands: any of parquet, CSV and feather, the usual column names, every usual way to write a time.

Nothing is judged or mended here but the form: what cannot be understood is refused with file, column, row and value.
Rows are counted from 1, as data rows: the header of a CSV is not one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradewind.core.errors import Corrupt, DataError
from tradewind.core.files import read_bytes
from tradewind.core.types import Array, Times
from tradewind.data.parquet import parse_parquet
from tradewind.data.times import parse_times

__all__ = ["COLUMNS", "Table", "load", "table_of"]

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "open_time": ("open_time", "timestamp", "datetime", "date", "time", "opentime", "unix"),
    "symbol": ("symbol", "ticker", "pair"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "funding_rate": ("funding_rate", "fundingrate"),
    "mark_close": ("mark_close", "markclose"),
}
"""Each column and the names it goes by, in any case, with spaces or underscores."""

_OPTIONAL: Final = ("symbol", "funding_rate", "mark_close")
_ABSENT: Final = ("", "null", "none", "nan", "na", "n/a")
_KINDS: Final = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather"}
_SUFFIXES: Final = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".txt": "csv", ".feather": "feather", ".arrow": "feather"}


@final
@dataclass(frozen=True, eq=False)
class Table:
    """The rows of one source in its own order.

    `row` (n,) their numbers from 1; `code` (n,) index into `symbols`; `open_time` (n,) UTC ns; `values` name -> (n,) float64, NaN where
    a cell is empty. `shifted` (n,): which rows were written with another UTC offset than the first.
    """

    source: str
    row: NDArray[np.int64]
    symbols: tuple[str, ...]
    code: NDArray[np.int64]
    open_time: Times
    values: Mapping[str, Array]
    shifted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Table:
        """The rows at `index`, which keep their numbers."""
        values = {name: column[index] for name, column in self.values.items()}
        return Table(self.source, self.row[index], self.symbols, self.code[index], self.open_time[index], values, self.shifted[index])


def load(path: str | Path, symbol: str | None = None) -> Table:
    """The rows of a file; `symbol` names its bars where it has no symbol column, by default the file's name does.

    Raises DataError or Corrupt, naming file, column, row, value and mend, for whatever cannot be understood.
    """
    path = Path(path)
    frame = _frame(path)
    if frame.height == 0:
        raise DataError(f"{path}: has no rows; it needs at least two closed bars")
    if symbol is not None and _find(path, frame, "symbol") is not None:
        raise DataError(f"{path}: names its symbols itself, in a column; leave symbol={symbol!r} out and pick with Market.select")
    return table_of(frame, str(path), symbol or path.stem)


def table_of(frame: pl.DataFrame, source: str, symbol: str = "symbol") -> Table:
    """The rows of a frame with any of the usual column names. Raises DataError as `load` does, naming `source`."""
    names = {column: _find(Path(source), frame, column) for column in COLUMNS}
    missing = [column for column, name in names.items() if name is None and column not in _OPTIONAL]
    if missing:
        raise DataError(f"{source}: lacks the column {missing[0]!r}; it has {', '.join(frame.columns)[:200]}; rename or add it")
    found = {column: frame[name] for column, name in names.items() if name is not None}
    open_time, shifted = parse_times(found["open_time"], source)
    symbols, code = _symbols(found["symbol"], source) if "symbol" in found else ((symbol,), np.zeros(frame.height, dtype=np.int64))
    values = {column: _numbers(series, source) for column, series in found.items() if column not in ("open_time", "symbol")}
    return Table(source, np.arange(1, frame.height + 1), symbols, code, open_time, values, shifted)


def _frame(path: Path) -> pl.DataFrame:
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: its name ends with {path.suffix!r}; bars are read from {', '.join(_SUFFIXES)}")
    data = read_bytes(path)
    if not data.strip():
        raise DataError(f"{path}: is empty; write the bars anew")
    written = _SUFFIXES[path.suffix.lower()]
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "csv")
    if kind != written:
        if kind == "csv":
            raise Corrupt(f"{path}: is damaged or no {written} file (it does not begin as one); restore it or write it anew")
        raise DataError(f"{path}: its name says {written}, its bytes say {kind}; rename it to {path.stem}.{kind}")
    return {"parquet": parse_parquet, "feather": _parse_feather, "csv": _parse_csv}[kind](data, path)


def _parse_feather(data: bytes, path: Path) -> pl.DataFrame:
    try:
        return pl.read_ipc(io.BytesIO(data))
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise Corrupt(f"{path}: is damaged or no feather file ({_first_line(error)}); restore it or write it anew") from None


def _parse_csv(data: bytes, path: Path) -> pl.DataFrame:
    try:
        header = data[: data.find(b"\n")].decode() if b"\n" in data else data.decode()
    except UnicodeDecodeError:
        header = "\0"
    if "\0" in header:
        raise DataError(f"{path}: its first line is not text; save it as UTF-8 CSV with a header")
    separator = max(",;\t|", key=header.count)
    try:
        return pl.read_csv(io.BytesIO(data), infer_schema=False, separator=separator)
    except (ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({_first_line(error)}); save it as UTF-8 with as many cells in each row") from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _find(path: Path, frame: pl.DataFrame, column: str) -> str | None:
    """The frame's own name of `column`; None when it has none. Raises DataError when several could be it."""
    spelled: dict[str, list[str]] = {}
    for name in frame.columns:
        spelled.setdefault(re.sub(r"[\s_]+", "_", name.strip().lower().lstrip("\ufeff")), []).append(name)
    candidates = [name for alias in COLUMNS[column] for name in spelled.get(alias, [])]
    exact = spelled.get(column, [])
    if len(exact) == 1 or not candidates:
        return exact[0] if exact else None
    if len(candidates) > 1:
        raise DataError(f"{path}: the columns {candidates[0]!r} and {candidates[1]!r} could both be {column}; drop one or rename it")
    return candidates[0]


def _symbols(series: pl.Series, source: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    text = series.cast(pl.String)
    absent = text.is_null() | (text.str.strip_chars() == "")
    if absent.any():
        raise DataError(f"{source}: column {series.name!r}, row {int(absent.arg_max() or 0) + 1}: the symbol is missing; name it")
    names = text.unique(maintain_order=True)
    # Physical codes of an Enum are positions in its categories: one hash of each row and no strings in Python.
    code = text.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    return tuple(names.to_list()), code


def _numbers(series: pl.Series, source: str) -> Array:
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        wrong = numbers.is_null() & text.is_not_null() & ~text.str.to_lowercase().is_in(_ABSENT)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(f"{source}: column {series.name!r}, row {row + 1}: {series[row]!r} is no number; write plain decimals")
    elif series.dtype.is_numeric() or series.dtype == pl.Null:
        numbers = series.cast(pl.Float64)
    else:
        raise DataError(f"{source}: column {series.name!r} is {series.dtype}, not a number; write plain decimals")
    return np.ascontiguousarray(numbers.fill_null(float("nan")).to_numpy())
