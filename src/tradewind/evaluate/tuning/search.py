"""What is searched: a space flattened to dotted names, narrowed by hand, and the nested settings that a set of values stands for.

`forecaster_settings.trees` is the entry `trees` of the setting `forecaster_settings`. Nothing here draws a number; `study` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from tradewind.core.errors import SettingsError
from tradewind.core.settings import require, suggest
from tradewind.core.spaces import Choice, Real, Space, Whole

__all__ = ["Flat", "flatten", "merge", "narrow", "nest", "read_change", "told"]

Flat: TypeAlias = dict[str, Choice | Whole | Real]
"""Every setting that is searched, by its dotted name."""

_TO: Final = ".."
_OR: Final = "|"


def flatten(space: Space, prefix: str = "") -> Flat:
    """The settings of a nested space by dotted names, in the space's own order."""
    flat: Flat = {}
    for name, part in space.items():
        if isinstance(part, Choice | Whole | Real):
            flat[prefix + name] = part
        else:
            flat |= flatten(part, f"{prefix}{name}.")
    return flat


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted names as the nested settings that they stand for."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = settings
        for step in path:
            place = place.setdefault(step, {})
            require(isinstance(place, dict), f"{name} cannot be set: {step} already has a value of its own")
        place[last] = value
    return settings


def merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings joined key by key; `other` goes first where both speak."""
    merged = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def read_change(text: str) -> tuple[str, Any]:
    """`KEY=LO..HI` as a range, `KEY=A|B` as a choice, `KEY=VALUE` as a value that is fixed; values are JSON where they can be.

    Raises SettingsError for anything else.
    """
    key, equals, word = text.partition("=")
    require(bool(equals and key), f"--set {text!r}: write KEY=VALUE, KEY=LO..HI or KEY=A|B, such as lookback=10..80")
    if _TO in word:
        low, high = (_value(end) for end in word.split(_TO, 1))
        numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
        require(numbers, f"--set {text!r}: a range goes from a number to a number, such as {key}=10..80")
        return key, Whole(low, high) if isinstance(low, int) and isinstance(high, int) else Real(float(low), float(high))
    if _OR in word:
        return key, Choice(tuple(_value(part) for part in word.split(_OR)))
    return key, _value(word)


def narrow(space: Flat, changes: Iterable[tuple[str, Any]]) -> tuple[Flat, dict[str, Any]]:
    """The space with ranges and choices put in the place of its own, and the values that are fixed, by dotted names.

    A range keeps the scale and the kind of the setting it narrows. A range or choice must name a setting of the space; a fixed value may
    name any other. Raises SettingsError, with the nearest name, otherwise.
    """
    flat, fixed = dict(space), {}
    for key, change in changes:
        if not isinstance(change, Choice | Whole | Real):
            flat.pop(key, None)
            fixed[key] = change
            continue
        if key not in space:
            raise SettingsError(f"{key} is not searched, so it has no range to narrow{suggest(key, space)}")
        flat[key] = _like(key, space[key], change)
    return flat, fixed


def told(space: Flat) -> dict[str, Any]:
    """The space as plain data: what a study writes down about itself."""
    return {
        name: {"kind": type(part).__name__, **{key: _plain(value) for key, value in vars(part).items()}} for name, part in space.items()
    }


def _like(key: str, old: Choice | Whole | Real, new: Choice | Whole | Real) -> Choice | Whole | Real:
    if isinstance(new, Choice):
        return new
    if isinstance(old, Whole):
        require(isinstance(new, Whole), f"{key} is a whole number; narrow it as {key}={old.low}..{old.high}")
        return Whole(int(new.low), int(new.high), old.log)
    require(isinstance(old, Real), f"{key} is a choice; narrow it as {key}=A|B")
    return Real(float(new.low), float(new.high), isinstance(old, Real) and old.log)


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
