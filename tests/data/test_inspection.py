"""The quality report: each kind of trouble is counted where it is, and sound bars have none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.clock import DAY, HOUR
from tradewind.core.errors import DataError
from tradewind.data import sample
from tradewind.data.inspection import off_grid, quality, step_of
from tradewind.data.synthetic import flat, gappy, noise
from tradewind.data.table import table_of


def _set(frame: pl.DataFrame, row: int, **cells: float) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in cells.items()
    )


def test_sound_bars_have_no_trouble() -> None:
    report = quality(noise(bars=500, symbols=2).market)
    assert report.ok
    assert report.findings == ()
    assert "usable" in report.to_text()


def test_each_kind_is_counted_where_it_is() -> None:
    frame = noise(bars=200).market.to_frame()
    price = frame["close"][50]
    cases = {
        "zero-volume": _set(frame, 50, volume=0.0),
        "no-volume": _set(frame, 50, volume=float("nan")),
        "bad-volume": _set(frame, 50, volume=-1.0),
        "spike": _set(frame, 50, high=price * 10),
        "missing-price": _set(frame, 50, open=float("nan")),
        "infinite": _set(frame, 50, high=float("inf")),
        "not-positive": _set(frame, 50, low=-1.0),
        "outside-range": _set(frame, 50, close=frame["high"][50] * 1.01),
        "gap": frame.filter(pl.int_range(pl.len()) != 49),
        "duplicate": pl.concat([frame[:50], frame[49:]]),
    }
    for kind, bad in cases.items():
        report = quality(bad, calendar="24/7")
        assert report.counts.get(kind) == 1, (kind, report.to_text())
        row = 50 if kind == "gap" else 51
        assert report.findings[0].first[0].startswith(f"row {row}, "), kind


def test_a_repeated_bar_is_stale_and_a_quiet_one_is_not() -> None:
    frame = noise(bars=60).market.to_frame()
    bar = {name: frame[name][30] for name in ("open", "high", "low", "close", "volume")}
    stale = _set(_set(frame, 31, **bar), 32, **bar)
    assert quality(stale).counts == {"stale": 2}
    assert quality(flat(60).market).counts == {"zero-volume": 60}


def test_a_price_ten_times_too_high_is_a_spike_and_a_new_level_is_not() -> None:
    frame = noise(bars=60).market.to_frame()
    up = frame.with_columns(pl.when(pl.int_range(pl.len()) == 30).then(10.0).otherwise(1.0).alias("by"))
    level = frame.with_columns(pl.when(pl.int_range(pl.len()) >= 30).then(10.0).otherwise(1.0).alias("by"))
    for bad, count in ((up, {"spike": 1}), (level, {})):
        assert quality(bad.with_columns(pl.col(n) * pl.col("by") for n in ("open", "high", "low", "close"))).counts == count


def test_the_gaps_of_a_gappy_market_are_those_of_its_symbols() -> None:
    market = gappy(bars=800, symbols=3, seed=3).market
    expected = 0
    for column in range(3):
        times = market.open_time[~np.isnan(market.close[:, column])]
        expected += int((np.diff(times) > HOUR).sum())
    assert quality(market).counts == {"gap": expected}


def test_weekends_and_nights_are_no_gaps_where_the_calendar_closes() -> None:
    assert quality(sample("us-daily")).counts == {"gap": 2, "zero-volume": 2}  # New York was closed from 11 to 14 September 2001
    hours = np.arange(24 * 28) * HOUR + 4 * DAY  # from a Monday
    open_hours = hours[(hours // DAY + 3) % 7 < 5]
    frame = pl.DataFrame({"open_time": open_hours, "symbol": "EUR/USD", "open": 100.0 + np.arange(len(open_hours))})
    frame = frame.with_columns(high=pl.col("open") + 1, low=pl.col("open") - 0.5, close=pl.col("open"), volume=pl.col("open"))
    frame = frame.with_columns((pl.col("open_time") + 1_600_041_600_000_000_000 // (7 * DAY) * 7 * DAY).alias("open_time"))
    assert quality(frame, calendar="24/5").counts == {}
    assert quality(frame, calendar="24/7").counts == {"gap": 3}
    assert quality(frame.filter(pl.int_range(pl.len()) != 30), calendar="24/5").counts == {"gap": 1}


def test_daylight_saving_is_not_off_the_grid() -> None:
    daily = np.arange(30) * DAY + 4 * HOUR + np.where(np.arange(30) > 20, HOUR, 0)
    assert not off_grid(daily, DAY).any()
    assert off_grid(np.array([0, HOUR, 2 * HOUR, 2 * HOUR + 1]), HOUR).tolist() == [False, False, False, True]


def test_a_timeframe_that_cannot_be_told_is_refused() -> None:
    frame = noise(bars=3).market.to_frame()
    with pytest.raises(DataError, match="timeframe"):
        step_of(table_of(frame[:1], "x"), None)
    assert step_of(table_of(frame[:1], "x"), "1h") == HOUR
    with pytest.raises(DataError, match="unit of time"):
        quality(frame.with_columns(open_time=pl.Series([10**18, 10**18 + 5, 10**18 + 10])))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=1, max_size=30))
def test_duplicates_and_gaps_are_what_a_plain_count_says(taken: list[int]) -> None:
    frame = noise(bars=60).market.to_frame()
    rows = [0, 1, 2, *sorted(taken)]
    counts = quality(frame[rows], timeframe="1h", calendar="24/7").counts
    hours = sorted(rows)
    assert counts.get("duplicate", 0) == len(hours) - len(set(hours))
    distinct = sorted(set(hours))
    assert counts.get("gap", 0) == sum(b - a > 1 for a, b in pairwise(distinct))
