"""Online learning as a strategy: a model that goes on learning, bar by bar, from every label as it becomes known.

Source: test-then-train with delayed labels, Gama et al. 2014, https://doi.org/10.1145/2523813. The fit is one pass over the training part,
in the order in which its labels became known, and afterwards it goes on so: what decides at a bar has learned all that was known
by its close. Costs the labels of the history so far and the model's own cost a bar; a whole history costs its labels once.
Fails where the market does not repeat itself for as long as the model takes to learn it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind import labels
from tradewind.core.errors import NotFitted, StateError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.settings import build
from tradewind.core.types import Features, Forecast, Labels, State, Target, Targets, View
from tradewind.features import Live, compute
from tradewind.models.online import OnlineLearner
from tradewind.models.online_forest import Change
from tradewind.models.rows import Task, finite_rows
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.forecasting import named, need_volume
from tradewind.strategies.policy import Policy
from tradewind.strategies.reason import Reason, policy_reason

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["Online"]

KEPT: Final = 256
"""Rows of inputs at hand for labels that become known; those of longer ago are computed anew."""


@final
class Online(Strategy):
    """Features + an online model + Policy.

    `model`: `forest` (adaptive random forest), `logistic` or `linear`, with `model_settings`: those of `ForestConfig`, or `rate` and
    `intercept_rate`. `features`, `label`, `label_settings`, `policy`, `train_limit`, `refit_every`, `seed` as in the strategy `forecast`.

    The fit learns the training part with the label's weights. From then on each label counts once, with weight 1, as soon as it is known;
    weights look at labels yet to come. Until a row was learned every decision is NaN, which keeps what is held. Raises SettingsError for
    unknown names and settings, NotFitted when it has to decide before `fit`.
    """

    def __init__(
        self,
        model: str = "forest",
        features: str | Sequence[Any] = "relative",
        label: str = "triple-barrier",
        model_settings: Mapping[str, Any] | None = None,
        label_settings: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        train_limit: int | None = None,
        refit_every: int = 1,
        seed: int = 0,
    ) -> None:
        whole(refit_every=refit_every, train_limit=1 if train_limit is None else train_limit)
        self.model, self.model_settings = model, dict(model_settings or {})
        self.features = features if isinstance(features, str) else tuple(features)
        self.label, self.label_settings = label, dict(label_settings or {})
        self.policy = build(Policy, policy or {}, "policy")
        self.train_limit, self.refit_every, self.seed = train_limit, refit_every, seed
        self.until = 0
        self._labels = labels.label(label, **self.label_settings)
        self._live = Live(self.features, keep=KEPT)
        self.warmup = self._live.warmup + 1
        self._learner(("any",), (0.0, 1.0))
        self._fitted: OnlineLearner | None = None
        # The model as it is after the bars last asked about, and what is needed to know them again.
        self._current: OnlineLearner | None = None
        self._place: dict[str, int] = {}
        self._close = np.zeros(0)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every warning and drift that a forest's trees found, up to the bar last asked of `decide`. Raises NotFitted before `fit`."""
        return (self._current or self._ready()).changes

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, market: Market) -> Self:
        market = market if self.train_limit is None else market[-self.train_limit :]
        need_volume(market, self.features)
        X, y = compute(market, self.features), self._labels(market).known_by(int(market.known[-1]))
        self._fitted, self._current = self._learner(X.names, y.classes), None
        self.until = int(market.known[-1])
        time, symbol = _in_order(X, y, y.weights > 0)
        self._fitted.learn(X.values[time, symbol], y.values[time, symbol], y.weights[time, symbol], y.known[time, symbol])
        return self

    def decide(self, view: View) -> Target:
        return self.policy.decide(self._forecast(view), view.portfolio)

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`."""
        return policy_reason(self.policy, self._forecast(view), view.portfolio, symbol)

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        learner, first = copy.deepcopy(self._ready()), max(start, self.warmup - 1)
        desired = np.full(market.close.shape, np.nan)
        if first >= len(market):
            return desired
        X, y = compute(market, self.features), self._labels(market)
        time, symbol = _in_order(X, y, y.known > self.until)
        inputs, values, known = X.values[time, symbol], y.values[time, symbol], y.known[time, symbol]
        # Nothing is learned in the bars of the training part, so they are answered together.
        alone = max(first, int(np.searchsorted(market.known, self.until, side="right")))
        answers = [learner.forecast(X[first:alone])]
        done = 0
        for t in range(alone, len(market)):
            due = int(np.searchsorted(known, market.known[t], side="right"))
            if due > done:
                learner.learn(inputs[done:due], values[done:due], np.ones(due - done), known[done:due])
                done = due
            answers.append(learner.forecast(X[t : t + 1]))
        desired[first:] = self.policy.desired(_joined(answers))
        return self.policy.walk(desired, market, book, start)

    def state(self) -> State:
        """The model as fitted and as it is now, the seed, and the settings, which the object that restores it must share."""
        own = {"until": self.until, "seed": self.seed, "settings": self._settings(), "place": self._place, "close": self._close}
        state = plain.to_state("Online", own)
        for name, learner in (("fitted", self._fitted), ("current", self._current)):
            state = state if learner is None else state.nest(name, learner.state())
        return state

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when it was saved under other settings."""
        saved = plain.from_state("Online", state)
        other = [name for name, value in self._settings().items() if saved["settings"].get(name) != value]
        if other:
            raise StateError(f"this state was saved under other settings of {other}: {[saved['settings'].get(name) for name in other]}")
        self.until, self.seed, self._place, self._close = (saved[name] for name in ("until", "seed", "place", "close"))
        self._fitted, self._current = (self._restored(state.child(name)) for name in ("fitted", "current"))
        return self

    def _forecast(self, view: View) -> Forecast:
        """The answers to the last bar by the model that has learned every label known by its close."""
        learner = self._caught_up(view.market)
        return learner.forecast(self._live.rows(view.market))

    def _caught_up(self, market: Market) -> OnlineLearner:
        now, since = int(market.known[-1]), self.until
        learner = self._current
        if learner is None or not self._continues(market):
            learner = copy.deepcopy(self._ready())
        else:
            since = max(since, self._place["known"])
        if now > since:
            y = self._labels(market)
            due = np.isfinite(y.values) & (y.known > since) & (y.known <= now)
            if due.any():
                begin = int(due.any(axis=1).argmax())
                count = len(market) - begin
                X = self._live.rows(market, count) if count <= KEPT else compute(market, self.features)[begin:]
                time, symbol = _in_order(X, y[begin:], due[begin:])
                learner.learn(X.values[time, symbol], y.values[begin + time, symbol], np.ones(len(time)), y.known[begin + time, symbol])
        self._current, self._close = learner, market.close[-1].copy()
        self._place = {"count": len(market), "first": int(market.open_time[0]), "last": int(market.open_time[-1]), "known": now}
        return learner

    def _continues(self, market: Market) -> bool:
        """Whether `market` goes on from the bars last asked about."""
        place, n = self._place, self._place["count"]
        if len(market) < n or market.open_time[0] != place["first"] or market.open_time[n - 1] != place["last"]:
            return False
        return bool(market.close[n - 1].tobytes() == self._close.tobytes())

    def _ready(self) -> OnlineLearner:
        if self._fitted is None:
            raise NotFitted("the strategy 'online' was asked to decide before fit(market)")
        return self._fitted

    def _learner(self, names: tuple[str, ...], classes: tuple[float, ...]) -> OnlineLearner:
        return OnlineLearner(self.model, self.model_settings, derive(self.seed, "online"), names, classes)

    def _restored(self, state: State) -> OnlineLearner | None:
        if not state.values:
            return None
        task = Task.restore(state)
        return self._learner(task.names, task.classes).restore(state)

    def _settings(self) -> dict[str, str]:
        chosen = {"model": self.model, "features": self.features, "label": self.label}
        names = {name: value if isinstance(value, str) else named(value) for name, value in chosen.items()}
        return {**names, "model_settings": repr(self.model_settings), "label_settings": repr(self.label_settings)}


def _in_order(X: Features, y: Labels, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The (time, symbol) positions of those `chosen` rows that can be learned, in the order in which their labels become known."""
    time, symbol = np.nonzero(chosen & np.isfinite(y.values) & finite_rows(X))
    order = np.argsort(y.known[time, symbol], kind="stable")
    return time[order], symbol[order]


def _joined(parts: Sequence[Forecast]) -> Forecast:
    """One forecast of several, each of the rows that follow those of the one before."""
    if parts[0].probabilities is None:
        return Forecast(mean=np.concatenate([part.mean for part in parts if part.mean is not None]))
    return Forecast(
        probabilities=np.concatenate([part.probabilities for part in parts if part.probabilities is not None]), classes=parts[0].classes
    )
