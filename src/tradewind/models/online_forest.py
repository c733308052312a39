"""Adaptive random forest: Hoeffding trees that each watch their own errors and are exchanged one by one when these change.

Paper: Gomes et al. 2017, https://doi.org/10.1007/s10994-017-5642-8; behaves as River 0.26's `ARFClassifier` on numeric columns.
A tree learns each row as often as a Poisson number says, its leaves see random columns; a first detector (ADWIN) that finds a change in its
errors starts a tree in the background, a second one puts that tree in its place. The forest is never thrown away as a whole.
Costs about ten microseconds a row with ten trees and ten columns, and memory for the statistics of the leaves alone. Fails where the past
would have helped again: a tree that was exchanged is forgotten, and in noise detectors fire by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.models.forest_arrays import Limits, Trees, empty, enlarged
from tradewind.models.hoeffding import DRIFT, ROOM, learn, plant, predict
from tradewind.models.rows import matrix, shares

__all__ = ["Change", "ForestConfig", "OnlineForest"]

LEAVES: Final = ("adaptive", "majority")
_EVENTS: Final = 256


@final
@dataclass(frozen=True)
class ForestConfig:
    """Settings of an adaptive random forest.

    `trees`; `depth`: splits on a path at most, beyond them a leaf answers by majority. `columns`: the fraction of columns that a leaf
    observes, 0 for the square root of their number. `resampling`: the mean of the Poisson numbers, 0 to learn each row once. `grace`:
    weight that a leaf sees between two attempts to split; `delta`: the chance that a split is the wrong one; `tie`: the Hoeffding bound
    under which the best column is taken though the second is as good. `leaf`: `adaptive` answers by naive Bayes where that was right more
    often than the majority. `warning`, `drift`: the chances of a false alarm of ADWIN. All defaults but `depth` are River's.
    """

    trees: int = 10
    depth: int = 10
    columns: float = 0.0
    resampling: float = 6.0
    grace: float = 50.0
    delta: float = 0.01
    tie: float = 0.05
    leaf: str = "adaptive"
    warning: float = 0.01
    drift: float = 0.001

    def __post_init__(self) -> None:
        whole(trees=self.trees, depth=self.depth)
        fraction(zero=True, one=True, columns=self.columns)
        number(grace=self.grace, tie=self.tie)
        number(positive=False, resampling=self.resampling)
        fraction(delta=self.delta, warning=self.warning, drift=self.drift)
        require(self.leaf in LEAVES, f"leaf is {self.leaf!r}; it is one of {', '.join(LEAVES)}")


@final
@dataclass(frozen=True)
class Change:
    """What a detector found at the `row`-th row learned, counted from 0: tree `tree`, right in the fraction `accuracy` of those that it was
    asked since it took its place, was warned of or, where `drift`, exchanged. `known`: when the row's label could be read (UTC ns), where
    that was told."""

    row: int
    tree: int
    drift: bool
    accuracy: float
    known: int | None = None


@final
class OnlineForest:
    """A classifier of rows (column,) into `classes` classes 0, 1, ..., learning one after another.

    The same seed and rows give the same forest, however the rows are cut into calls.
    """

    def __init__(self, columns: int, classes: int, config: ForestConfig | None = None, seed: int = 0) -> None:
        whole(columns=columns)
        whole(2, classes=classes)
        self.columns, self.classes, self.config = columns, classes, config or ForestConfig()
        chosen = round(math.sqrt(columns)) if self.config.columns == 0.0 else int(self.config.columns * columns)
        self._trees = empty(self.config.trees, classes, max(1, chosen), derive(seed, "forest"), 2 * ROOM * self.config.trees)
        self._events = np.zeros((0, 4))
        plant(self._trees, self._limits)

    @property
    def _limits(self) -> Limits:
        own = self.config
        leaves = own.leaf == "adaptive"
        settings = float(own.grace), float(own.delta), float(own.tie), float(own.resampling), leaves, float(own.warning), float(own.drift)
        return Limits(self.columns, own.depth, *settings)

    @property
    def rows(self) -> int:
        """How many rows it has learned."""
        return int(self._trees.heads[2])

    @property
    def nodes(self) -> int:
        """How many nodes its trees have, those in the background too."""
        return len(self._trees.links) - int(self._trees.heads[0])

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every warning and drift so far, in order."""
        return tuple(Change(int(row), int(tree), bool(kind == DRIFT), float(accuracy)) for row, tree, kind, accuracy in self._events)

    @property
    def changed(self) -> NDArray[np.int64]:
        """(n,) the rows of `changes`."""
        return self._events[:, 0].astype(np.int64)

    @property
    def accuracy(self) -> Array:
        """(tree,) the fraction of rows that each was right in before learning them, since it took its place; NaN for those just begun."""
        right, asked = self._trees.record.T
        return np.asarray(np.divide(right, asked, out=np.full(len(right), np.nan), where=asked > 0))

    def learn(self, X: Array, y: NDArray[np.int64], weights: Array | None = None) -> Self:
        """Learn the rows `X` (n, column) of classes `y` (n,), in order, each `weights` (n,) times as much as a row of weight 1."""
        self._run(X, y, weights, np.zeros((0, self.classes)))
        return self

    def prequential(self, X: Array, y: NDArray[np.int64], weights: Array | None = None) -> Array:
        """The probabilities (n, class) of each row before it is learned, as `predict` would give them: test, then train."""
        answers = np.zeros((len(X), self.classes))
        self._run(X, y, weights, answers)
        return answers

    def predict(self, X: Array) -> Array:
        """Probabilities (n, class) of the rows `X` (n, column); NaN before anything was learned."""
        rows = matrix(X, self.columns)
        answers = np.zeros((len(rows), self.classes))
        predict(self._trees, self._limits, rows, answers)
        return answers

    def state(self) -> State:
        """All that it has learned, as data."""
        arrays = {name: array.copy() for name, array in self._trees._asdict().items()}
        return State({"columns": self.columns, "classes": self.classes}, {**arrays, "changes": self._events.copy()})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError when it is of another number of columns, classes or trees."""
        own = self._trees
        if not {*Trees._fields, "changes"} <= state.arrays.keys():
            raise StateError("this state holds no adaptive forest; restore it into the model that saved it")
        kept = Trees(**{name: state.arrays[name].copy() for name in Trees._fields})
        shapes = [(trees.counts.shape[1], trees.chosen.shape[1], trees.roots.shape) for trees in (kept, own)]
        if state.values.get("columns") != self.columns or shapes[0] != shapes[1]:
            raise StateError("this state is of a forest with other columns, classes or trees; restore it into one of the same settings")
        self._trees, self._events = kept, state.arrays["changes"].copy()
        return self

    def _run(self, X: Array, y: NDArray[np.int64], weights: Array | None, answers: Array) -> None:
        rows, limits = matrix(X, self.columns), self._limits
        codes = _codes(y, len(rows), self.classes)
        taken = shares(weights, len(rows))
        events, done = np.zeros((max(_EVENTS, ROOM * self.config.trees), 4)), 0
        while True:
            done = learn(self._trees, limits, rows, codes, taken, done, answers, events)
            found = int(self._trees.heads[1])
            self._events = np.concatenate([self._events, events[:found]])
            self._trees.heads[1] = 0
            if done == len(rows):
                return
            if self._trees.heads[0] < ROOM * self.config.trees:
                self._trees = enlarged(self._trees)


def _codes(y: NDArray[np.int64], rows: int, classes: int) -> NDArray[np.int64]:
    codes = np.ascontiguousarray(y, dtype=np.int64)
    if codes.shape != (rows,) or (rows and not 0 <= codes.min() <= codes.max() < classes):
        raise DataError(f"y has shape {codes.shape}; it holds one of the classes 0 to {classes - 1} for each of {rows} rows")
    return codes
