"""Detectors of regimes by name: `detector("rules", stay=.95)`. One loads when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from tradewind.core.catalogue import Catalogue, Entry, tuples
from tradewind.core.settings import build

if TYPE_CHECKING:
    from tradewind.regimes.base import RegimeFilter

__all__ = ["descriptions", "detector", "detectors", "register"]

CATALOGUE: Final = Catalogue(
    "detector of regimes",
    "tradewind.regimes",
    {
        "rules": Entry("rules:RegimeRules", "seven regimes by published rules over trend, volatility, range, breakout and stress"),
        "hmm": Entry("hmm:HiddenMarkov", "a Gaussian hidden Markov model of returns, filtered forward"),
        "jump": Entry("jump:JumpModel", "the statistical jump model: clusters of return features with a price on every switch"),
        "bocpd": Entry("changepoint:Changepoint", "Bayesian online change-point detection over the run length"),
    },
    ("fit", "filter", "watch", "state", "restore"),
    "a detector inherits from tradewind.regimes.RegimeFilter",
)


def detector(name: str, **settings: Any) -> RegimeFilter:
    """A new detector by name (`detectors()` lists them) under its settings, or what your own `my_module:make` gives for them.

    Lists become tuples, so that settings may come from JSON. Raises SettingsError, with the nearest known word, for an unknown name or
    setting, and for settings that cannot be.
    """
    factory, _ = CATALOGUE.find(name)
    made = build(factory, tuples(settings), f"detector {name!r}")
    return cast("RegimeFilter", CATALOGUE.checked(made, name))


def detectors() -> list[str]:
    """Every name that `detector` knows, the registered ones last."""
    return CATALOGUE.names()


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return CATALOGUE.descriptions()


def register(name: str, factory: Callable[..., RegimeFilter]) -> None:
    """Let `detector(name, **settings)` call `factory(**settings)`. Raises SettingsError when the name is taken by something else."""
    CATALOGUE.register(name, factory)
