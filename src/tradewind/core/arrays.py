"""The kinds of array that travel through the house, and how panels become frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Array", "Times", "long_frame"]

Array: TypeAlias = NDArray[np.float64]
Times: TypeAlias = NDArray[np.int64]
"""UTC nanoseconds since 1970."""


def long_frame(open_time: Times, symbols: tuple[str, ...], columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """A long polars frame, sorted by time and symbol: `open_time` (datetime[ns, UTC]), `symbol`, then `columns`, each (time, symbol)."""
    import polars as pl

    times = pl.Series("open_time", np.repeat(open_time, len(symbols))).cast(pl.Datetime("ns", "UTC"))
    names = pl.Series("symbol", list(symbols) * len(open_time), dtype=pl.String)
    return pl.DataFrame([times, names, *(pl.Series(name, np.ascontiguousarray(array).reshape(-1)) for name, array in columns.items())])
