"""Files of bars that nobody should trade on: name -> a function that writes one into a folder and returns its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from tradewind.core.clock import DAY, HOUR, SystemClock, format_time
from tradewind.data.parquet import write_parquet

HEADER: Final = "timestamp,open,high,low,close,volume"
GOOD: Final = tuple(f"2021-01-01 {hour:02d}:00:00,{100 + hour},{102 + hour},{99 + hour},{101 + hour},{5 + hour}" for hour in range(24))

Make = Callable[[Path], Path]


def good(folder: Path) -> Path:
    """A day of sound hourly bars: what the broken files are made from."""
    return _text("\n".join([HEADER, *GOOD]))(folder)


def frame(rows: int = 2_000) -> pl.DataFrame:
    """Sound hourly bars as a frame."""
    close = 100 + np.cumsum(np.sin(np.arange(rows)))
    times = pl.Series("open_time", np.arange(rows) * HOUR + 1_600_000_000_000_000_000 // HOUR * HOUR).cast(pl.Datetime("ns", "UTC"))
    prices = {"open": close, "high": close + 2, "low": close - 2, "close": close + 1, "volume": np.arange(rows) + 1.0}
    return pl.DataFrame([times, pl.Series("symbol", ["BTC/USD"] * rows), *(pl.Series(name, values) for name, values in prices.items())])


def _text(text: str, name: str = "bars.csv") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


def _rows(*changes: tuple[int, str], header: str = HEADER) -> Make:
    """The good bars with some rows (from 0) replaced."""
    rows = list(GOOD)
    for index, row in changes:
        rows[index] = row
    return _text("\n".join([header, *rows]))


def _damaged(damage: Callable[[bytes], bytes], name: str = "bars.parquet") -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        if name.endswith(".feather"):
            frame().write_ipc(path)
        else:
            write_parquet(path, frame())
        path.write_bytes(damage(path.read_bytes()))
        return path

    return make


def _flip(place: float) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        at = int(len(data) * place)
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return damage


def _folder(folder: Path) -> Path:
    (folder / "bars.csv").mkdir()
    return folder / "bars.csv"


def _unclosed(folder: Path) -> Path:
    begin = SystemClock().now() // DAY * DAY - 3 * DAY
    rows = [f"{format_time(begin + i * DAY)},100,102,99,101,5" for i in range(4)]
    return _text("\n".join([HEADER, *rows]))(folder)


def _perpetual(folder: Path) -> Path:
    return _text("\n".join([f"{HEADER},symbol", *(f"{row},BTCUSDT-PERP" for row in GOOD)]))(folder)


BROKEN: Final[dict[str, Make]] = {
    "empty": _text(""),
    "blank": _text("\n\n"),
    "header alone": _text(HEADER + "\n"),
    "one row": _text(f"{HEADER}\n{GOOD[0]}\n"),
    "no close": _text("timestamp,open,high,low,volume\n2021-01-01,1,2,1,1\n2021-01-02,1,2,1,1"),
    "no time": _text("open,high,low,close,volume\n1,2,1,1,1\n1,2,1,1,1"),
    "two times": _text("date,time,open,high,low,close,volume\n2021-01-01,00:00,1,2,1,1,1\n2021-01-01,01:00,1,2,1,1,1"),
    "text in a price": _rows((3, "2021-01-01 03:00:00,abc,105,102,104,8")),
    "missing price": _rows((3, "2021-01-01 03:00:00,103,105,102,,8")),
    "NaN price": _rows((3, "2021-01-01 03:00:00,103,105,NaN,104,8")),
    "infinite price": _rows((3, "2021-01-01 03:00:00,103,inf,102,104,8")),
    "negative price": _rows((3, "2021-01-01 03:00:00,103,105,-102,104,8")),
    "zero price": _rows((3, "2021-01-01 03:00:00,0,105,0,104,8")),
    "high below low": _rows((3, "2021-01-01 03:00:00,103,102,105,104,8")),
    "close above high": _rows((3, "2021-01-01 03:00:00,103,105,102,106,8")),
    "negative volume": _rows((3, "2021-01-01 03:00:00,103,105,102,104,-8")),
    "duplicate time": _rows((3, GOOD[2])),
    "unsorted": _rows((3, GOOD[4]), (4, GOOD[3])),
    "off the grid": _rows((3, "2021-01-01 03:07:11,103,105,102,104,8")),
    "part bar": _rows((23, "2021-01-01 22:20:02,123,123,123,123,0")),
    "not closed yet": _unclosed,
    "mixed units": _text("\n".join([HEADER, *(f"{1_609_459_200 + i * 3_600},1,2,1,1,1" for i in range(9)), "1609491600000,1,2,1,1,1"])),
    "no epoch": _text("\n".join([HEADER, *(f"{20210101 + i},1,2,1,1,1" for i in range(9))])),
    "no ISO time": _rows((3, "1/2/2021 03:00,103,105,102,104,8")),
    "missing time": _rows((3, ",103,105,102,104,8")),
    "missing symbol": _text("\n".join([f"{HEADER},symbol", *(f"{row},BTC" for row in GOOD), f"{GOOD[0]},"])),
    "perpetual without funding": _perpetual,
    "too many cells": _rows((3, "2021-01-01 03:00:00,103,105,102,104,8,9,10")),
    "cut row": _text("\n".join([HEADER, *GOOD])[:-9]),
    "no text at all": _damaged(lambda data: bytes(range(128, 256)) * 9, "bars.csv"),
    "truncated parquet": _damaged(lambda data: data[: len(data) // 2]),
    "bit in a page": _damaged(_flip(0.4)),
    "bit in the footer": _damaged(lambda data: data[:-7] + bytes([data[-7] ^ 0x10]) + data[-6:]),
    "zeroed block": _damaged(lambda data: data[:2_000] + bytes(512) + data[2_512:]),
    "truncated feather": _damaged(lambda data: data[: len(data) // 2], "bars.feather"),
    "parquet called CSV": _damaged(lambda data: data, "bars.csv"),
    "CSV called parquet": _text("\n".join([HEADER, *GOOD]), "bars.parquet"),
    "unknown kind": _text("\n".join([HEADER, *GOOD]), "bars.xlsx"),
    "a folder": _folder,
    "no such file": lambda folder: folder / "nowhere.csv",
}
"""Every way in which a file of bars has been seen to be bad; `read` must refuse each in one line that names the file."""
