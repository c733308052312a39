"""The names of the forecasters: a table from name to class, loaded when one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, cast

from tradewind.core.protocols import Forecaster
from tradewind.core.settings import build, choose, require

__all__ = ["describe", "forecaster", "forecasters", "register"]

Factory = Callable[..., Forecaster]

_HOMES: Final[dict[str, tuple[str, str]]] = {
    "no-change": ("tradewind.models.naive:NoChange", "nothing will happen: mean 0, or the class nearest to zero"),
    "base-rate": ("tradewind.models.naive:BaseRate", "what happened on average: class frequencies, or the mean"),
    "logistic": ("tradewind.models.linear:Logistic", "logistic regression on standardised inputs"),
    "ridge": ("tradewind.models.linear:Ridge", "ridge regression on standardised inputs"),
    "random-forest": ("tradewind.models.forest:RandomForest", "an average of decision trees on bootstrap samples"),
    "lightgbm": ("tradewind.models.boosting:LightGBM", "gradient-boosted trees, stopped early on a purged tail"),
    "price-action-transformer": ("tradewind.models.neural:PriceActionForecaster", "a transformer encoder over windows of 64 rows"),
}
_REGISTERED: Final[dict[str, Factory]] = {}


def forecaster(name: str, **settings: Any) -> Forecaster:
    """Build the forecaster called `name`. Raises SettingsError for an unknown name or setting, saying what may have been meant."""
    known: dict[str, object] = {**_HOMES, **_REGISTERED}
    choose(name, known, "forecaster")
    return build(_REGISTERED[name] if name in _REGISTERED else _load(name), settings, f"forecaster {name!r}")


def forecasters() -> list[str]:
    """The names that `forecaster` knows, the simplest first."""
    return [*_HOMES, *_REGISTERED]


def describe(name: str) -> str:
    """One line on the forecaster called `name`. Raises SettingsError for an unknown name."""
    known = {key: line for key, (_, line) in _HOMES.items()}
    known |= {key: (factory.__doc__ or "").strip().partition("\n")[0] for key, factory in _REGISTERED.items()}
    return choose(name, known, "forecaster")


def register(name: str, factory: Factory) -> None:
    """Make `forecaster(name, **settings)` call `factory(**settings)`. Raises SettingsError when the name is taken by another factory."""
    taken = name in _HOMES or _REGISTERED.get(name, factory) is not factory
    require(bool(name) and not taken, f"forecaster {name!r} is taken; register yours under another name")
    _REGISTERED[name] = factory


def _load(name: str) -> Factory:
    module, _, attribute = _HOMES[name][0].partition(":")
    return cast(Factory, getattr(importlib.import_module(module), attribute))
