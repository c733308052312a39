"""Gradient-boosted oblivious trees by CatBoost: every level of a tree asks one question of all rows, which keeps trees smooth.

Paper: Prokhorenkova et al. 2018, https://arxiv.org/abs/1706.09516. Costs O(trees * rows * columns * depth), a few times what the other
two take. Fails when inputs leave the range of training, and where an answer hangs on a small corner of the inputs: no leaf is only there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from tradewind.core.errors import MissingExtra
from tradewind.core.files import through_file
from tradewind.core.limits import number
from tradewind.core.settings import require
from tradewind.core.spaces import Real, Space, Whole
from tradewind.core.types import Array
from tradewind.models.rows import Rows, Task
from tradewind.models.trees import BOOSTING_SPACE, BoostedTrees, narrow

__all__ = ["SPACES", "CatBoost"]

SPACES: Final[dict[str, Space]] = {
    "catboost": {**BOOSTING_SPACE, "depth": Whole(3, 8), "penalty": Real(0.3, 100.0, log=True)},
}


@final
@dataclass(kw_only=True, eq=False)
class CatBoost(BoostedTrees):
    """Boosted oblivious trees of 2**depth leaves, with `penalty` on the squared answers of the leaves; see `BoostedTrees`.

    Needs the extra catboost. Raises MissingExtra at `fit` where it is absent.
    """

    depth: int = 6
    penalty: float = 3.0

    def _limit(self) -> None:
        require(self.depth <= 16, f"depth is {self.depth}; CatBoost grows trees of at most 16 levels")
        number(positive=False, penalty=self.penalty)

    def _grow(self, learned: Rows, stopped: Rows, seed: int) -> bytes:
        library = _library()
        model = library.CatBoost(
            {
                **_objective(learned.task),
                "iterations": self.trees,
                "depth": self.depth,
                "l2_leaf_reg": self.penalty,
                "learning_rate": self.learning_rate,
                "bootstrap_type": "Bernoulli" if self.subsample < 1 else "No",
                **({"subsample": self.subsample} if self.subsample < 1 else {}),
                "rsm": self.column_sample,
                "boosting_type": "Plain",
                "random_seed": seed & 0x7FFFFFFF,
                "thread_count": 1,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        tail = _pool(stopped) if len(stopped) else None
        model.fit(_pool(learned), eval_set=tail, early_stopping_rounds=self.patience if tail else None, use_best_model=tail is not None)
        # The time of training and a random name would make equal models unequal in their bytes.
        about = model.get_metadata()
        about["train_finish_time"], about["model_guid"] = "", ""
        return through_file(lambda name: model.save_model(name, format="cbm"))

    def _load(self, data: bytes) -> Any:
        return _library().CatBoost().load_model(blob=data)

    def _answer(self, inputs: Array) -> Array:
        raw = self._booster().predict(narrow(inputs), prediction_type="RawFormulaVal", thread_count=1)
        return np.asarray(raw, dtype=np.float64).reshape(len(inputs), -1)

    def _explain(self, inputs: Array) -> Array:
        pool = _library().Pool(narrow(inputs), thread_count=1)
        parts = self._booster().get_feature_importance(pool, type="ShapValues", thread_count=1)
        return np.asarray(parts, dtype=np.float64).reshape(len(inputs), -1, inputs.shape[1] + 1)

    def _gain(self) -> Array:
        return np.asarray(self._booster().get_feature_importance(type="PredictionValuesChange", thread_count=1), dtype=np.float64)


def _pool(rows: Rows) -> Any:
    return _library().Pool(narrow(rows.X), rows.y, weight=rows.weights, thread_count=1)


def _objective(task: Task) -> dict[str, Any]:
    if not task.classes:
        return {"loss_function": "RMSE"}
    return {"loss_function": "Logloss"} if task.outputs == 2 else {"loss_function": "MultiClass"}


def _library() -> Any:
    try:
        import catboost
    except ImportError as error:
        raise MissingExtra("catboost", "catboost") from error
    return catboost
