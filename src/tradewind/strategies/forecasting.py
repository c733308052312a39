"""Forecasting as a strategy: features, a forecaster that learns labels from them, and a policy that acts on its forecasts.

Source: the research loop of Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapters 3, 4 and 10,
https://www.wiley.com/en-us/Advances+in+Financial+Machine+Learning-p-9781119482086. Costs: those of the forecaster.
Fails: as any learner does when the training part is short, or when what it learned has ceased to hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from tradewind import labels
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.protocols import Forecaster
from tradewind.core.seeds import derive
from tradewind.core.settings import build, require
from tradewind.core.types import Features, Forecast, Labels, State, Target, Targets, View
from tradewind.features import Live, compute
from tradewind.features.catalog import resolve
from tradewind.models.contributions import Contributions
from tradewind.models.registry import forecaster as forecaster_by_name
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.policy import Policy
from tradewind.strategies.reason import Answer, Reason, policy_reason

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Forecasting", "named", "need_volume"]


@final
class Forecasting(Strategy):
    """Features + Forecaster + Policy.

    `forecaster`: a name (`tradewind.forecasters()` lists them) built with `forecaster_settings`, or an object of your own, of which a
    copy is fitted. `features`: a set's name, or the names of columns. `label`: what is learned, by name, with `label_settings`.
    `policy`: settings of `Policy`. `train_limit`: only the last so many bars of a training part are learned from; None for all.
    `refit_every`: folds of a walk-forward between two fits.

    A training part without one complete row whose label is known teaches nothing: then every decision is NaN, which keeps what is
    held. Raises SettingsError for unknown names and settings, NotFitted when it has to decide before `fit`.
    """

    def __init__(
        self,
        forecaster: str | Forecaster = "logistic",
        features: str | Sequence[Any] = "relative",
        label: str = "triple-barrier",
        forecaster_settings: Mapping[str, Any] | None = None,
        label_settings: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        train_limit: int | None = None,
        refit_every: int = 1,
        seed: int = 0,
    ) -> None:
        whole(refit_every=refit_every, train_limit=1 if train_limit is None else train_limit)
        require(
            isinstance(forecaster, str) or not forecaster_settings, "forecaster_settings go with a forecaster's name, not with an object"
        )
        self.forecaster, self.forecaster_settings = forecaster, dict(forecaster_settings or {})
        self.features = features if isinstance(features, str) else tuple(features)
        self.label, self.label_settings = label, dict(label_settings or {})
        self.policy = build(Policy, policy or {}, "policy")
        self.train_limit, self.refit_every, self.seed = train_limit, refit_every, seed
        self.fitted = False
        self._labels = labels.label(label, **self.label_settings)
        self._model: Forecaster | None = None
        # Built now only to hear at once about settings that cannot be, and how many rows one forecast needs. What a forecaster learns
        # from answers that came since its fit refines a forecast but is not needed for one, so the warm-up does not wait for it.
        unfitted = self._new_forecaster()
        window = int(getattr(unfitted, "window", 1))
        self._rows = window + int(getattr(unfitted, "memory", 0))
        self._live = Live(self.features, keep=self._rows)
        self.warmup = self._live.warmup + window

    @property
    def model(self) -> Forecaster | None:
        """The fitted forecaster; None before `fit` and where there was nothing to learn."""
        return self._model

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, market: Market) -> Self:
        market = self.shown(market)
        need_volume(market, self.features)
        X, y = self.lesson(market)
        self.fitted, self._model = True, None
        if _learnable(X, y):
            self._model = self._new_forecaster().fit(X, y)
        return self

    def shown(self, market: Market) -> Market:
        """The bars of a training part that `fit` learns from: the last `train_limit` of them."""
        return market if self.train_limit is None else market[-self.train_limit :]

    def lesson(self, market: Market) -> tuple[Features, Labels]:
        """What the bars of `market` teach: the inputs, and those answers that are known by its last bar."""
        return compute(market, self.features), self._labels(market).known_by(int(market.known[-1]))

    def decide(self, view: View) -> Target:
        if self._silent():
            return Target(np.full(len(view.market.symbols), np.nan))
        X = self._live.rows(view.market, self._rows)
        # A net would answer every row that has its window; a decision needs the last alone, which some models can give by itself.
        alone: Callable[[Features], Forecast] | None = getattr(self._model, "predict_last", None)
        return self.policy.decide(self._forecast(X, view.market) if alone is None else alone(X), view.portfolio)

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        if self._silent():
            return Reason(("Its training part had no complete row with a known answer: it learned nothing and keeps what is held.",))
        X = self._live.rows(view.market, self._rows)
        forecast = self._forecast(X, view.market)
        assert self._model is not None, "_silent() has been asked before"
        parts, silence = _parts(self._model, X, forecast, symbol)
        return policy_reason(self.policy, forecast, view.portfolio, symbol, Answer(X, forecast, self._model, parts, silence))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        if self._silent() or first >= len(market):
            return np.full(market.close.shape, np.nan)
        # The model answers its first row from so many rows up to it, so no earlier ones need to be looked at.
        begin = max(0, first + 1 - self._rows)
        desired = np.full(market.close.shape, np.nan)
        desired[first:] = self.policy.desired(self._forecast(compute(market, self.features)[begin:], market))[first - begin :]
        return self.policy.walk(desired, market, book, start)

    def state(self) -> State:
        """The fitted model, the seed, and the settings, which the object that restores it must share."""
        own = plain.to_state("Forecasting", {"fitted": self.fitted, "seed": self.seed, "settings": self._settings()})
        return own if self._model is None else own.nest("model", self._model.state())

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when it was saved under other settings."""
        saved = plain.from_state("Forecasting", state)
        other = [name for name, value in self._settings().items() if saved["settings"].get(name) != value]
        if other:
            raise StateError(f"this state was saved under other settings of {other}: {[saved['settings'].get(name) for name in other]}")
        self.fitted, self.seed = bool(saved["fitted"]), int(saved["seed"])
        self._model = self._new_forecaster().restore(state.child("model")) if "model" in state.values else None
        return self

    def _new_forecaster(self) -> Forecaster:
        if not isinstance(self.forecaster, str):
            made = copy.deepcopy(self.forecaster)
        else:
            made = forecaster_by_name(self.forecaster, **self.forecaster_settings)
        reseed = getattr(made, "reseed", None)
        if reseed is not None:
            reseed(derive(self.seed, "forecaster"))
        return made

    def _settings(self) -> dict[str, str]:
        chosen = {"forecaster": self.forecaster, "features": self.features, "label": self.label}
        names = {name: value if isinstance(value, str) else named(value) for name, value in chosen.items()}
        return {**names, "forecaster_settings": repr(self.forecaster_settings), "label_settings": repr(self.label_settings)}

    def _silent(self) -> bool:
        if not self.fitted:
            raise NotFitted(f"the {self.forecaster!r} strategy was asked to decide before fit(market)")
        return self._model is None

    def _forecast(self, X: Features, market: Market) -> Forecast:
        """The answers to `X`, the last rows of `market`, by a model that may have learned from the labels known by each of them."""
        assert self._model is not None, "_silent() has been asked before"
        follow = getattr(self._model, "follow", None)
        if follow is None:
            return self._model.predict(X)
        # Labels of the whole market: some, like the triple barrier's volatility, remember more than these rows.
        answered: Forecast = follow(X, self._labels(market)[len(market) - len(X) :])
        return answered


def _parts(model: Forecaster, X: Features, forecast: Forecast, symbol: int) -> tuple[Contributions | None, str]:
    """What each input added to the last answer about one symbol; None where the model cannot tell, and why."""
    ask = getattr(model, "contributions", None)
    if ask is None:
        return None, f"{type(model).__name__} cannot tell what its inputs added"
    if not np.isfinite(forecast.score()[-1, symbol]):
        return None, "there is no answer to explain"
    try:
        return ask(X, np.array([[len(X) - 1, symbol]])), ""
    except (DataError, SettingsError) as error:
        return None, str(error)


def _learnable(X: Features, y: Labels) -> bool:
    """Whether there is one complete row of inputs with a label that counts."""
    return bool((~np.isnan(y.values) & (y.weights > 0) & np.isfinite(X.values).all(axis=2)).any())


def need_volume(market: Market, features: str | Sequence[Any]) -> None:
    """Raise DataError where `market` has no volumes and some of `features` are made of them, naming those."""
    if np.isnan(market.volume).all():
        lacking = [feature.name for feature in resolve(features) if "volume" in feature.inputs]
        if lacking:
            raise DataError(f"the market has no volume, which the features {lacking} are made of; choose others, such as 'relative-price'")


def named(value: object) -> str:
    """What a setting that may be an object, or a tuple of such, is called in a state: its name, or that of its class."""
    if isinstance(value, tuple):
        return ", ".join(part if isinstance(part, str) else named(part) for part in value)
    return str(getattr(value, "name", None) or f"{type(value).__module__}.{type(value).__qualname__}")
