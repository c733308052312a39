"""What a row of a finished run leant on over all of its test parts: mean contributions, and permutation importance, both out of sample.

Each fold is asked with the model that traded it. Costs a forecast of the test part for each feature and repeat, and a contribution for some
rows of each fold. Fails to say what is true of the market: an input may be leant on a great deal by a model that is no better than chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.limits import whole
from tradewind.core.types import Array, Features, Labels
from tradewind.evaluate.finished import FinishedRun, open_run
from tradewind.evaluate.plan import MADE
from tradewind.evaluate.result import finite
from tradewind.models.contributions import Contributions
from tradewind.models.naive import BaseRate
from tradewind.models.permutation import Importance, permutation_importance, row_losses
from tradewind.strategies.forecasting import Forecasting

__all__ = ["Overview", "overview"]

Progress = Callable[[str, int, int], None]


@final
@dataclass(frozen=True, eq=False)
class Overview:
    """What `row` of a run leant on. `names` (feature,) the inputs, `folds` how many had a model.

    `explained` rows were taken apart into contributions: `size` (lag, feature) is their mean absolute value and `lean` (lag, feature) the
    mean, in `unit`, by `method`, the latest lag last; no rows where the model cannot tell, and `silence` says why. `importance`: by
    permutation; None where it was not asked for. `usual` is the loss of saying, on the same rows, what was usual in each training part: the
    base rates, or the mean. A model whose loss is above that leans on its inputs for nothing.
    """

    run: str
    row: str
    names: tuple[str, ...]
    folds: int
    explained: int
    size: Array
    lean: Array
    unit: str
    method: str
    silence: str
    importance: Importance | None
    usual: float
    notes: tuple[str, ...] = ()

    def ranking(self) -> list[str]:
        """The features, the one with the largest contributions first, or with the largest importance where there are none."""
        sizes = self.size.sum(axis=0) if self.explained else None if self.importance is None else self.importance.mean
        return list(self.names) if sizes is None else [self.names[i] for i in np.argsort(-sizes, kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able data."""
        told: dict[str, Any] = {
            "run": self.run,
            "row": self.row,
            "folds": self.folds,
            "explained": self.explained,
            "notes": list(self.notes),
        }
        told["silence"], told["unit"], told["method"] = self.silence, self.unit, self.method
        if self.explained:
            told["mean_absolute"] = dict(zip(self.names, self.size.sum(axis=0).tolist(), strict=True))
            told["by_lag"] = self.size.tolist()
        if self.importance is not None:
            found, (low, high) = self.importance, self.importance.interval
            told["permutation"] = {
                "loss": found.loss, "usual_loss": self.usual, "unit": found.unit, "rows": found.rows, "block": found.block,
                "features": {
                    name: finite({"increase": found.mean[i], "low": low[i], "high": high[i], "chance": found.chance[i]})
                    for i, name in enumerate(found.names)
                },
            }  # fmt: skip
        return told


def overview(
    folder: str | Path,
    row: str | None = None,
    *,
    repeats: int = 10,
    most: int = 240,
    seed: int = 0,
    data: Sequence[str] = (),
    progress: Progress | None = None,
) -> Overview:
    """What `row` of the run in `folder` leant on over its test parts.

    `repeats`: shuffles of each feature, 0 for none. `most`: rows that are taken apart, evenly spread. `progress(row, done, folds)` is
    called as folds are done. Raises SettingsError for a row that asks no forecaster, DataError and Corrupt as `explain` does, and DataError
    when no fold had learned anything.
    """
    whole(0, repeats=repeats)
    whole(most=most)
    run = open_run(folder, data)
    name = run.row(row)
    asked = None if name in MADE else run.settings.strategy(name)
    if not isinstance(asked, Forecasting):
        raise SettingsError(
            f"the row {name!r} asks no forecaster, so no inputs can be weighed; explain one of its decisions with --at TIME"
        )
    X, y = asked.lesson(run.market)
    each = max(1, most // len(run.folds))
    parts, found, usual, silence = [], [], [], ""
    for fold in range(len(run.folds)):
        model = run.strategy(name, fold)[0].model
        if model is not None:
            shown, answers, first = _part(run, fold, model, X, y)
            pieces, silence = _contributions(model, shown, first, each)
            parts += [] if pieces is None else [pieces]
            if repeats:
                found.append(permutation_importance(model, shown, answers, first=first, repeats=repeats, seed=seed))
                usual.append(_usual_loss(run, asked, fold, model, shown, answers, first))
        if progress is not None:
            progress(name, fold + 1, len(run.folds))
    if not parts and not found and not silence:
        raise DataError(f"{run.folder}: no fold of {name} had learned anything, so there is nothing to weigh")
    names = parts[0].names if parts else X.names
    values = np.concatenate([part.values for part in parts]) if parts else np.zeros((0, 1, len(names)))
    size, lean = (np.abs(values).mean(axis=0), values.mean(axis=0)) if len(values) else (np.zeros(values.shape[1:]),) * 2
    return Overview(
        run.id, name, names, max(len(parts), len(found)), len(values), size, lean, parts[0].unit if parts else "",
        parts[0].method if parts else "", silence if not parts else "", Importance.join(found) if found else None,
        float(np.average(usual, weights=[part.rows for part in found])) if found else math.nan, run.notes,
    )  # fmt: skip


def _part(run: FinishedRun, fold: int, model: Any, X: Features, y: Labels) -> tuple[Features, Labels, int]:
    """The test rows of a fold with the history that answers the first of them, and how many rows of history there are."""
    test = run.folds[fold].test
    begin = max(0, test.start + 1 - int(getattr(model, "window", 1)))
    return X[begin : test.stop], y[begin : test.stop], test.start - begin


def _usual_loss(run: FinishedRun, asked: Forecasting, fold: int, model: Any, X: Features, y: Labels, first: int) -> float:
    """The loss, on the rows that `model` is judged on, of the answer that was usual in the training part of what was fitted."""
    fitted = fold - fold % asked.refit_every
    shown, taught = asked.lesson(asked.shown(run.market[run.folds[fitted].train]))
    naive = BaseRate().fit(shown, taught)
    counted = np.isfinite(row_losses(model.predict(X), y)[0])
    counted[:first] = False
    return float(np.average(row_losses(naive.predict(X), y)[0][counted], weights=y.weights[counted]))


def _contributions(model: Any, X: Features, first: int, most: int) -> tuple[Contributions | None, str]:
    """The contributions to at most `most` answers from row `first` on, evenly spread; None when there are none, and why."""
    ask = getattr(model, "contributions", None)
    if ask is None:
        return None, f"{type(model).__name__} cannot tell what its inputs added"
    answered = np.argwhere(np.isfinite(model.predict(X).score()))
    answered = answered[answered[:, 0] >= first]
    if not len(answered):
        return None, "no row of a test part has an answer"
    rows = answered[np.unique(np.linspace(0, len(answered) - 1, min(most, len(answered))).round().astype(np.int64))]
    try:
        return ask(X, rows), ""
    except (DataError, SettingsError) as error:
        return None, str(error)
