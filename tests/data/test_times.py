"""Times as files write them all mean the same instant."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError
from tradewind.data.times import parse_times

NOON = 1_632_746_700_000_000_000  # 2021-09-27 12:45 UTC


@pytest.mark.parametrize(
    "text",
    [
        "2021-09-27 12:45:00",
        "2021-09-27T12:45:00Z",
        "2021-09-27T12:45",
        "2021-09-27 13:45:00+01:00",
        "2021-09-27T07:15:00.000-0530",
        "2021-09-27 14:45:00+02",
        "2021-09-27 12:45:00 UTC",
        " 2021-09-27 12:45:00.000000 ",
        "1632746700",
        "1632746700000",
        "1632746700000000",
        "1632746700000000000",
        "1632746700.0",
    ],
)
def test_one_instant_in_text(text: str) -> None:
    times, shifted = parse_times(pl.Series("time", [text]), "x")
    assert times.tolist() == [NOON]
    assert not shifted.any()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_one_instant_as_datetime(unit: str, zone: str | None) -> None:
    series = pl.Series("time", [NOON]).cast(pl.Datetime("ns", "UTC")).dt.cast_time_unit(unit)  # type: ignore[arg-type]
    series = series.dt.convert_time_zone(zone) if zone else series.dt.replace_time_zone(None)
    assert parse_times(series, "x")[0].tolist() == [NOON]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Float64])
def test_one_instant_as_a_number(dtype: pl.DataType) -> None:
    for scale in (10**9, 10**6, 10**3):
        assert parse_times(pl.Series("time", [NOON // scale]).cast(dtype), "x")[0].tolist() == [NOON]


@given(
    seconds=st.lists(st.integers(10**8, 7 * 10**9), min_size=1, max_size=20),
    hours=st.lists(st.integers(-12, 14), min_size=20, max_size=20),
)
def test_any_offset_is_brought_to_utc_and_told(seconds: list[int], hours: list[int]) -> None:
    moments = [datetime.fromtimestamp(second, tz=timezone.utc) for second in seconds]
    local = [moment.astimezone(timezone(timedelta(hours=hour))).isoformat() for moment, hour in zip(moments, hours, strict=False)]
    times, shifted = parse_times(pl.Series("time", local), "x")
    assert times.tolist() == [second * 10**9 for second in seconds]
    assert shifted.tolist() == [hour != hours[0] for hour in hours[: len(moments)]]


def test_some_with_and_some_without_offset_are_mixed() -> None:
    times, shifted = parse_times(pl.Series("time", ["2021-01-01 00:00:00", "2021-01-01 01:00:00+00:00"]), "x")
    np.testing.assert_array_equal(np.diff(times), [3_600_000_000_000])
    assert shifted.tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2021-01-01", None], "row 2: the time is missing"),
        (["2021-01-01", "yesterday"], "row 2: 'yesterday' is no time"),
        (["2021-02-30"], "row 1: '2021-02-30' is no time"),
        (["12.01.2021"], "is no time"),
        ([1_609_459_200, 1_609_459_200_000], "row 2: .* milliseconds, row 1 like seconds"),
        ([42], "no epoch"),
        ([float("nan")], "no epoch"),
        ([-1_609_459_200], "no epoch"),
        ([True], "not a time"),
    ],
)
def test_what_is_no_time_is_refused(values: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_times(pl.Series("time", values), "bars.csv")


def test_an_instant_that_nanoseconds_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError, match="check the unit of time"):
        parse_times(pl.Series("time", [datetime(5_000, 1, 1, tzinfo=timezone.utc)]), "x")
