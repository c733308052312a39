"""Random forest: the average of decision trees, each grown on a bootstrap sample and a random choice of columns at every split.

Paper: Breiman 2001, https://doi.org/10.1023/A:1010933404324. Grown by scikit-learn, kept as arrays, walked by our own kernel.
Costs O(trees * rows * log(rows)) to grow for each column that a split may choose from, and trees * depth comparisons a row to ask. Fails
when inputs leave the range of training, and on overlapping labels, whose bootstrap copies make the trees alike (pass uniqueness weights).
"""

from __future__ import annotations

from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.rows import Rows, Task, fitted, training_rows
from tradewind.models.tree_shap import shapley
from tradewind.models.trees import difference, narrow, shares

__all__ = ["SPACES", "RandomForest"]

SPACES: Final[dict[str, Space]] = {
    "random-forest": {"depth": Whole(3, 16), "leaf_rows": Whole(5, 200, log=True), "columns": Real(0.1, 1.0)},
}

_ARRAYS: Final = ("roots", "left", "right", "column", "threshold", "value", "cover", "gain")


@final
class RandomForest(Forecaster):
    """`trees` trees of at most `depth` splits on a path and at least `leaf_rows` rows in a leaf.

    `columns` is the fraction of columns that each split may choose from. 0 is the custom of Breiman's own program: the square root of their
    number for classes, a third of them for returns.
    """

    def __init__(self, trees: int = 200, depth: int = 8, leaf_rows: int = 20, columns: float = 0.0, seed: int = 0) -> None:
        whole(trees=trees, depth=depth, leaf_rows=leaf_rows)
        fraction(zero=True, one=True, columns=columns)
        self.trees, self.depth, self.leaf_rows, self.columns, self.seed = trees, depth, leaf_rows, columns, seed
        self._task: Task | None = None
        self._forest: dict[str, NDArray[Any]] = {}

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        self._task, self._forest = rows.task, self._grow(rows)
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, inputs = task.inputs(X)
        answers, trees = np.zeros((len(inputs), task.outputs)), self._forest
        branches = trees["left"], trees["right"], trees["column"], trees["threshold"]
        _walk(narrow(inputs), trees["roots"], *branches, trees["value"], answers)
        return task.forecast(usable, answers)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each input added at the (time, symbol) positions `rows` (n, 2), by TreeSHAP, in probability or a return.

        The probability is that of the highest class that training showed less that of the lowest; where it showed one, all is zero.
        Raises DataError for rows without all inputs, NotFitted before `fit`.
        """
        task = fitted(self._task)
        inputs, trees = task.at(X, rows), self._forest
        value = difference(trees["value"]) if task.outputs > 1 or not task.classes else np.zeros(len(trees["value"]))
        near = narrow(inputs)
        added = shapley(near, trees, trees["threshold"], value, trees["cover"])
        total = np.zeros((len(inputs), 1))
        branches = trees["left"], trees["right"], trees["column"], trees["threshold"]
        _walk(near, trees["roots"], *branches, value[:, None], total)
        base = np.full(len(inputs), value[trees["roots"]].mean())
        unit = "probability" if task.classes else "return"
        return Contributions(added[:, None], base, total[:, 0], inputs[:, None], task.names, unit, "TreeSHAP")

    def importance(self) -> dict[str, float]:
        """Each column's share of the impurity that its splits took away, summing to one; all zero where nothing was split."""
        return shares(fitted(self._task).names, self._forest["gain"])

    def state(self) -> State:
        task = fitted(self._task)
        return State({"task": task.state()}, {name: array.copy() for name, array in self._forest.items()})

    def restore(self, state: State) -> Self:
        task, lacking = Task.restore(state), set(_ARRAYS) - state.arrays.keys()
        if lacking:
            raise StateError(f"this state lacks the trees' {sorted(lacking)}; restore it into the forecaster that saved it")
        self._task, self._forest = task, {name: state.arrays[name].copy() for name in _ARRAYS}
        return self

    def _grow(self, rows: Rows) -> dict[str, NDArray[Any]]:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        grower = RandomForestClassifier if rows.task.classes else RandomForestRegressor
        model = grower(
            n_estimators=self.trees,
            max_depth=self.depth,
            min_samples_leaf=self.leaf_rows,
            max_features=self.columns or ("sqrt" if rows.task.classes else 1.0 / 3.0),
            random_state=derive(self.seed, "random-forest"),
            n_jobs=1,
        )
        model.fit(narrow(rows.X), rows.y, sample_weight=rows.weights)
        return {**_packed([estimator.tree_ for estimator in model.estimators_]), "gain": np.asarray(model.feature_importances_)}


def _packed(trees: list[Any]) -> dict[str, NDArray[Any]]:
    """All nodes in one array each; `left` and `right` are absolute, a leaf is its own child, `roots` says where each tree begins."""
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])]).astype(np.int64)
    own = [root + np.arange(tree.node_count) for root, tree in zip(roots, trees, strict=True)]

    def children(name: str) -> NDArray[np.int64]:
        sides = [getattr(tree, name) for tree in trees]
        return np.concatenate([np.where(side < 0, me, side + me[0]) for side, me in zip(sides, own, strict=True)]).astype(np.int64)

    return {
        "roots": roots,
        "left": children("children_left"),
        "right": children("children_right"),
        "column": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.int64),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "value": np.concatenate([tree.value[:, 0, :] for tree in trees]),
        "cover": np.concatenate([tree.weighted_n_node_samples for tree in trees]),
    }


@kernel
def _walk(
    inputs: NDArray[np.float32],
    roots: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    column: NDArray[np.int64],
    threshold: Array,
    value: Array,
    out: Array,
) -> None:
    for root in roots:
        for row in range(len(inputs)):
            node = root
            while left[node] != node:
                node = left[node] if inputs[row, column[node]] <= threshold[node] else right[node]
            for k in range(value.shape[1]):
                out[row, k] += value[node, k]
    out /= len(roots)
