"""The folder that a long piece of work lives in: one process at a time, with the bars for its workers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.types import State

__all__ = ["claimed", "packed", "unpacked"]

_ARRAYS: Final = ("open_time", "known", "open", "high", "low", "close", "volume", "funding_rate", "mark_close")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system lets go of it when the process ends. Raises DataError when it is taken."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror or error}; choose another --out") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.rglob(".*.tmp"):
            left.unlink(missing_ok=True)  # half-written by a process that was killed
        yield
    except BlockingIOError:
        raise DataError(f"{folder}: another process is at work here; wait for it or stop it") from None
    finally:
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()  # only a folder in which nothing was finished is empty


def packed(market: Market) -> State:
    """The bars as data."""
    arrays = {name: getattr(market, name) for name in _ARRAYS if getattr(market, name) is not None}
    return State({"symbols": list(market.symbols), "timeframe": market.timeframe, "calendar": market.calendar}, arrays)


def unpacked(state: State) -> Market:
    """The bars that `packed` gave."""
    values, arrays = state.values, {name: state.arrays.get(name) for name in _ARRAYS}
    return Market(symbols=tuple(values["symbols"]), timeframe=values["timeframe"], calendar=values["calendar"], **arrays)  # type: ignore[arg-type]
