"""The names of the forecasters: a table from name to class, loaded when one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, cast

from tradewind.core.protocols import Forecaster
from tradewind.core.settings import build, choose, require
from tradewind.core.spaces import Space

__all__ = ["describe", "forecaster", "forecasters", "register", "space"]

Factory = Callable[..., Forecaster]

_HOMES: Final[dict[str, tuple[str, str]]] = {
    "no-change": ("tradewind.models.naive:NoChange", "nothing will happen: mean 0, or the class nearest to zero"),
    "base-rate": ("tradewind.models.naive:BaseRate", "what happened on average: class frequencies, or the mean"),
    "logistic": ("tradewind.models.linear:Logistic", "logistic regression on standardised inputs"),
    "ridge": ("tradewind.models.linear:Ridge", "ridge regression on standardised inputs"),
    "random-forest": ("tradewind.models.forest:RandomForest", "an average of decision trees on bootstrap samples"),
    "lightgbm": ("tradewind.models.boosting:LightGBM", "gradient-boosted trees, stopped early on a purged tail"),
    "xgboost": ("tradewind.models.xgboost:XGBoost", "gradient-boosted trees by XGBoost, stopped early on a purged tail"),
    "catboost": ("tradewind.models.catboost:CatBoost", "gradient-boosted oblivious trees; needs the extra catboost"),
    "mlp": ("tradewind.models.neural:mlp", "a multilayer perceptron on single rows"),
    "lstm": ("tradewind.models.neural:lstm", "a bidirectional LSTM with attention over windows of 60 rows"),
    "transformer": ("tradewind.models.neural:transformer", "a pre-norm transformer encoder over windows of 60 rows"),
    "price-action-transformer": (
        "tradewind.models.neural:price_action_transformer",
        "the training guide's transformer encoder over windows of 64 rows",
    ),
    "tft": ("tradewind.models.tft:TFT", "the Temporal Fusion Transformer: quantiles of returns over several horizons"),
    "voting": ("tradewind.models.voting:Voting", "other forecasters' votes: weighted, by majority, or unanimous"),
    "stacking": ("tradewind.models.stacking:Stacking", "a logistic head on other forecasters' out-of-sample answers, in order of time"),
    "regime-specific": (
        "tradewind.models.regime_specific:RegimeSpecific",
        "a copy of another forecaster for each regime, mixed by probability",
    ),
    "online-forest": ("tradewind.models.online:online_forest", "an adaptive random forest, learned row after row"),
    "online-logistic": ("tradewind.models.online:online_logistic", "logistic regression by gradient descent, learned row after row"),
    "online-linear": ("tradewind.models.online:online_linear", "linear regression by gradient descent, learned row after row"),
    "conformal": ("tradewind.models.conformal:Conformal", "intervals around any forecaster that keep their coverage as markets change"),
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


def space(name: str) -> Space:
    """What of the forecaster called `name` may be tuned: its entry in the `SPACES` of its file, empty when there is none."""
    if name in _REGISTERED:
        return cast(Space, getattr(_REGISTERED[name], "space", {}))
    home, _ = choose(name, _HOMES, "forecaster")
    module = importlib.import_module(home.partition(":")[0])
    return cast(Space, getattr(module, "SPACES", {}).get(name, {}))


def register(name: str, factory: Factory) -> None:
    """Make `forecaster(name, **settings)` call `factory(**settings)`. Raises SettingsError when the name is taken by another factory."""
    taken = name in _HOMES or _REGISTERED.get(name, factory) is not factory
    require(bool(name) and not taken, f"forecaster {name!r} is taken; register yours under another name")
    _REGISTERED[name] = factory


def _load(name: str) -> Factory:
    module, _, attribute = _HOMES[name][0].partition(":")
    return cast(Factory, getattr(importlib.import_module(module), attribute))
