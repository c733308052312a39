"""Gradient-boosted decision trees by LightGBM, stopped early on a purged tail of the training rows.

Paper: Ke et al. 2017, https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree.
Costs O(trees * rows * features) on binned inputs: 3,000 rows and 40 columns take a second or two on one core.
Fails when inputs leave the range of training (trees do not extrapolate), and overfits noise where the tail is too short to stop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.seeds import derive
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.rows import Rows, Task, fitted, training_rows

if TYPE_CHECKING:
    import lightgbm

__all__ = ["LightGBM"]


@final
class LightGBM(Forecaster):
    """Boosted trees: at most `trees` of depth `depth` and `leaves` leaves, each leaf holding at least `leaf_rows` rows.

    `subsample` and `column_sample` are the fractions of rows and columns that each tree sees. The last `validation` of the rows stop
    the training once `patience` trees in a row did not help; 0 turns that off. One thread, deterministic: same seed, same bytes.
    """

    def __init__(
        self,
        trees: int = 1000,
        depth: int = 8,
        leaves: int = 63,
        leaf_rows: int = 20,
        learning_rate: float = 0.01,
        subsample: float = 0.8,
        column_sample: float = 0.8,
        patience: int = 50,
        validation: float = 0.15,
        seed: int = 0,
    ) -> None:
        whole(trees=trees, depth=depth, leaf_rows=leaf_rows, patience=patience)
        whole(2, leaves=leaves)
        number(learning_rate=learning_rate)
        fraction(one=True, subsample=subsample, column_sample=column_sample)
        fraction(zero=True, validation=validation)
        self.trees, self.patience, self.validation, self.seed = trees, patience, validation, seed
        self._parameters = {
            "max_depth": depth,
            "num_leaves": leaves,
            "min_data_in_leaf": leaf_rows,
            "learning_rate": learning_rate,
            "bagging_fraction": subsample,
            "bagging_freq": 1 if subsample < 1 else 0,
            "feature_fraction": column_sample,
        }
        self._task: Task | None = None
        self._text = ""
        self._booster: lightgbm.Booster | None = None

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        rows = training_rows(X, y)
        self._task, self._text, self._booster = rows.task, "", None
        if not rows.task.settled:
            self._text = self._grow(rows)
        return self

    def predict(self, X: Features) -> Forecast:
        task = fitted(self._task)
        usable, inputs = task.inputs(X)
        if task.settled:
            return task.settle(usable)
        if not len(inputs):
            return task.forecast(usable, np.zeros((0, task.outputs)))
        return task.forecast(usable, self._answer(task, inputs))

    def state(self) -> State:
        return State({"task": fitted(self._task).state(), "model": self._text})

    def restore(self, state: State) -> Self:
        task, text = Task.restore(state), state.values.get("model")
        if not isinstance(text, str):
            raise StateError("this state holds no LightGBM model text; restore it into the forecaster that saved it")
        self._task, self._text, self._booster = task, text, None
        return self

    def _grow(self, rows: Rows) -> str:
        import lightgbm

        learned, stopped = rows.tail(self.validation)
        parameters = {**self._parameters, **_objective(rows.task), **_quiet(derive(self.seed, "lightgbm"))}
        if learned.sum() < 2 * self._parameters["min_data_in_leaf"]:
            # Too few rows to split: every tree is one leaf, and LightGBM fails on the empty bag that a fraction of a row is.
            parameters["bagging_freq"] = 0
        training = lightgbm.Dataset(rows.X[learned], rows.y[learned], weight=rows.weights[learned], params=parameters)
        checks: list[lightgbm.Dataset] = []
        callbacks: list[Any] = []
        if stopped.any():
            checks = [training.create_valid(rows.X[stopped], rows.y[stopped], weight=rows.weights[stopped])]
            callbacks = [lightgbm.early_stopping(self.patience, verbose=False)]
        booster = lightgbm.train(parameters, training, self.trees, valid_sets=checks, callbacks=callbacks)
        return str(booster.model_to_string(num_iteration=booster.best_iteration or -1))

    def _answer(self, task: Task, inputs: Array) -> Array:
        # The text is the model: predicting from it always makes a restored forecaster equal to the bit.
        if self._booster is None:
            import lightgbm

            self._booster = lightgbm.Booster(model_str=self._text)
        raw = np.asarray(self._booster.predict(inputs, num_threads=1), dtype=np.float64)
        if task.outputs == 2 and raw.ndim == 1:
            return np.stack([1.0 - raw, raw], axis=1)
        return raw.reshape(len(inputs), task.outputs)


def _objective(task: Task) -> dict[str, Any]:
    if not task.classes:
        return {"objective": "regression"}
    return {"objective": "binary"} if task.outputs == 2 else {"objective": "multiclass", "num_class": task.outputs}


def _quiet(seed: int) -> dict[str, Any]:
    return {"seed": seed & 0x7FFFFFFF, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}
