"""How a check is named, run and reported, and how two answers are compared."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import SystemClock, format_time
from tradewind.core.errors import CheckFailed, TradewindError
from tradewind.core.types import Times

__all__ = ["Broken", "Check", "Passed", "Result", "demand", "examine", "first_difference", "raised", "same", "show", "spread"]

S = TypeVar("S")
TOLERANCE: Final = 1e-9
"""Answers that differ by less are the same: the last bits of a matrix product depend on how many rows it has."""


class Passed(Exception):
    """Raised by a check that does not apply to an object, with the reason."""


@final
@dataclass(frozen=True)
class Check(Generic[S]):
    """One promise: `run` returns when the subject keeps it and raises CheckFailed, through `demand`, when it does not."""

    run: Callable[[S], None]

    @property
    def name(self) -> str:
        """The function's name with hyphens."""
        return self.run.__name__.strip("_").replace("_", "-")

    @property
    def promise(self) -> str:
        """What is promised, in one line."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


@final
@dataclass(frozen=True)
class Result:
    """What one check found. `message`: what broke and what to do, empty when it passed; `note`: why the check did not apply."""

    check: str
    passed: bool
    message: str = ""
    bar: int | None = None
    note: str = ""
    seconds: float = 0.0

    def raise_if_failed(self) -> None:
        """Raises CheckFailed when the check did not pass."""
        if not self.passed:
            raise CheckFailed(self.check, self.message, self.bar)


@final
class Broken(Exception):
    """A promise is broken, at `bar` where one is at fault; `examine` adds the name of the check."""

    def __init__(self, message: str, bar: int | None = None) -> None:
        super().__init__(message)
        self.bar = bar


def demand(condition: bool, message: str, bar: int | None = None) -> None:
    """Report the promise as broken, with `message`, unless `condition` holds."""
    if not condition:
        raise Broken(message, bar)


def examine(checks: Iterable[Check[S]], subject: S) -> Iterator[Result]:
    """Run every check, one result at a time, whatever the ones before it found."""
    clock = SystemClock()
    for check in checks:
        began = clock.monotonic()
        passed, message, bar, note = True, "", None, ""
        try:
            check.run(subject)
        except Passed as reason:
            note = str(reason)
        except Broken as broken:
            passed, message, bar = False, str(broken), broken.bar
        except Exception as error:  # noqa: BLE001 - whatever the object under check raises is a finding, and is reported
            passed, message = False, raised(error)
        yield Result(check.name, passed, message, bar, note, clock.monotonic() - began)


def raised(error: Exception) -> str:
    """`raised IndexError: ... at mine.py:12; ...` for messages."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and "tradewind/checks" not in Path(frame.filename).as_posix()]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    advice = "" if isinstance(error, TradewindError) else "; it must answer NaN where it cannot answer, or raise a TradewindError"
    return f"raised {type(error).__name__}: {error}{where}{advice}"


def same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two arrays of answers agree: both NaN, equal, or within TOLERANCE."""
    with np.errstate(invalid="ignore"):
        close = np.abs(a - b) <= TOLERANCE * np.maximum(1.0, np.abs(b))
    return np.asarray((np.isnan(a) & np.isnan(b)) | (a == b) | (close & np.isfinite(a) & np.isfinite(b)))


def first_difference(a: NDArray[Any], b: NDArray[Any]) -> tuple[int, ...] | None:
    """The first index at which two arrays of answers disagree, None when they agree."""
    wrong = np.argwhere(~same(a, b))
    return tuple(int(i) for i in wrong[0]) if len(wrong) else None


def show(index: tuple[int, ...], open_time: Times, symbols: tuple[str, ...]) -> str:
    """`bar 17 (2021-03-01 17:00:00) of BRAVO`, for messages."""
    moment = format_time(open_time[index[0]])
    return f"bar {index[0]} ({moment})" + (f" of {symbols[index[1]]}" if len(index) > 1 else "")


def spread(start: int, stop: int, count: int, always: Iterable[int] = ()) -> list[int]:
    """At least `count` whole numbers of [start, stop), evenly spread, and `always` those among them, in ascending order."""
    even = {int(i) for i in np.linspace(start, stop - 1, min(count, stop - start))}
    return sorted(even | {i for i in always if start <= i < stop})
