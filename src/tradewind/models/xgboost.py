"""Gradient-boosted decision trees by XGBoost, with the second derivative of the loss, stopped early on a purged tail.

Paper: Chen and Guestrin 2016, https://arxiv.org/abs/1603.02754. Costs O(trees * rows * columns) on histograms of the inputs; inputs are
float32. Fails when inputs leave the range of training, and overfits noise where leaves are small and the tail too short to stop it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from tradewind.core.limits import number, whole
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array
from tradewind.models.rows import Rows
from tradewind.models.trees import BOOSTING_SPACE, BoostedTrees, narrow

__all__ = ["SPACES", "XGBoost"]

SPACES: Final[dict[str, Space]] = {
    "xgboost": {**BOOSTING_SPACE, "leaf_rows": Whole(5, 200, log=True), "penalty": Real(0.1, 100.0, log=True)},
}


@final
@dataclass(kw_only=True, eq=False)
class XGBoost(BoostedTrees):
    """Boosted trees that grow level by level, with `penalty` on the squared answers of the leaves; see `BoostedTrees`.

    `leaf_rows`: XGBoost bounds a leaf's sum of second derivatives, which is set to that of so many average rows before the first tree.
    """

    leaf_rows: int = 20
    penalty: float = 1.0

    def _limit(self) -> None:
        whole(leaf_rows=self.leaf_rows)
        number(positive=False, penalty=self.penalty)

    def _grow(self, learned: Rows, stopped: Rows, seed: int) -> bytes:
        import xgboost

        curvature, objective = _curvature(learned)
        parameters = {
            **objective,
            "max_depth": self.depth,
            "min_child_weight": self.leaf_rows * curvature,
            "lambda": self.penalty,
            "learning_rate": self.learning_rate,
            "subsample": self.subsample,
            "colsample_bytree": self.column_sample,
            "tree_method": "hist",
            "seed": seed & 0x7FFFFFFF,
            "nthread": 1,
            "verbosity": 0,
        }
        stop = (
            {"evals": [(_matrix(stopped.X, stopped.y, stopped.weights), "tail")], "early_stopping_rounds": self.patience}
            if len(stopped)
            else {}
        )
        booster = xgboost.train(parameters, _matrix(learned.X, learned.y, learned.weights), self.trees, verbose_eval=False, **stop)
        if len(stopped):
            booster = booster[: booster.best_iteration + 1]
        return bytes(booster.save_raw("ubj"))

    def _load(self, data: bytes) -> Any:
        import xgboost

        return xgboost.Booster({"nthread": 1}, model_file=bytearray(data))

    def _answer(self, inputs: Array) -> Array:
        raw = self._booster().predict(_matrix(inputs), output_margin=True)
        return np.asarray(raw, dtype=np.float64).reshape(len(inputs), -1)

    def _explain(self, inputs: Array) -> Array:
        parts = self._booster().predict(_matrix(inputs), pred_contribs=True)
        return np.asarray(parts, dtype=np.float64).reshape(len(inputs), -1, inputs.shape[1] + 1)

    def _gain(self) -> Array:
        booster = self._booster()
        gains = booster.get_score(importance_type="total_gain")
        return np.array([gains.get(f"f{column}", 0.0) for column in range(booster.num_features())], dtype=np.float64)


def _curvature(rows: Rows) -> tuple[float, dict[str, Any]]:
    """The mean second derivative of a row's loss at the base rates, averaged over the classes, and the objective that has it."""
    weight = float(rows.weights.mean())
    if not rows.task.classes:
        return weight, {"objective": "reg:squarederror"}
    rate = np.bincount(rows.y.astype(np.int64), rows.weights, rows.task.outputs) / rows.weights.sum()
    spread = weight * float((rate * (1.0 - rate)).mean())
    if rows.task.outputs == 2:
        return spread, {"objective": "binary:logistic"}
    # XGBoost's softmax doubles the diagonal of the second derivative.
    return 2.0 * spread, {"objective": "multi:softprob", "num_class": rows.task.outputs}


def _matrix(inputs: Array, y: Array | None = None, weights: Array | None = None) -> Any:
    import xgboost

    return xgboost.DMatrix(narrow(inputs), y, weight=weights, nthread=1)
