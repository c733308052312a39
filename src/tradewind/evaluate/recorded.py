"""Targets from a file: `targets.parquet` of a run, or any long table with open_time, symbol and a column of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError
from tradewind.core.files import sha256
from tradewind.core.market import Market
from tradewind.core.settings import choose
from tradewind.core.types import Targets
from tradewind.engine import backtest
from tradewind.evaluate.identity import digest
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.result import Result
from tradewind.simulate.costs import Costs

__all__ = ["judge_targets", "read_targets"]

_KEYS: Final = ("open_time", "symbol")


def judge_targets(
    path: str | Path, market: Market, costs: Costs | None = None, row: str | None = None, ledger: Ledger | None = None
) -> Result:
    """What the targets in a file would have earned on `market`, judged; counted in `ledger`, by default the user's, as a trial."""
    name, targets = read_targets(path, market, row)
    account = backtest(targets, market, costs)
    counted = Ledger() if ledger is None else ledger
    counted.note(digest({"targets": sha256(targets.tobytes()), "costs": account.costs.to_dict()}), name, market, account.returns)
    return Result(name, {"targets": Path(path).name}, account, (), counted.trials(market), 0)


def read_targets(path: str | Path, market: Market, row: str | None = None) -> tuple[str, Targets]:
    """The name of the column read, and its weights as (time, symbol) targets on the bars of `market`; NaN where the file says nothing.

    `row`: which column, where there are several. Raises DataError when the file is no table of targets or has a time or symbol that the
    market lacks, SettingsError for an unknown `row`.
    """
    import polars as pl

    from tradewind.data.parquet import read_parquet

    frame = read_parquet(path)
    missing = [name for name in _KEYS if name not in frame.columns]
    columns = [name for name in frame.columns if name not in _KEYS]
    if missing or not columns:
        raise DataError(f"{path}: has the columns {frame.columns}; targets need open_time, symbol and a column of weights")
    if row is None and len(columns) > 1:
        raise DataError(f"{path}: has targets of {', '.join(columns)}; choose one with --row")
    name = columns[0] if row is None else choose(row, {column: column for column in columns}, "row of targets")
    twice = frame.select(_KEYS).is_duplicated().arg_max()
    if frame.height and twice is not None and frame.select(_KEYS).is_duplicated().any():
        raise DataError(f"{path}: row {twice + 1}: has the time and symbol of another row; keep one of them")
    if not isinstance(frame["open_time"].dtype, pl.Datetime) or not frame[name].dtype.is_numeric():
        raise DataError(f"{path}: open_time must be a datetime and {name} a number, not {frame['open_time'].dtype} and {frame[name].dtype}")
    times = frame["open_time"].dt.cast_time_unit("ns").to_physical().to_numpy()
    rows = np.searchsorted(market.open_time, times)
    strange = np.flatnonzero((rows == len(market)) | (market.open_time[np.minimum(rows, len(market) - 1)] != times))
    if len(strange):
        first = int(strange[0])
        raise DataError(f"{path}: row {first + 1}: the market has no bar at {format_time(int(times[first]))}; give the data it was made on")
    known = {symbol: column for column, symbol in enumerate(market.symbols)}
    for symbol in frame["symbol"].unique(maintain_order=True).to_list():
        if symbol not in known:
            raise DataError(f"{path}: has targets for {symbol!r}; the market has {', '.join(market.symbols)}")
    targets = np.full(market.close.shape, np.nan)
    targets[rows, [known[symbol] for symbol in frame["symbol"].to_list()]] = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return name, targets
