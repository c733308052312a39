"""Linear models that learn row after row: stochastic gradient descent on inputs standardised by their running mean and deviation.

Papers: Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586 (the descent); Welford 1962,
https://doi.org/10.1080/00401706.1962.10490022 (the running variance); Toulis and Airoldi 2017, https://doi.org/10.1214/16-AOS1506 (the
implicit step). Two classes are learned as River 0.26's `StandardScaler() | LogisticRegression(SGD(rate))` learns them. Costs three passes
over the columns a row. Fails where the rate does not suit the noise: too high, it follows it; too low, it learns late. An input that once
leaps in scale is read too small for long after.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self, final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import number, whole
from tradewind.core.types import Array, State
from tradewind.models.rows import matrix, shares

__all__ = ["OnlineLinear", "Plane"]


@final
class Plane(NamedTuple):
    """Weighted sums of standardised inputs.

    `seen` (1,): rows. `mean`, `variance` (column,) of the inputs. `slopes` (column, output), `intercepts` (output,).
    """

    seen: Array
    mean: Array
    variance: Array
    slopes: Array
    intercepts: Array


@kernel
def _standardise(plane: Plane, x: Array, scores: Array) -> None:
    """Fill `scores` (column,); an input that never varied, or has varied beyond all bounds, counts as 0."""
    for column in range(len(x)):
        spread = plane.variance[column]
        scores[column] = (x[column] - plane.mean[column]) / math.sqrt(spread) if 0.0 < spread < np.inf else 0.0


@kernel
def _answer(plane: Plane, scores: Array, logistic: bool, out: Array) -> None:
    """Fill `out` (output,) with the sums or, where they are log-odds against a class of its own, the probabilities of the outputs."""
    out[:] = plane.intercepts
    for column in range(len(scores)):
        for output in range(len(out)):
            out[output] += plane.slopes[column, output] * scores[column]
    if logistic:
        top = max(0.0, out.max())
        total = math.exp(-top)
        for output in range(len(out)):
            out[output] = math.exp(out[output] - top)
            total += out[output]
        out /= total


@kernel
def _step(
    plane: Plane, x: Array, target: Array, weight: float, logistic: bool, rates: tuple[float, float], scores: Array, out: Array
) -> None:
    """Learn one row; `rates` are those of slopes and intercepts."""
    plane.seen[0] += 1.0
    for column in range(len(x)):
        move = x[column] - plane.mean[column]
        plane.mean[column] += move / plane.seen[0]
        plane.variance[column] += (move * (x[column] - plane.mean[column]) - plane.variance[column]) / plane.seen[0]
    _standardise(plane, x, scores)
    _answer(plane, scores, logistic, out)
    # A probability is off by at most 1. A sum may be off by anything: the implicit step goes towards where it would have been right,
    # and never beyond.
    size = 1.0 if logistic else 1.0 + weight * (rates[1] + rates[0] * (scores * scores).sum())
    for output in range(len(out)):
        error = (out[output] - target[output]) * weight / size
        plane.intercepts[output] -= rates[1] * error
        for column in range(len(x)):
            plane.slopes[column, output] -= rates[0] * error * scores[column]


@kernel
def _learn(plane: Plane, X: Array, targets: Array, weights: Array, logistic: bool, rates: tuple[float, float], answers: Array) -> None:
    """Learn the rows `X` (n, column) of `targets` (n, output); where `answers` (n, output) has rows, each is answered before."""
    scores, out = np.zeros(X.shape[1]), np.zeros(targets.shape[1])
    for row in range(len(X)):
        if len(answers):
            _standardise(plane, X[row], scores)
            _answer(plane, scores, logistic, answers[row])
        _step(plane, X[row], targets[row], weights[row], logistic, rates, scores, out)


@kernel
def _predict(plane: Plane, X: Array, logistic: bool, answers: Array) -> None:
    scores = np.zeros(X.shape[1])
    for row in range(len(X)):
        _standardise(plane, X[row], scores)
        _answer(plane, scores, logistic, answers[row])


@final
class OnlineLinear:
    """Learns `outputs` numbers a row by least squares or, with `classes`, which of as many classes it is of, by logistic regression.

    `rate` and `intercept_rate`: steps of the descent. Class 0 is the one that the log-odds of the others are counted against. Rows (n,
    column) are learned in order; targets (n, output) are numbers, for classes a 1 for the row's own and 0 elsewhere.
    """

    def __init__(self, columns: int, outputs: int = 1, classes: bool = False, rate: float = 0.01, intercept_rate: float = 0.01) -> None:
        whole(columns=columns)
        whole(2 if classes else 1, outputs=outputs)
        number(rate=rate)
        number(positive=False, intercept_rate=intercept_rate)
        self.columns, self.outputs, self.classes = columns, outputs, classes
        self._rates = float(rate), float(intercept_rate)
        sums = outputs - 1 if classes else outputs
        self._plane = Plane(np.zeros(1), np.zeros(columns), np.zeros(columns), np.zeros((columns, sums)), np.zeros(sums))

    @property
    def rows(self) -> int:
        """How many rows it has learned."""
        return int(self._plane.seen[0])

    def learn(self, X: Array, targets: Array, weights: Array | None = None) -> Self:
        """Learn the rows in order, each `weights` (n,) times as much as a row of weight 1. Raises DataError for other shapes."""
        self._run(X, targets, weights, 0)
        return self

    def prequential(self, X: Array, targets: Array, weights: Array | None = None) -> Array:
        """(n, output): each row's answer before it is learned, as `predict` would give it: test, then train."""
        return self._whole(self._run(X, targets, weights, len(X)))

    def predict(self, X: Array) -> Array:
        """(n, output): numbers, or the probabilities of the classes. Raises DataError for rows of another shape."""
        rows = matrix(X, self.columns)
        answers = np.zeros((len(rows), len(self._plane.intercepts)))
        _predict(self._plane, rows, self.classes, answers)
        return self._whole(answers)

    def state(self) -> State:
        """All that it has learned, as data."""
        return State({}, {name: array.copy() for name, array in self._plane._asdict().items()})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError when it is of another number of columns or outputs."""
        kept = {name: state.arrays.get(name) for name in Plane._fields}
        if any(array is None or array.shape != getattr(self._plane, name).shape for name, array in kept.items()):
            raise StateError(
                "this state is of a linear model with other columns or outputs, or of none; restore it into the model that saved it"
            )
        self._plane = Plane(**{name: array.copy() for name, array in kept.items() if array is not None})
        return self

    def _run(self, X: Array, targets: Array, weights: Array | None, answered: int) -> Array:
        rows, wanted = matrix(X, self.columns), np.ascontiguousarray(targets, dtype=np.float64)
        if wanted.shape != (len(rows), self.outputs):
            raise DataError(f"targets have shape {wanted.shape}, expected (row, output) = {(len(rows), self.outputs)}")
        taken = shares(weights, len(rows))
        answers = np.zeros((answered, len(self._plane.intercepts)))
        # Class 0 has no sum of its own.
        wanted = np.ascontiguousarray(wanted[:, 1:]) if self.classes else wanted
        _learn(self._plane, rows, wanted, taken, self.classes, self._rates, answers)
        return answers

    def _whole(self, answers: Array) -> Array:
        if not self.classes:
            return answers
        return np.column_stack([np.maximum(1.0 - answers.sum(axis=1), 0.0), answers])
