"""Gradient-boosted decision trees by LightGBM, stopped early on a purged tail of the training rows.

Paper: Ke et al. 2017, https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree.
Costs O(trees * rows * features) on binned inputs: 3,000 rows and 40 columns take a second or two on one core.
Fails when inputs leave the range of training (trees do not extrapolate), and overfits noise where the tail is too short to stop it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from tradewind.core.limits import whole
from tradewind.core.spaces import Space, Whole
from tradewind.core.types import Array
from tradewind.models.rows import Rows, Task
from tradewind.models.trees import BOOSTING_SPACE, BoostedTrees

__all__ = ["SPACES", "LightGBM"]

SPACES: Final[dict[str, Space]] = {
    "lightgbm": {**BOOSTING_SPACE, "leaves": Whole(7, 127, log=True), "leaf_rows": Whole(5, 200, log=True)},
}


@final
@dataclass(kw_only=True, eq=False)
class LightGBM(BoostedTrees):
    """Boosted trees that grow where the loss falls most, up to `leaves` leaves of at least `leaf_rows` rows; see `BoostedTrees`."""

    leaves: int = 63
    leaf_rows: int = 20

    def _limit(self) -> None:
        whole(2, leaves=self.leaves)
        whole(leaf_rows=self.leaf_rows)

    def _grow(self, learned: Rows, stopped: Rows, seed: int) -> bytes:
        import lightgbm

        # Too few rows to split: every tree is one leaf, and LightGBM fails on the empty bag that a fraction of a row is.
        bagged = self.subsample < 1 and len(learned) >= 2 * self.leaf_rows
        parameters = {
            **_objective(learned.task),
            "max_depth": self.depth,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.leaf_rows,
            "min_data_in_bin": min(3, self.leaf_rows),  # a handful of rows has no bin of the usual three
            "learning_rate": self.learning_rate,
            "bagging_fraction": self.subsample,
            "bagging_freq": int(bagged),
            "feature_fraction": self.column_sample,
            "seed": seed & 0x7FFFFFFF,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        training = lightgbm.Dataset(learned.X, learned.y, weight=learned.weights, params=parameters)
        checks: list[lightgbm.Dataset] = []
        callbacks: list[Any] = []
        if len(stopped):
            checks = [training.create_valid(stopped.X, stopped.y, weight=stopped.weights)]
            callbacks = [lightgbm.early_stopping(self.patience, verbose=False)]
        booster = lightgbm.train(parameters, training, self.trees, valid_sets=checks, callbacks=callbacks)
        return str(booster.model_to_string(num_iteration=booster.best_iteration or -1)).encode()

    def _load(self, data: bytes) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=data.decode())

    def _answer(self, inputs: Array) -> Array:
        return _columns(self._booster().predict(inputs, raw_score=True, num_threads=1), len(inputs))

    def _explain(self, inputs: Array) -> Array:
        parts = self._booster().predict(inputs, pred_contrib=True, num_threads=1)
        return np.asarray(parts, dtype=np.float64).reshape(len(inputs), -1, inputs.shape[1] + 1)

    def _gain(self) -> Array:
        return np.asarray(self._booster().feature_importance("gain"), dtype=np.float64)


def _columns(raw: Any, rows: int) -> Array:
    return np.asarray(raw, dtype=np.float64).reshape(rows, -1)


def _objective(task: Task) -> dict[str, Any]:
    if not task.classes:
        return {"objective": "regression"}
    return {"objective": "binary"} if task.outputs == 2 else {"objective": "multiclass", "num_class": task.outputs}
