"""The naive forecasts that every other must beat: nothing changes, and what happened on average happens again.

Source: the random-walk and mean benchmarks of Hyndman and Athanasopoulos, https://otexts.com/fpp3/simple-methods.html.
Costs one pass over the labels. Fails by design: neither looks at an input, so they can tell no row from another.
"""

from __future__ import annotations

from typing import Self, final

import numpy as np

from tradewind.core.types import Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.rows import Task, fitted, training_rows

__all__ = ["BaseRate", "NoChange"]


@final
class NoChange(Forecaster):
    """Mean 0 for a return; for classes, certainty of the one nearest to zero (shared where two are equally near)."""

    benchmark = True

    def __init__(self) -> None:
        self._task: Task | None = None

    def fit(self, X: Features, y: Labels) -> Self:
        self._task = training_rows(X, y).task
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        # What this one says does not come from the labels, so a class that training lacked may be the answer.
        task = Task(task.names, task.classes, tuple(range(len(task.classes))))
        usable, _ = task.inputs(X)
        answer = np.zeros(1)
        if task.classes:
            distance = np.abs(task.classes)
            nearest = distance == distance.min()
            answer = nearest / nearest.sum()
        return task.forecast(usable, np.tile(answer, (int(usable.sum()), 1)))

    def state(self) -> State:
        return State({"task": fitted(self._task).state()})

    def restore(self, state: State) -> Self:
        self._task = Task.restore(state)
        return self


@final
class BaseRate(Forecaster):
    """The weighted class frequencies of the training rows, or their weighted mean return."""

    benchmark = True

    def __init__(self) -> None:
        self._task: Task | None = None
        self._rates = np.zeros(0)

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        if rows.task.classes:
            sums = np.bincount(rows.y.astype(np.int64), rows.weights, rows.task.outputs)
        else:
            sums = np.array([np.dot(rows.y, rows.weights)])
        self._task, self._rates = rows.task, sums / rows.weights.sum()
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, _ = task.inputs(X)
        return task.forecast(usable, np.tile(self._rates, (int(usable.sum()), 1)))

    def state(self) -> State:
        return State({"task": fitted(self._task).state()}, {"rates": self._rates.copy()})

    def restore(self, state: State) -> Self:
        self._task, self._rates = Task.restore(state), state.arrays["rates"].copy()
        return self
