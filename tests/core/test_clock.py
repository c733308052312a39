"""Clock: durations, times and timeframes, there and back; the simulated clock moves only when it is told to."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import clock
from tradewind.core.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30 * clock.SECOND), ("15m", 15 * clock.MINUTE), ("4h", 4 * clock.HOUR), ("1d", clock.DAY), (" 2 w ", 14 * clock.DAY)],
)
def test_durations(text: str, expected: int) -> None:
    assert clock.parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "0h", "-1h", "1.5h", "h", "15", "1 month", "15M", "1h30m", None, 15])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(SettingsError, match="no duration; write a positive whole number"):
        clock.parse_duration(text)  # type: ignore[arg-type]


@given(st.integers(1, 10**6), st.sampled_from("smhd"))
def test_a_timeframe_there_and_back(count: int, unit: str) -> None:
    step = clock.parse_duration(f"{count}{unit}")
    assert clock.parse_duration(clock.timeframe_name(step)) == step


def test_the_shortest_name_is_taken() -> None:
    assert [clock.timeframe_name(n * clock.MINUTE) for n in (1, 60, 90, 1440)] == ["1m", "1h", "90m", "1d"]
    for step in (0, -clock.HOUR, clock.SECOND // 2):
        with pytest.raises(SettingsError, match="positive whole number of seconds"):
            clock.timeframe_name(step)


def test_times_without_an_offset_are_utc() -> None:
    noon = clock.parse_time("2021-09-27T12:00:00")
    assert noon == 1_632_744_000 * clock.SECOND
    assert noon == clock.parse_time("2021-09-27T12:00:00+00:00") == clock.parse_time("2021-09-27T14:00:00+02:00")
    assert clock.parse_time("2021-09-27T12:00:00.000001") == noon + 1000
    assert clock.parse_time("2021-09-27") == noon - 12 * clock.HOUR
    assert clock.parse_time("1969-12-31T23:59:59") == -clock.SECOND


@pytest.mark.parametrize("text", ["yesterday", "", "2021-13-01", None, 20210927])
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(SettingsError, match="is no time; write ISO 8601"):
        clock.parse_time(text)  # type: ignore[arg-type]


@given(st.integers(-(10**9), 7 * 10**9), st.integers(0, 999_999))
def test_a_time_there_and_back(seconds: int, microseconds: int) -> None:
    stamp = seconds * clock.SECOND + microseconds * 1000
    assert clock.parse_time(clock.format_time(stamp)) == stamp


def test_fractions_are_shown_where_there_are_some() -> None:
    assert clock.format_time(clock.parse_time("2021-09-27T13:45:00")) == "2021-09-27 13:45:00"
    assert clock.format_time(clock.parse_time("2021-09-27T13:45:00.25")) == "2021-09-27 13:45:00.25"


def test_the_simulated_clock_moves_when_it_is_told_to() -> None:
    simulated = clock.SimulatedClock(5 * clock.SECOND)
    assert (simulated.now(), simulated.monotonic()) == (5 * clock.SECOND, 0.0)
    simulated.sleep(86_400)
    simulated.sleep(-3)
    assert (simulated.now(), simulated.monotonic()) == (5 * clock.SECOND + clock.DAY, 86_400.0)


def test_the_systems_clock_is_the_machines() -> None:
    system = clock.SystemClock()
    before, began = datetime.datetime.now(datetime.timezone.utc).timestamp(), system.monotonic()
    system.sleep(0.001)
    assert abs(system.now() / clock.SECOND - before) < 60
    assert system.monotonic() - began >= 0.001
