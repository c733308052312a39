"""Tuning a forecaster: settings searched on the training part alone, each fitted on its past and scored on what followed.

Source: forward chaining with purged labels, Lopez de Prado (2018), "Advances in Financial Machine Learning", chapter 7; the search
is that of `study`. Costs `folds` fits a trial, on growing parts of the training rows. Fails where few rows make the loss mostly noise,
and where the training part is unlike what follows it.

The loss is proper: the log loss of classes, the pinball loss of quantiles, else the squared error. No row after the training part is
looked at, so what `tradewind.models.pipeline.train` says of the test part is out of sample. No strategy's return is looked at either:
the ledger, which counts Sharpe ratios, has nothing to count here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tradewind.core.errors import DataError, TradewindError
from tradewind.core.files import sha256, write_json
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Features, Forecast, Labels
from tradewind.evaluate.identity import digest
from tradewind.evaluate.tuning.search import flatten, merge, narrow, nest, told
from tradewind.evaluate.tuning.study import Budget, Study, Trial, TrialRecord, available, begin, reasons
from tradewind.evaluate.workplace import claimed
from tradewind.models import registry
from tradewind.models.pipeline import lessons

__all__ = ["TunedForecaster", "forecast_loss", "tune_forecaster"]

_TINY: Final = 1e-15


@final
@dataclass(frozen=True, eq=False)
class TunedForecaster:
    """A study of a forecaster: `settings`, nested, the best ones, with what was fixed; `table`: every trial, the untuned settings first."""

    folder: Path
    model: str
    settings: Mapping[str, Any]
    best: TrialRecord
    table: tuple[TrialRecord, ...]
    importance: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """A few lines for people."""
        untuned = self.table[0].score
        counts = ", ".join(f"{sum(r.outcome == name for r in self.table)} {name}" for name in ("finished", "pruned", "failed"))
        lines = [f"{self.model}: {len(self.table)} trials ({counts}); loss {self.best.score:.6g}, untuned {untuned:.6g}"]
        lines += [f"  {name} = {value}" for name, value in self.best.settings.items()] or [
            "  no trial was better than the untuned settings"
        ]
        failed = reasons(list(self.table))
        return "\n".join([*lines, *([f"failed: {failed}"] if failed else []), *(f"note: {note}" for note in self.notes)])


def tune_forecaster(
    source: str | Path | Sequence[str | Path] | Market,
    model: str,
    out: str | Path,
    *,
    search: Mapping[str, Any] | None = None,
    features: str | Sequence[str] = "price-action",
    label: str = "next-bar",
    label_settings: dict[str, Any] | None = None,
    training: float = 0.8,
    symbol: str | None = None,
    timeframe: str | None = None,
    repair: Sequence[str] = (),
    trials: int = 50,
    timeout: float = 3600.0,
    folds: int = 3,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> TunedForecaster:
    """Search the settings of the forecaster `model` on the first `training` of the rows, keeping the study in the folder `out`.

    The rows are cut into `folds` + 1 parts of equal length; each but the first is forecast by a model of all rows before it, without the
    labels that were not known yet. `search`: as in `tradewind.tune`; the others as `pipeline.train` takes them. The same call
    goes on where it was stopped. Raises what `tune` raises.
    """
    available()
    fraction(training=training)
    whole(folds=folds)
    budget = Budget(trials, timeout)
    flat, fixed = narrow(flatten(registry.space(model)), (search or {}).items())
    registry.forecaster(model, **nest(fixed))
    able = [name for name in registry.forecasters() if registry.space(name)] if not flat else []
    require(bool(flat), f"{model!r} has no setting to search; those that have: {', '.join(able)}")
    columns = features if isinstance(features, str) else tuple(features)
    X, y = lessons(source, columns, label, label_settings or {}, {"symbol": symbol, "timeframe": timeframe, "repair": repair})
    rows = int(training * len(X))
    X, y = X[:rows], y.known_by(int(X.known[max(rows, 1) - 1]))[:rows]
    require(rows > folds, f"{rows} training rows cannot be cut into {folds + 1} parts; bring more bars")
    about = {"model": model, "fixed": fixed, "space": told(flat), "folds": folds, "seed": seed, "data": _fingerprint(X, y)}
    folder = Path(out)
    with claimed(folder):
        notes = begin(folder, about)
        study = Study(folder, flat, seed, maximize=False)
        study.recover()

        def watch(records: list[TrialRecord]) -> None:
            if progress is not None:
                progress(f"tune {model}", min(len(records), trials), trials)

        study.search(_objective(model, fixed, X, y, folds), budget, watch)
        tuned = _found(study, model, fixed, folder, notes, budget)
        write_json(folder / "best.json", {"model": model, "settings": dict(tuned.settings)})
    return tuned


def forecast_loss(forecast: Forecast, y: Labels) -> float:
    """The weighted mean loss of the rows that have both an answer and a label: log loss, pinball loss or squared error; lower is better.

    Raises DataError when no row has both.
    """
    loss = _losses(forecast, y)
    counted = np.isfinite(loss) & (y.weights > 0)
    if not counted.any():
        raise DataError("no row has both a forecast and a known label; the parts are too short for the window and the horizon")
    return float(np.average(loss[counted], weights=y.weights[counted]))


def _losses(forecast: Forecast, y: Labels) -> Array:
    """(time, symbol) the loss of each row, NaN without an answer or a label."""
    if forecast.probabilities is not None:
        codes = np.asarray(forecast.classes)
        place = np.minimum(np.searchsorted(codes, np.nan_to_num(y.values)), len(codes) - 1)
        chance = np.take_along_axis(forecast.probabilities, place[:, :, None], axis=2)[:, :, 0]
        return np.where(np.isfinite(y.values), -np.log(np.maximum(chance, _TINY)), np.nan)
    if forecast.ahead is not None and y.ahead is not None:
        return np.asarray(_pinball(y.ahead, forecast.ahead, forecast.levels).mean(axis=2))
    if forecast.quantiles is not None:
        return _pinball(y.values, forecast.quantiles, forecast.levels)
    return np.asarray((y.values - forecast.score()) ** 2)


def _pinball(came: Array, quantiles: Array, levels: Sequence[float]) -> Array:
    miss = came[..., None] - quantiles
    level = np.asarray(levels)
    return np.asarray(np.maximum(level * miss, (level - 1.0) * miss).mean(axis=-1))


def _objective(model: str, fixed: Mapping[str, Any], X: Features, y: Labels, folds: int) -> Callable[[Trial], float]:
    edges = np.linspace(0, len(X), folds + 2).round().astype(int)

    def objective(trial: Trial) -> float:
        losses: list[float] = []
        for k, (first, last) in enumerate(pairwise(edges[1:])):
            learner = registry.forecaster(model, **merge(nest(fixed), trial.settings))
            learner.fit(X[:first], y.known_by(int(X.known[first - 1]))[:first])
            begin_at = max(0, int(first) + 1 - int(getattr(learner, "window", 1)))
            answer = learner.predict(X[begin_at:last])
            losses.append(forecast_loss(_after(answer, int(first) - begin_at), y[first:last]))
            if k < folds - 1:
                trial.report(k, float(np.mean(losses)))
        return float(np.mean(losses))

    return objective


def _after(forecast: Forecast, rows: int) -> Forecast:
    """The forecast without its first `rows`."""

    def cut(values: Array | None) -> Array | None:
        return None if values is None else values[rows:]

    return Forecast(
        cut(forecast.mean), cut(forecast.probabilities), forecast.classes, cut(forecast.quantiles), forecast.levels, cut(forecast.ahead),
        forecast.horizons,
    )  # fmt: skip


def _found(study: Study, model: str, fixed: Mapping[str, Any], folder: Path, notes: tuple[str, ...], budget: Budget) -> TunedForecaster:
    records, best = study.records(), study.best()
    if best is None:
        why = reasons(records) or f"none finished within {budget.seconds:g} s; the same command goes on, with a longer --timeout"
        raise TradewindError(f"no trial finished: {why}")
    settings = merge(nest(fixed), nest(best.settings))
    return TunedForecaster(folder, model, settings, best, tuple(records), study.importance(), notes)


def _fingerprint(X: Features, y: Labels) -> str:
    parts = {"columns": list(X.names), "symbols": list(X.symbols), "classes": list(y.classes), "horizon": y.horizon}
    arrays = (X.values, X.open_time, y.values, y.known, y.weights, *((y.ahead,) if y.ahead is not None else ()))
    return digest({**parts, "arrays": [sha256(np.ascontiguousarray(array).tobytes()) for array in arrays]})
