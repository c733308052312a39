from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tradewind as tw
from tradewind.core.clock import HOUR
from tradewind.core.errors import DataError, SettingsError, TradewindError
from tradewind.core.types import long_frame
from tradewind.data.parquet import write_parquet
from tradewind.evaluate.ledger import Ledger
from tradewind.evaluate.recorded import judge_targets, read_targets

from .small import market

BARS = market(200, 2)
TARGETS = np.where(np.random.default_rng(1).random((200, 2)) < 0.3, np.nan, 0.25)


def _write(path: Path, frame: pl.DataFrame) -> Path:
    return write_parquet(path, frame)


def _frame(bars: tw.Market = BARS, targets: np.ndarray = TARGETS, **more: np.ndarray) -> pl.DataFrame:
    return long_frame(bars.open_time, bars.symbols, {"mine": targets, **more})


def test_targets_come_back_as_they_were_in_any_order_of_rows(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.parquet", _frame().sample(fraction=1.0, shuffle=True, seed=3))
    name, targets = read_targets(path, BARS)
    assert name == "mine" and np.array_equal(targets, TARGETS, equal_nan=True)


def test_bars_that_the_file_does_not_speak_of_are_kept_as_held(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.parquet", _frame()[20:].with_columns(pl.col("mine").fill_nan(None)))
    targets = read_targets(path, BARS)[1]
    assert np.isnan(targets[:10]).all() and np.array_equal(targets[10:], TARGETS[10:], equal_nan=True)


def test_they_are_judged_and_count_as_a_trial(tmp_path: Path) -> None:
    ledger = Ledger(":memory:")
    path = _write(tmp_path / "t.parquet", _frame(other=TARGETS * -1))
    for row in ("mine", "other", "mine"):
        result = judge_targets(path, BARS, tw.Costs(), row, ledger)
    assert result.trials.count == 2 and result.name == "mine" and result.windows == ()
    assert np.array_equal(result.equity, tw.backtest(TARGETS, BARS, costs=tw.Costs()).equity)
    assert result.report(tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("frame", "row", "words"),
    [
        (_frame().drop("symbol"), None, "targets need open_time, symbol"),
        (_frame().drop("mine"), None, "column of weights"),
        (_frame(other=TARGETS), None, "choose one with --row"),
        (_frame(other=TARGETS), "othr", "did you mean 'other'"),
        (_frame().with_columns(pl.col("mine").cast(pl.String)), None, "mine a number"),
        (_frame().with_columns(pl.col("open_time").cast(pl.Int64)), None, "open_time must be a datetime"),
        (_frame().with_columns(pl.lit(None).cast(pl.Datetime("ns", "UTC")).alias("open_time")), None, "row 1"),
        (_frame().with_columns(pl.lit("BTC").alias("symbol")).unique("open_time"), None, "'BTC'; the market has S0, S1"),
        (_frame(market(200, 2, first=int(BARS.open_time[5]) + HOUR // 2)), None, "no bar at"),
        (pl.concat([_frame(), _frame()[:1]]), None, "time and symbol of another row"),
        (_frame(targets=np.full((200, 2), np.inf)), None, "bar 0"),
    ],
)
def test_what_is_no_table_of_targets_is_refused(tmp_path: Path, frame: pl.DataFrame, row: str | None, words: str) -> None:
    path, ledger = _write(tmp_path / "t.parquet", frame), Ledger(":memory:")
    with pytest.raises((DataError, SettingsError), match=words) as caught:
        judge_targets(path, BARS, None, row, ledger)
    assert isinstance(caught.value, TradewindError) and "\n" not in str(caught.value) and ledger.rows() == []
