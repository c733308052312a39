"""What is to be learned, each answer with the moment it is known: `label(name, **settings)` gives a function of a market."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tradewind.core.errors import SettingsError
from tradewind.core.market import Market
from tradewind.core.settings import choose, suggest
from tradewind.core.types import Labels
from tradewind.labels.barriers import trailing_volatility, triple_barrier
from tradewind.labels.horizons import multi_horizon
from tradewind.labels.returns import NEVER, horizon_return, meta_label, next_bar_direction
from tradewind.labels.weights import draw_probabilities, sequential_bootstrap, span_uniqueness, uniqueness

__all__ = [
    "NEVER",
    "draw_probabilities",
    "horizon_return",
    "label",
    "meta_label",
    "multi_horizon",
    "names",
    "next_bar_direction",
    "sequential_bootstrap",
    "span_uniqueness",
    "trailing_volatility",
    "triple_barrier",
    "uniqueness",
]

_LABELS: Final[dict[str, Callable[..., Labels]]] = {
    "next-bar": next_bar_direction,
    "horizon-return": horizon_return,
    "multi-horizon": multi_horizon,
    "triple-barrier": triple_barrier,
}


def names() -> list[str]:
    """The names that `label` knows."""
    return sorted(_LABELS)


def label(name: str, **settings: Any) -> Callable[[Market], Labels]:
    """A function market -> Labels by its name, one of `names()`, with the keywords of that function.

    Raises SettingsError with "did you mean" for an unknown name or setting.
    """
    function = choose(name, _LABELS, "label")
    known = tuple(inspect.signature(function).parameters)[1:]
    for key in settings:
        if key not in known:
            raise SettingsError(f"unknown setting {key!r} for label {name!r}{suggest(key, known)}")
    return partial(function, **settings)
