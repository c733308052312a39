"""Settings: frozen dataclasses built from plain keywords; an unknown key is an error that says "did you mean"."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tradewind.core.errors import SettingsError

__all__ = ["build", "choose", "load", "require", "suggest"]

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


def load(place: str) -> Any:
    """The object at `my_module:Name`, found as Python finds modules and in the current folder.

    Raises SettingsError when the module or the name is not there or the module cannot be imported.
    """
    module_name, colon, name = place.partition(":")
    if not colon or not module_name or not name:
        raise SettingsError(f"{place!r} is no place of an object; write my_module:MyStrategy")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a stranger's module does wrong while it loads is told in one line
        raise SettingsError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [known for known in vars(module) if not known.startswith("_")]
            raise SettingsError(f"{module_name} has no {part!r}{suggest(part, public)}")
        found = getattr(found, part)
    return found
