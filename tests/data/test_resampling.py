"""Slower bars are complete, rightly dated, and joined only once they are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.clock import DAY, HOUR
from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.data import sample
from tradewind.data.resampling import Gathering, join_asof, resample
from tradewind.data.synthetic import gappy, noise


def test_by_hand() -> None:
    market = noise(bars=12, timeframe="1h").market
    slow = resample(market[1:11], "4h")  # 01:00 to 11:00: only 04:00 to 08:00 is whole
    assert len(slow) == 1
    assert slow.open_time[0] == market.open_time[4]
    assert slow.known[0] == market.known[7]
    assert (slow.open[0, 0], slow.close[0, 0]) == (market.open[4, 0], market.close[7, 0])
    assert (slow.high[0, 0], slow.low[0, 0]) == (market.high[4:8].max(), market.low[4:8].min())
    assert slow.volume[0, 0] == pytest.approx(market.volume[4:8].sum())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), timeframe=st.sampled_from(["2h", "4h", "1d"]), start=st.integers(0, 60))
def test_the_same_as_polars(seed: int, timeframe: str, start: int) -> None:
    market = gappy(bars=300, symbols=2, seed=seed, missing=0.3).market[start:]
    slow = resample(market, timeframe)
    frame = market.to_frame().sort("open_time").with_columns(pl.col("open_time").dt.truncate(timeframe))
    expected = frame.group_by("open_time", "symbol").agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum()
    )
    expected = expected.filter(
        (pl.col("open_time") >= slow.to_frame()["open_time"].min()) & (pl.col("open_time") <= slow.to_frame()["open_time"].max())
    ).sort("open_time", "symbol")
    got = slow.to_frame().sort("open_time", "symbol")
    assert got.drop("volume").equals(expected.drop("volume"))
    np.testing.assert_allclose(got["volume"], expected["volume"])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(60, 299))
def test_nothing_known_at_a_bar_changes_when_the_future_comes(seed: int, cut: int) -> None:
    market = gappy(bars=300, symbols=2, seed=seed, outages=1).market
    cut = min(cut, len(market) - 1)
    whole, part = resample(market, "4h"), resample(market[:cut], "4h")
    for t in (cut - 1, cut // 2 + 20):
        i, j = join_asof(market, whole)[t], join_asof(market[:cut], part)[t]
        assert i == j
        assert whole[: i + 1].digest == part[: j + 1].digest


def test_the_join_never_sees_a_bar_before_it_is_known() -> None:
    market = sample("btc-15m")
    slow = resample(market, "4h")
    row = join_asof(market, slow)
    seen = row >= 0
    assert (slow.known[row[seen]] <= market.known[seen]).all()
    later = np.minimum(row + 1, len(slow) - 1)
    assert ((slow.known[later] > market.known) | (later == row)).all()
    assert (row[:24] == -1).all()
    assert row[24] == 0  # the bar that closes at 20:00 is the first to see 16:00 to 20:00


def test_days_of_quarter_hours_are_the_source_of_days() -> None:
    """Two files of one source, downloaded apart, agree: a check of both the sample and the resampling."""
    days, told = resample(sample("btc-15m"), "1d"), sample("btc-1d")
    shared, i, j = np.intersect1d(days.open_time, told.open_time, return_indices=True)
    assert len(shared) == 29
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(getattr(days, name)[i], getattr(told, name)[j], rtol=1e-6)


def test_weeks_begin_on_monday() -> None:
    weeks = resample(sample("us-daily"), "1w")
    assert ((weeks.open_time // DAY + 3) % 7 == 0).all()
    assert weeks.timeframe == "7d"
    assert weeks.calendar == "us-equity"


def test_funding_is_summed_and_the_mark_is_the_last() -> None:
    from dataclasses import replace

    market = noise(bars=48).market
    rate = np.where(np.arange(48)[:, None] % 8 == 0, 1e-4, np.nan)
    slow = resample(replace(market, funding_rate=rate, mark_close=market.close + 1), "1d")
    assert slow.funding_rate is not None
    assert slow.mark_close is not None
    np.testing.assert_allclose(slow.funding_rate[:, 0], [3e-4, 3e-4])
    np.testing.assert_array_equal(slow.mark_close, market.close[[23, 47]] + 1)


@pytest.mark.parametrize("timeframe", ["30m", "1h", "90m", "7x"])
def test_only_multiples(timeframe: str) -> None:
    with pytest.raises(SettingsError):
        resample(noise(bars=48).market, timeframe)


def test_too_few_bars_are_told() -> None:
    with pytest.raises(DataError, match="complete no bar of 1d"):
        resample(noise(bars=20).market, "1d")
    assert HOUR * 24 == DAY


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    timeframe=st.sampled_from(["2h", "4h", "1d", "1w"]),
    start=st.integers(0, 30),
    missing=st.sampled_from([0.0, 0.3, 0.8]),
    cut=st.integers(0, 399),
)
def test_gathered_bar_by_bar_they_are_the_same_to_the_bit(seed: int, timeframe: str, start: int, missing: float, cut: int) -> None:
    market = gappy(bars=400, symbols=2, seed=seed, missing=missing).market[start:]
    gathering, slow, when = Gathering(market.symbols, timeframe), [], []
    for t in range(len(market)):
        if t == cut:
            gathering = Gathering(market.symbols, timeframe).restore(gathering.state())
        closed = gathering.update(market[t : t + 1])
        slow += closed
        when += [t] * len(closed)
    expected = resample(market, timeframe)
    assert [bar.digest for bar in slow] == [expected[i : i + 1].digest for i in range(len(expected))]
    # Each is handed out at the first bar at which it is known.
    np.testing.assert_array_equal(when, np.searchsorted(market.known, expected.known))


def test_gathering_says_what_is_wrong() -> None:
    market = noise(bars=8, symbols=2).market
    with pytest.raises(SettingsError, match="no multiple"):
        Gathering(market.symbols, "90m").update(market[:1])
    gathering = Gathering(market.symbols, "4h")
    with pytest.raises(DataError, match="one bar of"):
        gathering.update(market[:2])
    with pytest.raises(DataError, match="one bar of"):
        gathering.update(market.select(["NOISE-1"])[:1])
    with pytest.raises(StateError, match="1d"):
        Gathering(market.symbols, "1d").restore(gathering.state())
