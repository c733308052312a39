"""`train`: from a file of bars to a saved model, with honest parts: learn on the first, stop on the second, judge on the third.

Source: the training guide that asked for the PriceActionTransformer (14 inputs, next-bar direction, 80/20 in order of time). Its arithmetic
is kept: 7,261 rows are 5,808 and 1,453 rows, 5,744 and 1,389 sequences of 64. Ours is that the later part is halved, so that a test part
remains that early stopping never saw, and that no window reaches from one part into the next: a part's first answer comes a whole
window after the part before has ended, which is the embargo; `embargo` adds rows to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tradewind import labels
from tradewind.core.clock import SystemClock
from tradewind.core.errors import DataError, StateError
from tradewind.core.files import load_state, save_state, write_json
from tradewind.core.limits import fraction, whole
from tradewind.core.market import Market
from tradewind.core.protocols import Forecaster
from tradewind.core.settings import require
from tradewind.core.types import Features, Forecast, Labels, State
from tradewind.features import compute, names
from tradewind.models.prepared import read_prepared
from tradewind.models.registry import forecaster
from tradewind.models.rows import finite_rows
from tradewind.nets.training import Epoch, Training
from tradewind.stats.scores import classification, information_coefficient, mae

__all__ = ["Staged", "TrainingReport", "lessons", "load", "train"]

PARTS: Final[tuple[str, ...]] = ("train", "validation", "test")


@runtime_checkable
class Staged(Protocol):
    """A forecaster that learns in epochs and stops on a later part that the caller chooses, as `Neural` does."""

    training: Training | None
    notes: tuple[str, ...]
    progress: Callable[[Epoch], None] | None

    def fit_parts(self, X: Features, y: Labels, later: Features, answers: Labels) -> Self: ...

    def answerable(self, X: Features) -> NDArray[np.bool_]: ...

    def checkpoints(self) -> tuple[tuple[Epoch, State], ...]: ...


@final
@dataclass(frozen=True)
class TrainingReport:
    """What a training did. `rows` and `sequences` count each part and `held out`, all that is not for training; a sequence is a window
    with a known answer. `metrics` holds accuracy, precision, recall and F1 beside the base rate (for a return: MAE, MAE of zero, IC) of
    the parts that were not trained on. `history`, `best_epoch`, `stopped` and `device` are empty for models that are not nets, and `notes`
    says what was out of the ordinary.
    """

    model: str
    settings: dict[str, Any]
    features: tuple[str, ...]
    label: str
    rows: dict[str, int]
    sequences: dict[str, int]
    metrics: dict[str, dict[str, float]]
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    stopped: str = ""
    device: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    path: str = ""

    def values(self) -> dict[str, Any]:
        """As plain data for JSON; a number that is none (an undefined metric) becomes null."""
        metrics = {part: {name: _number(value) for name, value in line.items()} for part, line in self.metrics.items()}
        history = [[line.epoch, line.training_loss, line.validation_loss] for line in self.history]
        return {**vars(self), "features": list(self.features), "notes": list(self.notes), "metrics": metrics, "history": history}

    def to_text(self) -> str:
        """A few lines for people."""
        counts = [f"{part}: {self.rows[part]:,} rows, {self.sequences[part]:,} sequences" for part in self.rows]
        lines = [f"{self.model} on {len(self.features)} features, label {self.label}", *counts]
        for part, line in self.metrics.items():
            lines.append(f"{part}: " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in line.items()))
        if self.device is not None:
            why = f" ({self.device['fallback']})" if self.device["fallback"] else ""
            place = f"{self.device['device']} {self.device['name']}{why}"
            lines.append(f"{len(self.history)} epochs, best {self.best_epoch}, stopped by {self.stopped}, on {place}")
        lines += [f"note: {note}" for note in self.notes]
        lines.append(f"{self.seconds:.1f} s" + (f", saved in {self.path}" if self.path else ""))
        return "\n".join(lines)


def train(
    source: str | Path | Sequence[str | Path] | Market,
    model: str = "price-action-transformer",
    out: str | Path | None = None,
    *,
    features: str | Sequence[str] = "price-action",
    label: str = "next-bar",
    label_settings: dict[str, Any] | None = None,
    training: float = 0.8,
    test: float = 0.5,
    embargo: int = 0,
    symbol: str | None = None,
    timeframe: str | None = None,
    repair: Sequence[str] = (),
    progress: Callable[[Epoch], None] | None = None,
    **settings: Any,
) -> TrainingReport:
    """Train the forecaster `model` with `settings` on bars, judge it on later ones, and save it in the folder `out`.

    `source` is a Market or what `tradewind.data.read` takes (with `timeframe` and `repair`; of several symbols, `symbol` picks one), or
    a parquet file that carries the `features` columns and a `target` column already. The first `training` of the rows with features are
    learned from; the last `test` of the rest (0: none) is judged and nothing else; between them early stopping listens. Raises
    SettingsError for settings that cannot be, DataError for files that cannot be used or parts without a single sequence.
    """
    fraction(training=training)
    fraction(zero=True, test=test)
    whole(0, embargo=embargo)
    learner = forecaster(model, **settings)
    began = SystemClock().monotonic()
    columns = features if isinstance(features, str) else tuple(features)
    X, y = lessons(source, columns, label, label_settings or {}, {"symbol": symbol, "timeframe": timeframe, "repair": repair})
    parts = _parts(X, y, training, test, embargo)
    rows, sequences = _count(learner, X, y, parts)
    _learn(learner, parts, progress)
    judged = [part for part in PARTS[1:] if part in parts]
    metrics = {part: _metrics(learner.predict(parts[part][0]), parts[part][1]) for part in judged}
    seconds = SystemClock().monotonic() - began
    report = TrainingReport(model, settings, X.names, label, rows, sequences, metrics, seconds=seconds)
    if isinstance(learner, Staged):
        report = replace(report, notes=learner.notes, **_course(learner.training))
    return report if out is None else _save(Path(out), report, learner)


def load(path: str | Path) -> Forecaster:
    """The forecaster that `train` saved in the folder `path`, or in one of its `checkpoints`, built from what is written there alone.

    Raises DataError or Corrupt when a file is missing or damaged, StateError when the folder holds another kind of state.
    """
    state = load_state(path)
    if not isinstance(state.values.get("model"), str) or not isinstance(state.values.get("settings"), dict):
        raise StateError(f"{path}: holds no trained model; point to the folder that `tradewind train --out` wrote")
    return forecaster(state.values["model"], **state.values["settings"]).restore(state.child("forecaster"))


def _course(told: Training | None) -> dict[str, Any]:
    """What a report says of a net's training; nothing when there was none to do."""
    if told is None:
        return {}
    return {"history": told.history, "best_epoch": told.best_epoch, "stopped": told.stopped, "device": told.device.values()}


def _save(folder: Path, report: TrainingReport, learner: Forecaster) -> TrainingReport:
    report = replace(report, path=str(folder))
    about = {"model": report.model, "settings": report.settings, "features": list(report.features), "label": report.label}
    save_state(folder, State(about).nest("forecaster", learner.state()))
    checkpoints = learner.checkpoints() if isinstance(learner, Staged) else ()
    for line, state in checkpoints if len(checkpoints) > 1 else ():
        save_state(folder / "checkpoints" / f"epoch-{line.epoch:03d}", State(about).nest("forecaster", state))
    # Beside the state, not in it: seconds differ from run to run, the state does not.
    write_json(folder / "report.json", report.values())
    return report


def lessons(
    source: str | Path | Sequence[str | Path] | Market, features: Any, label: str, label_settings: dict[str, Any], reading: dict[str, Any]
) -> tuple[Features, Labels]:
    """Inputs and labels, from the first row on in which some symbol has all inputs."""
    prepared = read_prepared(source, names(features)) if isinstance(source, str | Path) else None
    if prepared is None:
        market = _market(source, **reading)
        prepared = compute(market, features), labels.label(label, **label_settings)(market)
    X, y = prepared
    usable = np.flatnonzero(finite_rows(X).any(axis=1))
    if not len(usable):
        raise DataError(f"none of the {len(X)} bars has all of the {len(X.names)} features; the slowest needs {X.warmup + 1} bars")
    return X[int(usable[0]) :], y[int(usable[0]) :]


def _market(source: str | Path | Sequence[str | Path] | Market, symbol: str | None, **reading: Any) -> Market:
    """The bars of `source`: where it has several symbols, those of `symbol`; a file that names none holds those of `symbol`."""
    from tradewind.data import read

    market = source if isinstance(source, Market) else read(source, **reading)
    if symbol is None or market.symbols == (symbol,):
        return market
    if isinstance(source, Market) or len(market.symbols) > 1:
        return market.select((symbol,))
    return read(source, symbol, **reading)


def _parts(X: Features, y: Labels, training: float, test: float, embargo: int) -> dict[str, tuple[Features, Labels]]:
    """Consecutive rows of each part, with the labels that are known by the end of that part."""
    first = int(training * len(X))
    second = len(X) - int(test * (len(X) - first))
    spans = {"train": (0, first), "validation": (first + embargo, second), "test": (second + embargo, len(X))}
    if test == 0:
        del spans["test"]
    for part, (start, stop) in spans.items():
        require(start < stop, f"the {part} part has no row; {len(X)} rows are too few for these fractions and an embargo of {embargo}")
    return {part: (X[start:stop], y.known_by(int(X.known[stop - 1]))[start:stop]) for part, (start, stop) in spans.items()}


def _count(learner: Forecaster, X: Features, y: Labels, parts: dict[str, tuple[Features, Labels]]) -> tuple[dict[str, int], dict[str, int]]:
    """Rows and sequences of every part and of all that is held out. Raises DataError for a part without a sequence."""
    first, last = len(parts["train"][0]), len(X)
    spans = {**parts, "held out": (X[first:last], y.known_by(int(X.known[-1]))[first:last])}
    rows = {part: len(lesson[0]) for part, lesson in spans.items()}
    sequences = {part: _sequences(learner, *lesson) for part, lesson in spans.items()}
    for part, count in sequences.items():
        if count == 0:
            raise DataError(f"the {part} part has {rows[part]} rows and not one whole window with a known answer; give more bars")
    return rows, sequences


def _learn(learner: Forecaster, parts: dict[str, tuple[Features, Labels]], progress: Callable[[Epoch], None] | None) -> None:
    if isinstance(learner, Staged):
        learner.progress = progress
        learner.fit_parts(*parts["train"], *parts["validation"])
        learner.progress = None
    else:
        learner.fit(*parts["train"])


def _sequences(learner: Forecaster, X: Features, y: Labels) -> int:
    """Rows with a known answer that the learner can be asked about."""
    asked = learner.answerable(X) if isinstance(learner, Staged) else finite_rows(X)
    return int((asked & np.isfinite(y.values)).sum())


def _metrics(forecast: Forecast, y: Labels) -> dict[str, float]:
    if forecast.probabilities is None:
        mean = forecast.score()
        answered = np.where(np.isfinite(mean), y.values, np.nan)
        zero = mae(answered, np.zeros_like(answered))
        return {"mae": mae(answered, mean), "mae_of_zero": zero, "information_coefficient": information_coefficient(answered, mean)}
    codes = np.asarray(forecast.classes)
    named = np.where(np.isfinite(forecast.score()), codes[np.nan_to_num(forecast.probabilities).argmax(axis=2)], np.nan)
    return classification(y.values, named, forecast.classes)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
