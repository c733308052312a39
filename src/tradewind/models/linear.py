"""Linear models on standardised inputs: logistic regression for classes, ridge regression for returns.

Papers: Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634 (ridge); Cox 1958, https://doi.org/10.1111/j.2517-6161.1958.tb00292.x.
Costs O(rows * columns^2) to fit and one weighted sum a row to ask. Fails where the answer depends on combinations of inputs, and
where a few outliers dominate: raw prices and fat-tailed columns should be made relative first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.limits import number, whole
from tradewind.core.spaces import Real, Space
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.features.scale import Standardiser
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.rows import Task, fitted, softmax, training_rows
from tradewind.models.trees import difference, shares

__all__ = ["SPACES", "Logistic", "Ridge"]

SPACES: Final[dict[str, Space]] = {name: {"penalty": Real(0.01, 10_000.0, log=True)} for name in ("logistic", "ridge")}


@final
@dataclass(frozen=True, eq=False)
class _Plane:
    """Weighted sums of standard scores: the scaler that makes the scores, `slopes` (feature, output) and `intercepts` (output,)."""

    scaler: Standardiser
    slopes: Array
    intercepts: Array

    def answer(self, X: Features, usable: NDArray[np.bool_]) -> Array:
        """(row, output): the sums of the `usable` (time, symbol) rows."""
        scores = np.ascontiguousarray(self.scaler.transform(X).values[usable])
        total = np.tile(self.intercepts, (len(scores), 1))
        # One column after the other, elementwise: a matrix product may round a row differently in a larger batch.
        for column, slopes in enumerate(self.slopes):
            total += scores[:, column, None] * slopes
        return total

    def contributions(self, task: Task, X: Features, rows: NDArray[np.int64], unit: str) -> Contributions:
        """Exact: each slope times its score. The base is the answer where every input is at its mean. All zero for a `settled` task."""
        inputs = task.at(X, rows)
        slopes, base = np.zeros(len(task.names)), np.zeros(len(inputs))
        if not task.settled:
            slopes, base = difference(self.slopes), np.tile(difference(self.intercepts[None]), len(inputs))
        values = (inputs - self.scaler.mean) / self.scaler.deviation * slopes
        return Contributions(values[:, None], base, base + values.sum(axis=1), inputs[:, None], task.names, unit, "linear")

    def importance(self, task: Task) -> dict[str, float]:
        """The slope of each input, for classes the widest gap between two of them, as shares that sum to one."""
        return shares(task.names, np.ptp(self.slopes, axis=1) if self.slopes.shape[1] > 1 else np.abs(self.slopes[:, 0]))

    def state(self) -> State:
        return State({}, {"slopes": self.slopes.copy(), "intercepts": self.intercepts.copy()}).nest("scaler", self.scaler.state())


@final
class Logistic(Forecaster):
    """Multinomial logistic regression; `penalty` is the weight of the squared slopes against the summed log loss of the rows.

    A return label is learned as its sign, each row weighted by the size of the return. The probabilities p of up are then shares of
    the expected absolute move, so that (2p - 1) times the mean absolute return is an expected return.
    """

    def __init__(self, penalty: float = 1.0, iterations: int = 1000) -> None:
        number(penalty=penalty)
        whole(iterations=iterations)
        self.penalty, self.iterations = penalty, iterations
        self._task: Task | None = None
        self._plane: _Plane | None = None
        self._move = 0.0

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        target, weights = rows.y, rows.weights
        self._move = 0.0
        if not rows.task.classes:
            target, moves = (rows.y > 0).astype(np.float64), rows.weights * np.abs(rows.y)
            self._move = float(moves.sum() / rows.weights.sum())
            # In units of the mean move, so that the penalty weighs as much as it does for classes.
            weights = moves / self._move if self._move > 0 else moves
        scaler = Standardiser().fit(rows.panel(X))
        scores = scaler.transform(X).values[rows.time, rows.symbol]
        self._task, self._plane = rows.task, self._separate(scaler, scores, target, weights)
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, _ = task.inputs(X)
        if task.settled:
            return task.settle(usable)
        assert self._plane is not None
        probabilities = softmax(self._plane.answer(X, usable))
        if task.classes:
            return task.forecast(usable, probabilities)
        return task.forecast(usable, (probabilities[:, 1:] - probabilities[:, :1]) * self._move)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each input added at the (time, symbol) positions `rows` (n, 2), in log-odds of the highest class that training showed
        against the lowest, for a return of up against down. Raises DataError for rows without all inputs, NotFitted before `fit`.
        """
        task = fitted(self._task)
        assert self._plane is not None
        return self._plane.contributions(task, X, rows, "log-odds")

    def importance(self) -> dict[str, float]:
        """Each column's share of the absolute slopes on standardised inputs, summing to one. Raises NotFitted before `fit`."""
        task = fitted(self._task)
        assert self._plane is not None
        return self._plane.importance(task)

    def state(self) -> State:
        state = State({"task": fitted(self._task).state(), "move": self._move})
        return state.nest("plane", self._plane.state()) if self._plane else state

    def restore(self, state: State) -> Self:
        self._task, self._plane, self._move = Task.restore(state), _plane(state), float(state.values.get("move", 0.0))
        return self

    def _separate(self, scaler: Standardiser, scores: Array, target: Array, weights: Array) -> _Plane | None:
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        taken = weights > 0
        seen = np.unique(target[taken])
        if len(seen) < 2:
            # Every return was of one sign (or zero): the answer is that sign whatever the inputs are.
            lean = float(seen[0]) * 2.0 - 1.0 if len(seen) else 0.0
            certain = np.array([-np.inf, 0.0]) if lean > 0 else np.array([0.0, -np.inf])
            return _Plane(scaler, np.zeros((scores.shape[1], 2)), certain)
        model = LogisticRegression(C=1.0 / self.penalty, max_iter=self.iterations)
        with threadpool_limits(1):
            model.fit(scores[taken], target[taken], sample_weight=weights[taken])
        slopes, intercepts = np.asarray(model.coef_.T), np.asarray(model.intercept_)
        if slopes.shape[1] == 1:
            slopes, intercepts = np.hstack([0.0 * slopes, slopes]), np.array([0.0, float(intercepts[0])])
        return _Plane(scaler, np.ascontiguousarray(slopes), intercepts)


@final
class Ridge(Forecaster):
    """Least squares with `penalty` times the squared slopes. Classes are learned as one indicator each, clipped and made to sum to one."""

    def __init__(self, penalty: float = 1.0) -> None:
        number(penalty=penalty)
        self.penalty = penalty
        self._task: Task | None = None
        self._plane: _Plane | None = None

    def fit(self, X: Features, y: Labels) -> Self:
        from sklearn.linear_model import Ridge as LeastSquares
        from threadpoolctl import threadpool_limits

        rows = training_rows(X, y)
        columns = rows.task.outputs
        target = rows.y[:, None] == np.arange(columns) if rows.task.classes else rows.y[:, None]
        scaler = Standardiser().fit(rows.panel(X))
        scores = scaler.transform(X).values[rows.time, rows.symbol]
        model = LeastSquares(alpha=self.penalty, solver="cholesky")
        with threadpool_limits(1):
            model.fit(scores, target.astype(np.float64), sample_weight=rows.weights)
        slopes = np.ascontiguousarray(np.asarray(model.coef_).reshape(columns, -1).T)
        self._task, self._plane = rows.task, _Plane(scaler, slopes, np.asarray(model.intercept_).reshape(columns))
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, _ = task.inputs(X)
        assert self._plane is not None
        answers = self._plane.answer(X, usable)
        if task.classes:
            answers = np.clip(answers, 0.0, 1.0)
            answers /= answers.sum(axis=1, keepdims=True)
        return task.forecast(usable, answers)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each input added at the (time, symbol) positions `rows` (n, 2): to the return, or to the probability of the highest class
        that training showed less that of the lowest, before clipping. Raises DataError for rows without all inputs, NotFitted before `fit`.
        """
        task = fitted(self._task)
        assert self._plane is not None
        return self._plane.contributions(task, X, rows, "probability" if task.classes else "return")

    def importance(self) -> dict[str, float]:
        """Each column's share of the absolute slopes on standardised inputs, summing to one. Raises NotFitted before `fit`."""
        task = fitted(self._task)
        assert self._plane is not None
        return self._plane.importance(task)

    def state(self) -> State:
        state = State({"task": fitted(self._task).state()})
        return state.nest("plane", self._plane.state()) if self._plane else state

    def restore(self, state: State) -> Self:
        self._task, self._plane = Task.restore(state), _plane(state)
        if self._plane is None:
            raise StateError("this state holds no slopes; restore it into the forecaster that saved it")
        return self


def _plane(state: State) -> _Plane | None:
    saved = state.child("plane")
    if not {"slopes", "intercepts"} <= saved.arrays.keys():
        return None
    scaler = Standardiser().restore(saved.child("scaler"))
    return _Plane(scaler, saved.arrays["slopes"].copy(), saved.arrays["intercepts"].copy())
