"""The limits of settings: whole numbers, positive numbers and fractions, each refused with an error that says what it may be."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from tradewind.core.settings import require

__all__ = ["fraction", "number", "whole"]


def whole(least: int = 1, **values: Any) -> None:
    """Raise SettingsError unless every value is a whole number of at least `least`."""
    for name, value in values.items():
        require(_is(value, Integral) and value >= least, f"{name} is {value!r}; it is a whole number, at least {least}")


def number(positive: bool = True, **values: Any) -> None:
    """Raise SettingsError unless every value is a finite number, above 0 (or at least 0 with `positive` false)."""
    for name, value in values.items():
        fine = _is(value, Real) and (value > 0 if positive else value >= 0) and value < float("inf")
        require(fine, f"{name} is {value!r}; it is a {'positive number' if positive else 'number, not negative'}")


def fraction(zero: bool = False, one: bool = False, **values: Any) -> None:
    """Raise SettingsError unless every value is a number between 0 and 1; the ends count where `zero` and `one` say so."""
    for name, value in values.items():
        fine = _is(value, Real) and (value >= 0 if zero else value > 0) and (value <= 1 if one else value < 1)
        low, high = "at least 0" if zero else "above 0", "at most 1" if one else "below 1"
        require(fine, f"{name} is {value!r}; it is a fraction, {low} and {high}")


def _is(value: Any, kind: type) -> bool:
    # True counts as 1 in Python; as a setting it is a mistake.
    return isinstance(value, kind) and not isinstance(value, bool)
