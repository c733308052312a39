"""Strategies by name: `strategy("momentum", lookback=20)`. Classes load when they are first asked for."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, cast, final

from tradewind.core.protocols import Strategy
from tradewind.core.settings import build, choose, load, require
from tradewind.core.spaces import Space
from tradewind.strategies.plain import MARK, outline

__all__ = ["describe", "descriptions", "names", "register", "space", "strategy"]

Factory = Callable[..., Strategy]


@final
@dataclass(frozen=True)
class _Entry:
    """Where a strategy is made, the settings that its name stands for, and one line about it."""

    home: str | Factory
    description: str
    preset: Mapping[str, Any] = field(default_factory=dict)

    def factory(self) -> Factory:
        if not isinstance(self.home, str):
            return self.home
        return cast(Factory, getattr(self.module(), self.home.partition(":")[2]))

    def module(self) -> ModuleType:
        """The module that the strategy is in: of this package, or of another one, called by its full name."""
        place = str(self.home).partition(":")[0]
        return importlib.import_module(place if "." in place else f"tradewind.strategies.{place}")


_FORECASTING: Final = "forecasting:Forecasting"
_ONLINE: Final = "online:Online"
_AGENT: Final = "agent:AgentStrategy"
_PATIENCE: Final = {"learning_rate": 1e-3, "discount": 0.95}
"""What a position is worth lies within tens of bars, and a fit is short."""


def _valued(algorithm: str) -> dict[str, Any]:
    """The settings of the agents that learn values."""
    return {
        "algorithm": algorithm,
        "agent": {"hidden": (64, 64), "batch": 128, "train_every": 16, "target_every": 100, "n_step": 1, **_PATIENCE},
        "refit_every": 4,
    }


_TABLE: Final[dict[str, _Entry]] = {
    "hold": _Entry("hold:Hold", "buys an equal share of every symbol once and keeps it: the row that every other is read beside"),
    "momentum": _Entry("momentum:Momentum", "the sign of the return over one lookback"),
    "momentum-mix": _Entry("momentum:MomentumMix", "long or flat by the mean of six lookbacks, 5 to 90 days, at a target volatility"),
    "ema-cross": _Entry("rules:ema_cross", "long while the fast exponential average is above the slow one, short below"),
    "rsi-reversal": _Entry("rules:rsi_reversal", "buys what RSI calls oversold, sells what it calls overbought, leaves at 50"),
    "bollinger-reversal": _Entry("rules:bollinger_reversal", "trades against a close beyond a Bollinger band, leaves at the middle"),
    "rsi-divergence": _Entry("rules:rsi_divergence", "trades against a price extreme that RSI does not confirm"),
    "forecast": _Entry(_FORECASTING, "any forecaster on any features and labels, with a policy"),
    "logistic": _Entry(_FORECASTING, "logistic regression on triple-barrier labels", {"forecaster": "logistic"}),
    "ridge": _Entry(
        _FORECASTING,
        "ridge regression of the return over 24 bars, traded when it exceeds the costs",
        {
            "forecaster": "ridge",
            "label": "horizon-return",
            "label_settings": {"horizon": 24},
            "policy": {"threshold": 1.0, "gain": 0.5},
        },
    ),
    "random-forest": _Entry(_FORECASTING, "a random forest on triple-barrier labels", {"forecaster": "random-forest"}),
    "lightgbm": _Entry(_FORECASTING, "gradient-boosted trees on triple-barrier labels", {"forecaster": "lightgbm"}),
    "price-action-transformer": _Entry(
        _FORECASTING,
        "a small transformer on windows of 64 bars, fitted every fourth fold",
        {"forecaster": "price-action-transformer", "forecaster_settings": {"preset": "quick"}, "refit_every": 4},
    ),
    "xgboost": _Entry(_FORECASTING, "gradient-boosted trees by XGBoost on triple-barrier labels", {"forecaster": "xgboost"}),
    "mlp": _Entry(
        _FORECASTING,
        "a multilayer perceptron, fitted every fourth fold",
        {"forecaster": "mlp", "forecaster_settings": {"preset": "quick"}, "refit_every": 4},
    ),
    "lstm": _Entry(
        _FORECASTING,
        "a bidirectional LSTM with attention, fitted every fourth fold",
        {"forecaster": "lstm", "forecaster_settings": {"preset": "quick"}, "refit_every": 4},
    ),
    "transformer": _Entry(
        _FORECASTING,
        "a transformer encoder over 60 bars, fitted every fourth fold",
        {"forecaster": "transformer", "forecaster_settings": {"preset": "quick"}, "refit_every": 4},
    ),
    "tft": _Entry(
        _FORECASTING,
        "the Temporal Fusion Transformer on returns over several horizons, fitted every fourth fold",
        {
            "forecaster": "tft",
            "forecaster_settings": {"preset": "quick"},
            "label": "multi-horizon",
            "policy": {"threshold": 1.0, "gain": 0.5},
            "refit_every": 4,
        },
    ),
    "stacking": _Entry(_FORECASTING, "logistic, forest and boosting, stacked in order of time", {"forecaster": "stacking"}),
    "voting": _Entry(_FORECASTING, "logistic, forest and boosting, by vote", {"forecaster": "voting"}),
    "deep-momentum": _Entry(
        "deep_momentum:DeepMomentum",
        "a net that outputs the position itself, trained on the net Sharpe ratio, fitted every fourth fold",
        {"refit_every": 4},
    ),
    "ppo": _Entry(
        _AGENT,
        "an agent that learns a policy by proximal policy optimisation, fitted every fourth fold",
        {"algorithm": "ppo", "agent": {"hidden": (64, 64), "rollout": 4096, "batch": 512, "epochs": 5, **_PATIENCE}, "refit_every": 4},
    ),
    "double-dqn": _Entry(_AGENT, "an agent that learns values by double Q-learning, fitted every fourth fold", _valued("double-dqn")),
    "d3qn": _Entry(_AGENT, "an agent of double Q-learning with a dueling net, fitted every fourth fold", _valued("d3qn")),
    "twin-d3qn": _Entry(
        _AGENT, "an agent with two dueling critics that trusts the smaller, fitted every fourth fold", _valued("twin-d3qn")
    ),
    "rainbow": _Entry(_AGENT, "an agent of Rainbow: six improvements of Q-learning in one, fitted every fourth fold", _valued("rainbow")),
    "few-shot": _Entry(
        "few_shot:FewShot", "a meta-learner that adapts to the latest bars as it walks, fitted every fourth fold", {"refit_every": 4}
    ),
    "regime-specific": _Entry(
        _FORECASTING,
        "a logistic regression for each of the seven regimes, mixed by their probabilities",
        {"forecaster": "regime-specific", "features": "relative+regime"},
    ),
    "regime-gate": _Entry("regime_gate:RegimeGate", "another strategy, held only in the regimes that it is meant for"),
    "by-regime": _Entry("by_regime:ByRegime", "a strategy for each regime, weighted by how probable the regime is"),
    "online": _Entry(_ONLINE, "a model that goes on learning, bar by bar, from every label as it becomes known"),
    "mix": _Entry("mix:Mix", "the mean of other strategies, each with its own paper book"),
    "ensemble": _Entry(
        "tradewind.ensemble.ensemble:Ensemble",
        "other strategies, trusted bar by bar as the regime and their records say, each with a paper book",
    ),
}


def strategy(name: str, **settings: Any) -> Strategy:
    """A new strategy by name (`tradewind.strategies()` lists them), or of your own class at `my_module:Mine`.

    Settings given as dicts are merged into the preset's dict, key by key. Raises SettingsError, with the nearest known word, for an
    unknown name or setting, and for settings that cannot be.
    """
    entry = _Entry(load(name), name) if ":" in name else choose(name, _TABLE, "strategy")
    merged = _merged(entry.preset, settings)
    factory = entry.factory()
    built = build(factory, merged, f"strategy {name!r}")
    defaults = {p.name: p.default for p in inspect.signature(factory).parameters.values() if p.default is not p.empty}
    # An object of a foreign class with slots cannot remember its name; describe() then tells its class and attributes.
    with contextlib.suppress(AttributeError):
        setattr(built, MARK, (name, outline({**defaults, **merged})))
    return built


def _merged(preset: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    # Settings of a part that the caller replaces, such as those of another label, do not outlive it.
    replaced = {f"{part}_settings" for part, value in settings.items() if value != preset.get(part)}
    merged = {key: value for key, value in preset.items() if key not in replaced}
    for key, value in settings.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def space(name: str, **settings: Any) -> Space:
    """What of the strategy called `name`, or of your own class at `my_module:Mine`, may be tuned, under `settings` that stay as they are.

    It stands in the `SPACES` of the strategy's file, and of a class of your own in its attribute `space`. A strategy that forecasts has
    the space of its forecaster and that of its policy. Empty when there is nothing to tune; raises SettingsError for an unknown name.
    """
    entry = _Entry(load(name), name) if ":" in name else choose(name, _TABLE, "strategy")
    merged = _merged(entry.preset, settings)
    if entry.home == _FORECASTING:
        return _learning_space(merged.get("forecaster", "logistic"), "forecaster_settings", merged)
    if entry.home == _ONLINE:
        return _learning_space(f"online-{merged.get('model', 'forest')}", "model_settings", merged)
    if not isinstance(entry.home, str):
        return cast(Space, getattr(entry.home, "space", {}))
    return cast(Space, getattr(entry.module(), "SPACES", {}).get(name, {}))


def _learning_space(learner: Any, part: str, settings: Mapping[str, Any]) -> Space:
    """The space of a strategy's forecaster, whose settings are in `part` of its own, and of its policy."""
    from tradewind.models import registry as models
    from tradewind.strategies.policy import SPACES

    kind = "return" if settings.get("label") in ("horizon-return", "multi-horizon") else "classes"
    found = models.space(learner) if isinstance(learner, str) else getattr(learner, "space", {})
    return {**({part: found} if found else {}), "policy": SPACES[kind]}


def names() -> list[str]:
    """Every name that `strategy` knows, the registered ones last."""
    return list(_TABLE)


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return {name: entry.description for name, entry in _TABLE.items()}


def register(name: str, factory: Factory) -> None:
    """Let `strategy(name, **settings)` build `factory(**settings)`: a class or function of your own.

    Raises SettingsError when the name is taken by something else.
    """
    require(bool(name), "a strategy needs a name that is not empty")
    taken = _TABLE.get(name)
    require(taken is None or taken.home is factory, f"the strategy name {name!r} is taken; choose another")
    first_line = (inspect.getdoc(factory) or "").partition("\n")[0]
    _TABLE[name] = _Entry(factory, first_line or f"{factory.__module__}.{factory.__qualname__}")


def describe(built: Strategy) -> tuple[str, dict[str, Any]]:
    """The name of a strategy and its settings as JSON-able data, for reports, manifests and ledgers.

    One that was made by name gives that name and every setting, defaults included. Any other object gives the name of its class with
    its module, and its attributes that do not begin with an underscore.
    """
    marked = getattr(built, MARK, None)
    if marked is not None:
        name, settings = marked
        return name, dict(settings)
    attributes = {name: value for name, value in getattr(built, "__dict__", {}).items() if not name.startswith("_")}
    return f"{type(built).__module__}.{type(built).__qualname__}", outline(attributes)
