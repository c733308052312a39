"""Market: what it refuses, what a slice is, and frames there and back."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.clock import DAY, HOUR, parse_time
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.market import Market, infer_calendar, infer_step

from .markets import small


def test_arrays_cannot_be_written() -> None:
    market = small()
    for name in ("open_time", "known", "open", "high", "low", "close", "volume"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(market, name)[0] = 1


def test_the_callers_arrays_stay_writable() -> None:
    volume = np.ones((6, 2))
    small(volume=volume)
    volume[0, 0] = 2.0


@given(st.integers(-8, 8), st.integers(-8, 8))
def test_a_slice_is_a_market_of_views(start: int, stop: int) -> None:
    market = small()
    part = market[start:stop]
    assert len(part) == len(range(6)[start:stop])
    assert np.array_equal(part.close, market.close[start:stop])
    assert len(part) == 0 or np.shares_memory(part.close, market.close)
    assert not part.close.flags.writeable
    assert part.symbols == market.symbols
    assert part.step == market.step


@pytest.mark.parametrize("rows", [slice(None, None, 2), slice(None, None, -1), 3, [0, 1]])
def test_other_cuts_are_refused(rows: object) -> None:
    with pytest.raises(DataError, match="market\\[:500\\]"):
        small()[rows]  # type: ignore[index]


def test_digest_tells_markets_apart() -> None:
    market = small()
    assert market.digest == small().digest
    assert market[:5].digest == small(5).digest != market.digest
    close = market.close.copy()
    close[3, 1] += 1e-9
    assert small(close=close).digest != market.digest
    assert small(calendar="24/5").digest != market.digest
    assert small(symbols=("A", "C")).digest != market.digest


def put(name: str, value: float) -> dict[str, np.ndarray]:
    panel = getattr(small(), name).copy()
    panel[2, 1] = value
    return {name: panel}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (put("close", np.nan), "bar 2 of B .*is missing while close is not"),
        (put("open", np.nan), "open is missing while close"),
        (put("low", -1.0), "low is not a positive finite number"),
        (put("low", 0.0), "low is not a positive"),
        (put("high", np.inf), "high is not a positive finite"),
        (put("high", 50.0), "high is under low"),
        (put("open", 114.0), "high is under open or close"),
        (put("low", 112.2), "low is over open or close"),
        (put("volume", -1.0), "volume is negative"),
        (put("volume", np.inf), "volume is negative or infinite"),
        ({"symbols": ("A", "A")}, "distinct"),
        ({"symbols": ()}, "at least one"),
        ({"calendar": "24-7"}, "did you mean '24/7'"),
        ({"timeframe": "fast"}, "no duration"),
        ({"volume": np.ones((5, 2))}, r"volume has shape \(5, 2\)"),
        ({"known": np.arange(6, dtype=np.int64)}, "bar 0: known before its close"),
        ({"known": np.arange(5, dtype=np.int64)}, "known has shape"),
        ({"open_time": HOUR * np.array([0, 1, 1, 2, 3, 4])}, "bar 2: open_time does not increase"),
    ],
)
def test_bars_that_cannot_be_are_refused_by_name(changed: dict[str, object], said: str) -> None:
    with pytest.raises((DataError, SettingsError), match=said):
        small(**changed)


def test_missing_bars_and_missing_volumes_may_be() -> None:
    panels = {name: put(name, np.nan)[name] for name in ("open", "high", "low", "close", "volume")}
    assert np.isnan(small(**panels).close[2, 1])
    assert np.isnan(small(**put("volume", np.nan)).volume[2, 1])


def test_between_takes_times_and_nanoseconds() -> None:
    market = small(48)
    first = int(market.open_time[10])
    assert len(market.between(first, first + 5 * HOUR)) == 5
    assert len(market.between(end=first)) == 10
    day = small(48, open_time=parse_time("2021-03-01") + HOUR * np.arange(48), known=parse_time("2021-03-01") + HOUR * np.arange(1, 49))
    assert len(day.between("2021-03-02")) == 24
    assert len(day.between("2021-03-01T06:00:00", "2021-03-01T08:00:00")) == 2


def test_select_drops_times_that_nobody_has() -> None:
    panels = {name: put(name, np.nan)[name] for name in ("open", "high", "low", "close", "volume")}
    market = small(**panels)
    assert len(market.select(["B"])) == 5
    assert market.select(("B", "A")).symbols == ("B", "A")
    assert np.array_equal(market.select(["A"]).close[:, 0], market.close[:, 0])
    with pytest.raises(SettingsError, match="unknown symbol 'AA'; did you mean 'A'"):
        market.select(["AA"])


@pytest.mark.parametrize(
    ("timeframe", "calendar", "periods"),
    [
        ("1h", "24/7", 8760),
        ("15m", "24/7", 35_040),
        ("1d", "24/7", 365),
        ("1d", "us-equity", 252),
        ("1h", "us-equity", 1638),
        ("1h", "24/5", 6240),
    ],
)
def test_periods_a_year_follow_the_calendar(timeframe: str, calendar: str, periods: float) -> None:
    step = {"1h": HOUR, "15m": HOUR // 4, "1d": DAY}[timeframe]
    times = step * (10 + np.arange(6, dtype=np.int64))
    market = small(timeframe=timeframe, calendar=calendar, open_time=times, known=times + step)
    assert market.periods_per_year == pytest.approx(periods)
    assert market.bars("73d") == round(periods / 5)
    assert market.bars(7) == 7
    assert market.bars("1s") == 1


def test_a_frame_there_and_back_is_the_same_market() -> None:
    panels = {name: put(name, np.nan)[name] for name in ("open", "high", "low", "close", "volume")}
    market = small(**panels)
    frame = market.to_frame()
    assert frame.columns == ["open_time", "symbol", "open", "high", "low", "close", "volume"]
    assert frame.height == 11
    assert frame["open_time"].dtype == pl.Datetime("ns", "UTC")
    again = Market.from_frame(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert again.select(market.symbols).digest == market.digest
    assert Market.from_frame(frame.to_pandas()).select(market.symbols).digest == market.digest
    whole = frame.with_columns(pl.col("open_time").to_physical())
    assert Market.from_frame(whole).select(market.symbols).digest == market.digest


def test_funding_and_marks_travel_along() -> None:
    market = small(funding_rate=np.full((6, 2), 1e-4), mark_close=small().close)
    again = Market.from_frame(market.to_frame())
    assert again.digest == market.digest
    assert again[2:4].funding_rate.shape == (2, 2)
    assert small().funding_rate is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("high", "low"), r"lacks the columns \['high', 'low'\]"),
        (lambda f: f.clear(), "no rows"),
        (lambda f: pl.concat([f, f[3:4]]), "stands twice"),
        (lambda f: f.with_columns(pl.col("close").cast(pl.String)), "column close is String"),
        (lambda f: f.with_columns(pl.lit("2021").alias("open_time")), "make it a datetime"),
        (
            lambda f: f.with_columns(pl.when(pl.int_range(12) == 4).then(None).otherwise("open_time").alias("open_time")),
            "row 4: open_time is missing",
        ),
    ],
)
def test_frames_that_cannot_be_are_refused(change, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=said):
        Market.from_frame(change(small().to_frame()))


def test_step_and_calendar_are_inferred() -> None:
    hours = HOUR * np.array([0, 1, 2, 5, 6, 7])
    assert infer_step(hours) == HOUR
    with pytest.raises(DataError, match="single bar"):
        infer_step(hours[:1])
    monday = parse_time("2021-03-01")
    days = np.array([monday + d * DAY for d in range(21)])
    working = days[(np.arange(21) % 7) < 5]
    assert infer_calendar(days) == "24/7"
    assert infer_calendar(working) == "us-equity"
    assert infer_calendar(np.array([d + h * HOUR for d in working for h in range(24)])) == "24/5"
    assert infer_calendar(working[:3]) == "24/7"
