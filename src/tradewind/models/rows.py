"""From (time, symbol, feature) panels to the rows that models learn from, and from their answers back to panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core import limits
from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.types import Array, Features, Forecast, Labels, State, Times

__all__ = ["Rows", "Task", "finite_rows", "fitted", "matrix", "shares", "softmax", "training_rows"]


def finite_rows(X: Features) -> NDArray[np.bool_]:
    """(time, symbol): where every input is a finite number."""
    return np.asarray(np.isfinite(X.values).all(axis=2))


@final
@dataclass(frozen=True)
class Task:
    """What a fitted model was asked: the input columns, all classes of the label (none for a return), and which of them it has seen.

    `present` holds positions in `classes`; a class that training never showed gets probability zero.
    """

    names: tuple[str, ...]
    classes: tuple[float, ...] = ()
    present: tuple[int, ...] = ()

    @property
    def outputs(self) -> int:
        """Columns of a model's answer: one a class that was seen, or one mean."""
        return max(1, len(self.present))

    @property
    def settled(self) -> bool:
        """Whether training showed a single class, so that there is nothing to tell apart."""
        return len(self.present) == 1

    def inputs(self, X: Features) -> tuple[NDArray[np.bool_], Array]:
        """The (time, symbol) mask of rows that can be answered, and those rows (n, feature) in order of time, then symbol.

        Raises DataError when the columns are not those of the fit.
        """
        self.check(X)
        usable = finite_rows(X)
        return usable, np.ascontiguousarray(X.values[usable])

    def check(self, X: Features) -> None:
        """Raise DataError unless `X` has the columns of the fit, in their order."""
        if X.names != self.names:
            lacking = [name for name in self.names if name not in X.names]
            what = f"lacks {lacking}" if lacking else f"has {list(X.names)}"
            raise DataError(f"the model was fitted on the columns {list(self.names)}, but X {what}; pass X.select(names) with those names")

    def at(self, X: Features, rows: NDArray[np.int64]) -> Array:
        """The inputs (n, feature) at the (time, symbol) positions `rows` (n, 2). Raises DataError for one that cannot be answered."""
        self.check(X)
        places = np.asarray(rows)
        if places.ndim != 2 or places.shape[1:] != (2,) or not np.issubdtype(places.dtype, np.integer):
            raise DataError(f"rows have shape {places.shape} of {places.dtype}; give whole (time, symbol) positions, shape (n, 2)")
        for place in places[((places < 0) | (places >= X.values.shape[:2])).any(axis=1)]:
            raise DataError(f"X has (time, symbol) = {X.values.shape[:2]}, and no row {tuple(place.tolist())}")
        inputs = np.ascontiguousarray(X.values[places[:, 0], places[:, 1]])
        for row, column in np.argwhere(~np.isfinite(inputs)):
            time, symbol = places[row]
            raise DataError(f"row {time} of {X.symbols[symbol]} has no {X.names[column]}; choose rows with all of their inputs")
        return inputs

    def forecast(self, usable: NDArray[np.bool_], answers: Array) -> Forecast:
        """Answers (n, outputs) of the `usable` rows as a forecast of all rows, NaN elsewhere."""
        if not self.classes:
            mean = np.full(usable.shape, np.nan)
            mean[usable] = answers[:, 0]
            return Forecast(mean=mean)
        spread = np.zeros((len(answers), len(self.classes)))
        spread[:, list(self.present)] = answers
        probabilities = np.full((*usable.shape, len(self.classes)), np.nan)
        probabilities[usable] = spread
        return Forecast(probabilities=probabilities, classes=self.classes)

    def settle(self, usable: NDArray[np.bool_]) -> Forecast:
        """The forecast of a `settled` task: certainty of the one class that was seen."""
        return self.forecast(usable, np.ones((int(usable.sum()), 1)))

    def state(self) -> dict[str, Any]:
        """As plain data."""
        return {"names": list(self.names), "classes": list(self.classes), "present": list(self.present)}

    @classmethod
    def restore(cls, state: State) -> Self:
        """From the `task` of a forecaster's state. Raises StateError when there is none."""
        task = state.values.get("task")
        if not isinstance(task, Mapping) or not {"names", "classes", "present"} <= task.keys():
            raise StateError("this state holds no fitted forecaster; save the state after fit")
        return cls(tuple(task["names"]), tuple(task["classes"]), tuple(task["present"]))


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """The n rows that can be learned from, in order of time, then symbol.

    `X` (n, feature); `y` (n,) a return, or the class as a position in `task.present`; `weights` (n,) positive; `asked` and `known` (n,)
    UTC ns: when the inputs and when the answer could be read; `time` and `symbol` (n,): where the row stands in the panel.
    """

    task: Task
    X: Array
    y: Array
    weights: Array
    asked: Times
    known: Times
    time: NDArray[np.int64]
    symbol: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: NDArray[Any]) -> Rows:
        """The rows where the mask `which` (n,) holds."""
        columns = ("X", "y", "weights", "asked", "known", "time", "symbol")
        return replace(self, **{name: getattr(self, name)[which] for name in columns})

    def panel(self, X: Features) -> Features:
        """`X` with every row but these blanked: what a scaler may be fitted on."""
        values = np.full(X.values.shape, np.nan)
        values[self.time, self.symbol] = self.X
        return Features(X.names, values, X.warmup, X.open_time, X.known, X.symbols)

    def facing(self, task: Task) -> Rows:
        """These rows as another task counts its classes; rows of a class that it has not seen are left out."""
        if not task.classes or task.present == self.task.present:
            return replace(self, task=task)
        code = np.asarray(self.task.present)[self.y.astype(np.int64)]
        rows = self.take(np.isin(code, task.present))
        y = np.searchsorted(task.present, code[np.isin(code, task.present)])
        return replace(rows, task=task, y=y.astype(np.float64))

    def tail(self, fraction: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks (n,) of an earlier part to learn from and the last `fraction` of the rows to stop on.

        Rows of the earlier part whose answer was not known before the tail begins are in neither: that is the purge. When either
        part would be empty the tail is, and everything is for learning.
        """
        limits.fraction(zero=True, validation=fraction)
        none = np.zeros(len(self), dtype=np.bool_)
        first = len(self) - int(len(self) * fraction)
        if first >= len(self):
            return ~none, none
        later = self.asked >= self.asked[first]
        earlier = ~later & (self.known < self.asked[first])
        return (earlier, later) if earlier.any() else (~none, none)


def training_rows(X: Features, y: Labels) -> Rows:
    """The rows of `X` with finite inputs, a label and a positive weight.

    Raises DataError when `X` and `y` are not of the same (time, symbol), a label is none of `y.classes`, or no row is left.
    """
    if y.values.shape != X.values.shape[:2]:
        raise DataError(f"X has (time, symbol) = {X.values.shape[:2]}, y has {y.values.shape}; compute both from the same market")
    taken = finite_rows(X) & np.isfinite(y.values) & (y.weights > 0)
    if not taken.any():
        raise DataError(f"none of the {len(X)} rows has finite inputs and a known label; fit on more bars than warm-up and horizon take")
    values = y.values[taken]
    task = Task(X.names)
    if y.classes:
        codes = np.asarray(y.classes, dtype=np.float64)
        position = np.minimum(np.searchsorted(codes, values), len(codes) - 1)
        strange = values[codes[position] != values]
        if len(strange):
            raise DataError(f"label {strange[0]:g} is none of the classes {list(y.classes)}")
        seen = np.unique(position)
        values = np.searchsorted(seen, position).astype(np.float64)
        task = Task(X.names, tuple(float(code) for code in y.classes), tuple(int(p) for p in seen))
    time, symbol = np.nonzero(taken)
    inputs = np.ascontiguousarray(X.values[taken])
    return Rows(task, inputs, values, y.weights[taken], X.known[time], y.known[taken], time, symbol)


def matrix(X: Array, columns: int) -> Array:
    """The rows `X` (n, column) as models of single rows take them. Raises DataError for another shape and for what is not finite."""
    rows = np.ascontiguousarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != columns or not np.isfinite(rows).all():
        raise DataError(f"rows have shape {rows.shape}; they are (n, {columns}) finite numbers")
    return rows


def shares(weights: Array | None, rows: int) -> Array:
    """The weights (n,) of `rows` rows, 1 where there are none. Raises DataError for others than finite numbers, not negative."""
    found = np.ones(rows) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    if found.shape != (rows,) or not (np.isfinite(found) & (found >= 0)).all():
        raise DataError(f"weights have shape {found.shape}; they are finite numbers, not negative, one for each of {rows} rows")
    return found


def fitted(task: Task | None) -> Task:
    """The task of a fitted model. Raises NotFitted when there is none yet."""
    if task is None:
        raise NotFitted("this forecaster has learned nothing yet; call fit(X, y) or restore(state) first")
    return task


def softmax(scores: Array) -> Array:
    """Log-odds (n, class), known up to a number a row, as probabilities that sum to one."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
