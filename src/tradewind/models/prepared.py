"""Files that carry their features and a `target` column already, as the training guide's data set does.

Costs one read of the whole file. Fails to notice features that look ahead: whoever made the file answers for its columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tradewind.core.clock import HOUR
from tradewind.core.errors import DataError
from tradewind.core.market import infer_step
from tradewind.core.types import Features, Labels, Times
from tradewind.labels import NEVER

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TARGET", "read_prepared"]

TARGET: Final = "target"
TIMES: Final = ("open_time", "timestamp", "datetime", "date", "time")


def read_prepared(path: str | Path, columns: tuple[str, ...]) -> tuple[Features, Labels] | None:
    """Inputs and next-row classes of a parquet file with all `columns` and `target`; None when it is no such file.

    Rows are one symbol's, in order of time; without a time column they count as hourly. `target` of row t is known with row t + 1. Raises
    DataError for a target with fewer than two classes or more than ten, text in a column, or times that do not increase.
    """
    from tradewind.data.parquet import read_parquet

    if Path(path).suffix != ".parquet":
        return None
    frame = read_parquet(path)
    if not {*columns, TARGET} <= set(frame.columns):
        return None
    numbers = {name: frame[name] for name in (*columns, TARGET)}
    for name, column in numbers.items():
        if not (column.dtype.is_numeric() or str(column.dtype) == "Boolean"):
            raise DataError(f"{path}: column {name} is {column.dtype}, not a number")
    values = np.stack([_float(numbers[name]) for name in columns], axis=1)[:, None, :]
    open_time = _times(path, frame)
    step = infer_step(open_time)
    target = _float(numbers[TARGET])[:, None]
    classes = np.unique(target[np.isfinite(target)])
    if not 2 <= len(classes) <= 10:
        raise DataError(f"{path}: column {TARGET} has {len(classes)} distinct values; it needs a few classes, such as 0 and 1")
    known = open_time + step
    end = np.minimum(np.arange(len(frame)) + 1, len(frame) - 1)[:, None]
    answered = np.append(known[1:], NEVER)[:, None]
    X = Features(columns, values, 0, open_time, known, (Path(path).stem,))
    return X, Labels(target, answered, end, np.ones(target.shape), tuple(classes.tolist()), 1)


def _float(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(column.cast(float).fill_null(float("nan")).to_numpy(), dtype=np.float64)


def _times(path: str | Path, frame: pl.DataFrame) -> Times:
    names = [name for name in TIMES if name in frame.columns and frame[name].dtype.is_temporal()]
    if not names:
        return np.arange(len(frame), dtype=np.int64) * HOUR
    times = frame[names[0]].dt.epoch("ns").to_numpy().astype(np.int64)
    backward = np.flatnonzero(np.diff(times) <= 0)
    if len(backward):
        raise DataError(f"{path}: row {backward[0] + 2}: column {names[0]} does not increase; sort the rows and keep one of each")
    return times
