"""What the libraries of gradient-boosted trees share: settings, the purged tail, the state, answers and explanations.

Paper: Friedman 2001, https://doi.org/10.1214/aos/1013203451: each tree follows the gradient of the loss at the sum of those before it.
The cost is that of the library, O(trees * rows * columns). All fail when inputs leave the range of training: trees do not extrapolate.
Early stopping is itself an estimate: with an R^2 of .01 and a tail of 450 rows, LightGBM kept from 1 to 134 trees, by the luck of the tail.
Refitting on all rows with the number found, or finding it on several folds, was measured too: each helped here and hurt there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.seeds import derive
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.rows import Rows, Task, fitted, softmax, training_rows

__all__ = ["BOOSTING_SPACE", "BoostedTrees", "difference", "narrow", "shares"]

BOOSTING_SPACE: Final[Space] = {
    "depth": Whole(3, 10),
    "learning_rate": Real(0.003, 0.1, log=True),
    "subsample": Real(0.5, 1.0),
    "column_sample": Real(0.3, 1.0),
}
"""What may be tuned of each of them. The number of trees is not: early stopping finds it."""


@dataclass(kw_only=True, eq=False)
class BoostedTrees(Forecaster, ABC):
    """Boosted trees of some library: at most `trees` of depth `depth`, each a step of `learning_rate` down the loss.

    `subsample` and `column_sample` are the fractions of rows and columns that each tree sees. The last `validation` of the rows stop
    the training once `patience` trees in a row did not help; rows whose answer was not known before are in neither part, and 0 turns
    it off. One thread, deterministic: same seed, same bytes. The state is the library's own format as bytes, and what predicts is
    always loaded from it, so that a restored forecaster answers the same bits.
    """

    trees: int = 1000
    depth: int = 8
    learning_rate: float = 0.01
    subsample: float = 0.8
    column_sample: float = 0.8
    patience: int = 50
    validation: float = 0.15
    seed: int = 0
    _task: Task | None = field(default=None, init=False, repr=False)
    _base: Array = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    _bytes: bytes = field(default=b"", init=False, repr=False)
    _loaded: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        whole(trees=self.trees, depth=self.depth, patience=self.patience)
        number(learning_rate=self.learning_rate)
        fraction(one=True, subsample=self.subsample, column_sample=self.column_sample)
        fraction(zero=True, validation=self.validation)
        self._limit()

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        learned, stopped = rows.tail(self.validation)
        if rows.task.classes and len(np.unique(rows.y[learned])) < rows.task.outputs:
            # A class that only the tail shows could not be learned; then all rows teach and none stops.
            learned, stopped = learned | True, stopped & False
        taught = rows.take(learned)
        self._task, self._base, self._bytes, self._loaded = rows.task, _base(taught), b"", None
        if not rows.task.settled and np.ptp(taught.X, axis=0).any():
            self._bytes = self._grow(taught, rows.take(stopped), derive(self.seed, type(self).__name__.lower()))
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, inputs = task.inputs(X)
        raw = self._raw(inputs)
        if task.outputs == 2 and raw.shape[1] == 1:
            raw = np.hstack([np.zeros_like(raw), raw])
        return task.forecast(usable, softmax(raw) if task.classes else raw)

    def state(self) -> State:
        model = np.frombuffer(self._bytes, dtype=np.uint8).copy()
        return State({"task": fitted(self._task).state()}, {"model": model, "base": self._base.copy()})

    def restore(self, state: State) -> Self:
        task, model, base = Task.restore(state), state.arrays.get("model"), state.arrays.get("base")
        if model is None or base is None or model.dtype != np.uint8:
            raise StateError(f"this state holds no bytes of a {type(self).__name__} model; restore it into the forecaster that saved it")
        self._task, self._base, self._bytes, self._loaded = task, base.copy(), model.tobytes(), None
        return self

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each input added at the (time, symbol) positions `rows` (n, 2), by the library's own TreeSHAP, in log-odds or a return.

        Log-odds are of the highest class that training showed against the lowest; where it showed one, all is zero. Raises DataError
        for rows without all inputs, NotFitted before `fit`.
        """
        task = fitted(self._task)
        inputs = task.at(X, rows)
        total = difference(self._raw(inputs))
        parts = np.zeros((len(inputs), len(task.names) + 1))
        parts[:, -1] = total
        if self._bytes and len(inputs):
            parts = difference(self._explain(inputs))
        unit = "log-odds" if task.classes else "return"
        return Contributions(parts[:, None, :-1], parts[:, -1], total, inputs[:, None], task.names, unit, "TreeSHAP")

    def importance(self) -> dict[str, float]:
        """Each column's share of what the splits gained, summing to one; all zero without a split. Raises NotFitted before `fit`."""
        task = fitted(self._task)
        return shares(task.names, self._gain() if self._bytes else np.zeros(len(task.names)))

    def _raw(self, inputs: Array) -> Array:
        # Without a tree every row is answered by the base; a library need not be asked about no rows.
        return self._answer(inputs) if self._bytes and len(inputs) else np.tile(self._base, (len(inputs), 1))

    def _booster(self) -> Any:
        if self._loaded is None:
            self._loaded = self._load(self._bytes)
        return self._loaded

    @abstractmethod
    def _limit(self) -> None:
        """Raise SettingsError for settings of the library's own that cannot be."""

    @abstractmethod
    def _grow(self, learned: Rows, stopped: Rows, seed: int) -> bytes:
        """The trees grown on `learned`, stopped by `stopped` unless it is empty, in the library's own format."""

    @abstractmethod
    def _load(self, data: bytes) -> Any:
        """The library's model from the bytes of `_grow`."""

    @abstractmethod
    def _answer(self, inputs: Array) -> Array:
        """(n, output): raw sums of the trees for inputs (n, feature): returns, or log-odds, of which two classes have one."""

    @abstractmethod
    def _explain(self, inputs: Array) -> Array:
        """(n, output, feature + 1): what each input added to the raw sums, and last their base."""

    @abstractmethod
    def _gain(self) -> Array:
        """(feature,): what splits on each column gained."""


def difference(raw: Array) -> Array:
    """The highest class against the lowest, from (n, output, ...) sums; of a single output, that one."""
    return np.asarray(raw[:, -1] - raw[:, 0] if raw.shape[1] > 1 else raw[:, 0])


def narrow(X: Array) -> NDArray[np.float32]:
    """Inputs as the libraries compare them: float32, what overflows as its largest number, which is on the same side of every split."""
    limit = float(np.finfo(np.float32).max)
    return np.clip(X, -limit, limit).astype(np.float32)


def shares(names: tuple[str, ...], size: Array) -> dict[str, float]:
    """Sizes (feature,) as shares that sum to one, by name; all zero where they are."""
    total = float(size.sum())
    return {name: float(part) / total if total > 0 else 0.0 for name, part in zip(names, size, strict=True)}


def _base(rows: Rows) -> Array:
    """(output,): the answer that looks at no input: the logarithms of the class frequencies, or the mean return."""
    if not rows.task.classes:
        return np.array([np.dot(rows.y, rows.weights) / rows.weights.sum()])
    return np.asarray(np.log(np.bincount(rows.y.astype(np.int64), rows.weights, rows.task.outputs) / rows.weights.sum()))
