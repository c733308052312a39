"""Time: UTC nanoseconds since 1970 as int64, timeframes such as `15m`, durations such as `30d`, and clocks.

Nothing else in tradewind asks the machine what time it is.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Final, Protocol, final

from tradewind.core.errors import SettingsError

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "Clock",
    "SimulatedClock",
    "SystemClock",
    "format_time",
    "parse_duration",
    "parse_time",
    "timeframe_name",
]

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION: Final = re.compile(r"^\s*(\d+)\s*([smhdw])\s*$")


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration or timeframe: `30s`, `15m`, `4h`, `30d`, `2w`.

    Raises SettingsError when the text is not a positive whole number followed by one of s, m, h, d, w.
    """
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise SettingsError(f"{text!r} is no duration; write a positive whole number and one of s, m, h, d, w, such as '15m' or '30d'")
    return int(match[1]) * _UNITS[match[2]]


def timeframe_name(step: int) -> str:
    """The shortest name of a bar length in nanoseconds: 900e9 -> `15m`. Raises SettingsError below a whole second."""
    for unit in "dhms":
        if step > 0 and step % _UNITS[unit] == 0:
            return f"{step // _UNITS[unit]}{unit}"
    raise SettingsError(f"a bar length of {step} ns is not a positive whole number of seconds")


def parse_time(text: str) -> int:
    """UTC nanoseconds of an ISO 8601 date or time; one without an offset is UTC. Raises SettingsError on anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise SettingsError(f"{text!r} is no time; write ISO 8601, such as '2021-09-27' or '2021-09-27T13:45:00+00:00'") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1_000


def format_time(moment: int) -> str:
    """`2021-09-27 13:45:00` in UTC, for people; fractions of a second are shown only where there are some."""
    seconds, fraction = divmod(int(moment), SECOND)
    text = datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return text if fraction == 0 else f"{text}.{fraction:09d}".rstrip("0")


class Clock(Protocol):
    """Where the present comes from: the system in paper and live, a simulation in tests and replays."""

    def now(self) -> int:
        """UTC nanoseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for durations."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@final
class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@final
class SimulatedClock:
    """A clock that moves only when it is told to sleep: a day of waiting takes no time."""

    def __init__(self, start: int = 0) -> None:
        self._now = start
        self._start = start

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start) / SECOND

    def sleep(self, seconds: float) -> None:
        self._now += max(0, round(seconds * SECOND))
