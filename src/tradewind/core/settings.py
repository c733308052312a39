"""Settings: frozen dataclasses built from plain keywords; an unknown key is an error that says "did you mean"."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tradewind.core.errors import SettingsError

__all__ = ["build", "choose", "require", "suggest"]

T = TypeVar("T")


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'lookback'?` when something close is known, otherwise the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else "; it takes none"


def choose(word: str, known: Mapping[str, T], what: str) -> T:
    """The entry of `known` called `word`. Raises SettingsError with a suggestion when there is none."""
    if word not in known:
        raise SettingsError(f"unknown {what} {word!r}{suggest(word, known)}")
    return known[word]


def build(factory: Callable[..., T], settings: Mapping[str, Any], what: str) -> T:
    """Call `factory` with keyword settings, refusing keys that it does not take.

    Raises SettingsError for an unknown key, naming the nearest known one. `what` names the thing built, for the message.
    """
    parameters = inspect.signature(factory).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for key in settings:
            if key not in parameters:
                raise SettingsError(f"unknown setting {key!r} for {what}{suggest(key, parameters)}")
    return factory(**settings)


def require(condition: bool, message: str) -> None:
    """Raise SettingsError with `message` unless `condition` holds: the one-line validation of settings."""
    if not condition:
        raise SettingsError(message)
