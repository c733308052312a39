"""Forecasters walked forward: fit on the past, answer the part that follows, move on; what is joined is out of sample, every row of it.

Source: rolling-origin evaluation, Tashman (2000), https://doi.org/10.1016/S0169-2070(00)00065-0; purge after Lopez de Prado (2018),
chapter 7. Costs one fit for each `refit_every` folds, and one pass over the features. Fails to say anything about rows that the settings
were chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind import labels
from tradewind.core.clock import SystemClock
from tradewind.core.errors import DataError
from tradewind.core.files import load_state, save_state
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.types import Features, Forecast, Labels, State
from tradewind.evaluate.identity import digest, package_digest
from tradewind.evaluate.splits import Fold, WalkForward
from tradewind.features import compute
from tradewind.models.base import Forecaster
from tradewind.models.registry import forecaster as forecaster_by_name

__all__ = ["Forecasts", "Question", "draws_numbers", "forecast_forward"]

Progress = Callable[[int, int], None]
_PARTS: Final = ("mean", "probabilities", "quantiles", "ahead")
_SCALES: Final = ("classes", "levels", "horizons")


@final
@dataclass(frozen=True)
class Question:
    """What is asked of whom: a forecaster's name and settings, the features it sees, the label it learns, and the folds between fits."""

    forecaster: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    features: str | tuple[str, ...] = "relative"
    label: str = "triple-barrier"
    label_settings: Mapping[str, Any] = field(default_factory=dict)
    refit_every: int = 1

    def __post_init__(self) -> None:
        whole(refit_every=self.refit_every)

    def new(self, seed: int) -> Any:
        """An untrained forecaster that draws its numbers from `seed`. Raises SettingsError for what cannot be."""
        made = forecaster_by_name(self.forecaster, **self.settings)
        if hasattr(made, "reseed"):
            made.reseed(seed)
        return made

    def answers(self, market: Market) -> Labels:
        """The label's answers on the bars of `market`, those at its end still open."""
        return labels.label(self.label, **self.label_settings)(market)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        told = asdict(self)
        return {**told, "features": list(self.features) if isinstance(self.features, tuple) else self.features}


@final
@dataclass(frozen=True, eq=False)
class Forecasts:
    """A forecaster's answers over all test parts of a walk-forward, row by row of `market`, the bars of the test parts.

    `seconds`: what the fits took, when they were made. `fits`: how many there were.
    """

    question: Question
    seed: int
    market: Market
    forecast: Forecast
    seconds: float
    fits: int

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """(time, symbol) True where there is a forecast."""
        return np.isfinite(self.forecast.score())


def draws_numbers(model: Any) -> bool:
    """Whether another seed can make another forecaster of it: it has a `reseed` of its own."""
    own = getattr(type(model), "reseed", None)
    return own is not None and own is not Forecaster.reseed


def forecast_forward(
    question: Question,
    market: Market,
    plan: WalkForward,
    *,
    seed: int = 0,
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> Forecasts:
    """Ask `question` in every fold of `plan`, as a strategy of the same parts would be: nothing is learned before it is known.

    A fold is fitted on the features of its training part and on those answers that are known at its end, which is the purge. Its test
    part is answered with the rows before it that the forecaster asks for (`window`, and `memory` where it goes on learning with `follow`).
    `resume`: a folder that keeps finished folds; the same call reads them and gives the same forecasts. `progress(done, folds)` is called
    as folds finish. Raises SettingsError for settings that cannot be and DataError where a training part teaches nothing.
    """
    walk = _Walk(question, market, int(seed), None if resume is None else Path(resume), list(plan.split(len(market))))
    parts = walk.through(progress)
    tested = market[walk.folds[0].test.start :]
    return Forecasts(question, int(seed), tested, _joined(parts), walk.seconds, walk.fits)


@final
class _Walk:
    """The walk itself, with the fitted forecaster that lives from fold to fold."""

    def __init__(self, question: Question, market: Market, seed: int, folder: Path | None, folds: list[Fold]) -> None:
        self._question, self._market, self._seed, self._folder, self.folds = question, market, seed, folder, folds
        plan = [[fold.train.start, fold.train.stop, fold.test.stop] for fold in folds]
        told = {"question": question.to_dict(), "seed": seed, "folds": plan, "market": market.digest, "package": package_digest()}
        self._key = digest(told)
        self._fitted: Any = None
        self.seconds, self.fits = 0.0, -(-len(folds) // question.refit_every)

    @cached_property
    def _features(self) -> Features:
        # Row t sees bars up to t alone, so one pass over all bars serves every fold.
        return compute(self._market, self._question.features)

    @cached_property
    def _labels(self) -> Labels:
        return self._question.answers(self._market)

    def through(self, progress: Progress | None) -> list[Forecast]:
        kept = self._finished()
        parts = []
        for k, fold in enumerate(self.folds):
            if k < len(kept):
                part, seconds = kept[k]
            else:
                seconds = self._fit(k, fold)
                part = self._ask(fold)
                if self._folder is not None:
                    _save(self._folder / f"{k:04d}", self._key, part, seconds)
            self.seconds += seconds
            parts.append(part)
            if progress is not None:
                progress(k + 1, len(self.folds))
        return parts

    def _finished(self) -> list[tuple[Forecast, float]]:
        kept: list[tuple[Forecast, float]] = []
        for k, fold in enumerate(self.folds if self._folder is not None else ()):
            assert self._folder is not None
            part = _load(self._folder / f"{k:04d}", self._key, fold.test.stop - fold.test.start)
            if part is None:
                break
            kept.append(part)
        # Folds that share a fit are taken up together, since the fit itself is not on disk.
        return kept if len(kept) == len(self.folds) else kept[: len(kept) - len(kept) % self._question.refit_every]

    def _fit(self, k: int, fold: Fold) -> float:
        if k % self._question.refit_every:
            return 0.0
        clock = SystemClock()
        began = clock.monotonic()
        # Labels of the training part alone: weights that count overlaps must not know of later ones.
        learned = self._market[fold.train]
        y = self._question.answers(learned).known_by(int(learned.known[-1]))
        self._fitted = self._question.new(derive(self._seed, "fold", k)).fit(self._features[fold.train], y)
        return clock.monotonic() - began

    def _ask(self, fold: Fold) -> Forecast:
        model, start, stop = self._fitted, fold.test.start, fold.test.stop
        follows = hasattr(model, "follow")
        begin = max(0, start + 1 - int(getattr(model, "window", 1)) - (int(getattr(model, "memory", 0)) if follows else 0))
        X = self._features[begin:stop]
        forecast = model.follow(X, self._labels[begin:stop].known_by(int(X.known[-1]))) if follows else model.predict(X)
        return _cut(forecast, start - begin)


def _cut(forecast: Forecast, first: int) -> Forecast:
    given: dict[str, Any] = {name: getattr(forecast, name) for name in _PARTS}
    cut: dict[str, Any] = {name: None if array is None else array[first:] for name, array in given.items()}
    return replace(forecast, **cut)


def _joined(parts: list[Forecast]) -> Forecast:
    """One forecast of all; what only some of the parts give is left out."""
    columns: dict[str, Any] = dict.fromkeys(_PARTS)
    for name in _PARTS:
        arrays = [getattr(part, name) for part in parts]
        if all(array is not None for array in arrays):
            columns[name] = np.concatenate(arrays)
    return replace(parts[0], **columns)


def _save(place: Path, key: str, part: Forecast, seconds: float) -> None:
    scales = {name: list(getattr(part, name)) for name in _SCALES}
    arrays = {name: getattr(part, name) for name in _PARTS if getattr(part, name) is not None}
    save_state(place, State({"key": key, "seconds": seconds, **scales}, arrays))


def _load(place: Path, key: str, rows: int) -> tuple[Forecast, float] | None:
    """A finished fold and the seconds of its fit; None when it is missing, cut short, damaged, or of something else."""
    try:
        state = load_state(place)
    except DataError:
        return None
    if state.values.get("key") != key or not state.arrays or any(len(array) != rows for array in state.arrays.values()):
        return None
    given: dict[str, Any] = {name: state.arrays.get(name) for name in _PARTS}
    given |= {name: tuple(state.values[name]) for name in _SCALES}
    return Forecast(**given), float(state.values["seconds"])
