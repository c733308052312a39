"""Forecasters that learn row after row: adaptive random forest, and logistic and linear regression by gradient descent.

Source: test-then-train, Gama, Sebastiao, Rodrigues 2013, https://doi.org/10.1007/s10994-012-5320-9. One model learns the rows of all
symbols, in the order in which their answers became known, then in that of time and of the market's columns.
Costs one pass over the rows to fit. Fails where rows are few: a learner in batches sees each of them many times.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import NotFitted, StateError
from tradewind.core.limits import whole
from tradewind.core.settings import build, choose
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State, Times
from tradewind.models.base import Forecaster
from tradewind.models.online_forest import Change, ForestConfig, OnlineForest
from tradewind.models.online_linear import OnlineLinear
from tradewind.models.rows import Task, finite_rows, training_rows

__all__ = ["MODELS", "SPACES", "OnlineForecaster", "OnlineLearner", "online_forest", "online_linear", "online_logistic"]

_RATE: Final = Real(1e-4, 0.3, log=True)
SPACES: Final[dict[str, Space]] = {
    "online-forest": {"depth": Whole(3, 16), "grace": Real(20.0, 500.0, log=True), "columns": Real(0.1, 1.0)},
    "online-logistic": {"rate": _RATE},
    "online-linear": {"rate": _RATE},
}


def _forest(columns: int, outputs: int, seed: int, settings: Mapping[str, Any]) -> OnlineForest:
    return OnlineForest(columns, outputs, build(ForestConfig, settings, "the online forest"), seed)


def _logistic(columns: int, outputs: int, seed: int, settings: Mapping[str, Any]) -> OnlineLinear:
    return build(_descent, {"columns": columns, "outputs": outputs, "classes": True, **settings}, "the online logistic regression")


def _linear(columns: int, outputs: int, seed: int, settings: Mapping[str, Any]) -> OnlineLinear:
    return build(_descent, {"columns": columns, "outputs": outputs, "classes": False, **settings}, "the online linear regression")


def _descent(columns: int, outputs: int, classes: bool, rate: float = 0.01, intercept_rate: float = 0.01) -> OnlineLinear:
    return OnlineLinear(columns, outputs, classes, rate, intercept_rate)


MODELS: Final[dict[str, Callable[[int, int, int, Mapping[str, Any]], OnlineForest | OnlineLinear]]] = {
    "forest": _forest,
    "logistic": _logistic,
    "linear": _linear,
}
"""What makes a model of so many columns and outputs, with a seed and settings, by name."""


@final
class OnlineLearner:
    """A model that learns labelled rows one after another, of the inputs `names` and the label's `classes` (none for a return).

    Classifiers learn a return as its sign, each row weighted by the size of the return against the mean size so far; (2 P(up) - 1) times
    that mean is then a return. The linear model learns a class as one number a class, clipped and made to sum to one.
    """

    def __init__(self, model: str, settings: Mapping[str, Any], seed: int, names: tuple[str, ...], classes: tuple[float, ...]) -> None:
        self.task = Task(names, classes, tuple(range(len(classes))))
        self._regresses = model == "linear"
        outputs = len(classes) or (1 if self._regresses else 2)
        self.model = choose(model, MODELS, "online model")(len(names), outputs, seed, settings)
        # Of the returns learned: the weighted sum of their sizes, and the weights' sum. Of the classes: which were ever learned. Of the
        # changes in a forest: when the labels that brought them could be read.
        self._moves, self._met = np.zeros(2), np.zeros(len(classes), dtype=np.bool_)
        self._when = np.zeros(0, dtype=np.int64)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The warnings and drifts of a forest, in order; none for the linear models."""
        if not isinstance(self.model, OnlineForest):
            return ()
        return tuple(replace(change, known=int(when)) for change, when in zip(self.model.changes, self._when, strict=True))

    def learn(self, X: Array, values: Array, weights: Array, known: Times) -> None:
        """Learn rows (n, column) with label `values` (n,) that could be read at `known` (n,), in order, each `weights` (n,) times."""
        self._met |= np.isin(self.task.classes, values)
        if isinstance(self.model, OnlineForest):
            codes, shares = self._codes(values, weights)
            before = self.model.rows
            self.model.learn(X, codes, shares)
            found = self.model.changed[len(self._when) :] - before
            self._when = np.concatenate([self._when, known[found]])
        elif self._regresses:
            wanted = values[:, None] == np.asarray(self.task.classes) if self.task.classes else values[:, None]
            self.model.learn(X, wanted.astype(np.float64), weights)
        else:
            codes, shares = self._codes(values, weights)
            self.model.learn(X, np.eye(self.model.outputs)[codes], shares)

    def forecast(self, X: Features) -> Forecast:
        """The answers to all rows of `X` by what was learned so far; NaN where inputs are missing or nothing was learned yet."""
        usable, rows = self.task.inputs(X)
        if not self.model.rows:
            return self.task.forecast(usable, np.full((len(rows), self.task.outputs), np.nan))
        answers = self.model.predict(rows)
        if self.task.classes:
            # A class that was never learned has no probability.
            answers = np.where(self._met, np.clip(answers, 1e-9, 1.0), 0.0)
            answers = answers / answers.sum(axis=1, keepdims=True)
        elif not self._regresses:
            answers = (answers[:, 1:] - answers[:, :1]) * (self._moves[0] / self._moves[1])
        return self.task.forecast(usable, answers)

    def state(self) -> State:
        """All that it has learned, as data."""
        arrays = {"moves": self._moves.copy(), "met": self._met.copy(), "when": self._when.copy()}
        return State({"task": self.task.state()}, arrays).nest("model", self.model.state())

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError when it is of other inputs or classes."""
        if Task.restore(state) != self.task or not {"moves", "met", "when"} <= state.arrays.keys():
            raise StateError("this state is of an online model with other inputs or classes; restore it into the one that saved it")
        self.model.restore(state.child("model"))
        self._moves, self._met, self._when = (state.arrays[name].copy() for name in ("moves", "met", "when"))
        return self

    def _codes(self, values: Array, weights: Array) -> tuple[NDArray[np.int64], Array]:
        """Class numbers (n,) and weights (n,) as a classifier learns them."""
        if self.task.classes:
            return np.searchsorted(self.task.classes, values).astype(np.int64), weights
        # A running sum has the same bits however the rows are cut into calls.
        sizes = np.cumsum(np.concatenate([self._moves[:1], weights * np.abs(values)]))[1:]
        counts = np.cumsum(np.concatenate([self._moves[1:], weights]))[1:]
        if len(values):
            self._moves[:] = sizes[-1], counts[-1]
        means = sizes / counts
        return (values > 0).astype(np.int64), weights * np.divide(np.abs(values), means, out=np.zeros(len(values)), where=means > 0)


@final
class OnlineForecaster(Forecaster):
    """An online model (`forest`, `logistic`, `linear`) with its `settings`, fitted in one pass, test-then-train.

    With `memory` > 0 it goes on learning: `follow` answers a row by what the fit learned and then, each of weight 1, those answers of the
    last `memory` rows that are known by then. The strategy `online` remembers them all.
    """

    def __init__(self, model: str, settings: Mapping[str, Any], memory: int = 0, seed: int = 0) -> None:
        whole(0, memory=memory)
        self.model, self.settings, self.memory, self.seed = model, dict(settings), memory, seed
        self._learner: OnlineLearner | None = None
        self._until = 0
        OnlineLearner(model, self.settings, seed, ("any",), (0.0, 1.0))

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        learner = OnlineLearner(self.model, self.settings, self.seed, X.names, rows.task.classes)
        order = np.argsort(rows.known, kind="stable")
        learner.learn(rows.X[order], y.values[rows.time, rows.symbol][order], rows.weights[order], rows.known[order])
        self._learner, self._until = learner, int(X.known[-1])
        return self

    def predict(self, X: Features) -> Forecast:
        return self._fitted().forecast(X)

    @property
    def follow(self) -> Callable[[Features, Labels], Forecast]:
        """See `Forecaster`; AttributeError where `memory` is 0."""
        if not self.memory:
            raise AttributeError("this forecaster stays as it was fitted; give it a memory")
        return self._follow

    @property
    def changes(self) -> tuple[Change, ...]:
        """The warnings and drifts of a forest during the fit, in order. Raises NotFitted before."""
        return self._fitted().changes

    def state(self) -> State:
        return State({"until": self._until}).nest("learner", self._fitted().state())

    def restore(self, state: State) -> Self:
        task = Task.restore(state.child("learner"))
        self._learner = OnlineLearner(self.model, self.settings, self.seed, task.names, task.classes).restore(state.child("learner"))
        self._until = int(state.values["until"])
        return self

    def _fitted(self) -> OnlineLearner:
        if self._learner is None:
            raise NotFitted("this forecaster has learned nothing yet; call fit(X, y) or restore(state) first")
        return self._learner

    def _follow(self, X: Features, y: Labels) -> Forecast:
        learner = self._fitted()
        forecast = learner.forecast(X)
        answers = forecast.mean if forecast.probabilities is None else forecast.probabilities
        assert answers is not None, "an online model answers with one of the two"
        start = int(np.searchsorted(X.known, self._until, side="right"))
        taught = finite_rows(X) & np.isfinite(y.values)
        for t in range(start + 1, len(X)):
            low = max(start, t - self.memory)
            time, symbol = np.nonzero(taught[low:t] & (y.known[low:t] <= X.known[t]))
            if len(time):
                order = np.argsort(y.known[low + time, symbol], kind="stable")
                time, symbol = low + time[order], symbol[order]
                taught_more = copy.deepcopy(learner)
                taught_more.learn(X.values[time, symbol], y.values[time, symbol], np.ones(len(time)), y.known[time, symbol])
                row = taught_more.forecast(X[t : t + 1])
                answers[t] = (row.mean if row.probabilities is None else row.probabilities)[0]  # type: ignore[index]
        return forecast


def online_forest(seed: int = 0, **settings: Any) -> OnlineForecaster:
    """The adaptive random forest; `settings` of `ForestConfig`. It has no memory: learning the last rows anew for each costs too much."""
    return OnlineForecaster("forest", settings, seed=seed)


def online_logistic(rate: float = 0.01, intercept_rate: float = 0.01, memory: int = 0) -> OnlineForecaster:
    """Logistic regression by stochastic gradient descent."""
    return OnlineForecaster("logistic", {"rate": rate, "intercept_rate": intercept_rate}, memory)


def online_linear(rate: float = 0.01, intercept_rate: float = 0.01, memory: int = 0) -> OnlineForecaster:
    """Linear regression by stochastic gradient descent."""
    return OnlineForecaster("linear", {"rate": rate, "intercept_rate": intercept_rate}, memory)
