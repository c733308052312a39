"""Nets as one Forecaster: windows of standardised rows, the one training loop, a purged tail to stop on; classes, returns or quantiles.

Papers and sizes: see nets/lstm, nets/transformer, nets/mlp and nets/price_action_transformer. Costs what the net costs, a window and epoch:
the presets `quick` fit 3,000 rows of 32 columns in 1 to 8 s on one core with bfloat16, and a decision takes 1 to 6 ms.
Fails on few rows, where it learns noise: compare it with `base-rate` and `logistic` before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.architectures import ARCHITECTURES, SPACES, Architecture
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.gradients import window_contributions
from tradewind.models.quantiles import quantile_forecast
from tradewind.models.rows import Rows, Task, fitted, training_rows
from tradewind.models.windowed import REACH, WindowedRows, as_tensor
from tradewind.nets import losses
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.nets.prediction import answer
from tradewind.nets.training import Diverged, Epoch, Examples, Training, TrainingSettings, train
from tradewind.nets.windows import Windows

__all__ = ["SPACES", "Neural", "NeuralSettings", "lstm", "mlp", "price_action_transformer", "transformer"]


@final
@dataclass(frozen=True)
class NeuralSettings:
    """How windows are taken, what is asked of a return, and how the net is trained.

    Windows for training begin `stride` rows apart; with `gaps` false no window crosses missing time. The last `validation` of the rows
    stop the training. `quantiles`: levels between 0 and 1, ascending, at which a return label is learned; without any its mean is, and
    classes know of none. The others are those of TrainingSettings.
    """

    stride: int = 1
    gaps: bool = True
    validation: float = 0.2
    quantiles: tuple[float, ...] = ()
    epochs: int = 100
    patience: int = 5
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool | Literal["auto"] = False
    max_seconds: float = 0.0
    device: str = "auto"
    threads: int = 1
    plateau: int = 0
    plateau_factor: float = 0.5
    keep: int = 1
    block: int = 1

    def __post_init__(self) -> None:
        whole(stride=self.stride)
        fraction(zero=True, validation=self.validation)
        require(isinstance(self.gaps, bool), f"gaps is {self.gaps!r}; it is true or false")
        require(isinstance(self.quantiles, list | tuple), f"quantiles is {self.quantiles!r}; it is a list of levels between 0 and 1")
        object.__setattr__(self, "quantiles", tuple(self.quantiles))
        if self.quantiles:
            losses.quantiles(self.quantiles)
        self.training()

    def training(self) -> TrainingSettings:
        """The part that the training loop takes."""
        names = TrainingSettings.__dataclass_fields__.keys() & self.__dataclass_fields__.keys()
        return TrainingSettings(**{name: getattr(self, name) for name in names})


@final
class Neural(Forecaster):
    """Windows of rows in; class probabilities, an expected return, or its quantiles out.

    `settings` are a `preset` of the architecture's, its sizes, and those of NeuralSettings, as plain keywords. `window` is the rows of
    history that answer one row: the rows of a window are the symbol's last usable ones, found among twice as many of the panel. After
    `fit`, `training` tells how it went, None where there was nothing to train, and `notes` what was out of the ordinary. `progress`,
    where set, hears every epoch.
    """

    def __init__(self, architecture: Architecture, preset: str = "guide", seed: int = 0, **settings: Any) -> None:
        self.architecture, self.seed = architecture, seed
        self._configure({**choose(preset, architecture.presets, "preset"), **settings})
        self.training: Training | None = None
        self.notes: tuple[str, ...] = ()
        self.progress: Callable[[Epoch], None] | None = None
        self._task: Task | None = None
        self._unit = 1.0
        self._net: nn.Module | None = None

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        """Learn from the rows before the purged tail and stop on the tail.

        Raises DataError when no row has a whole window before it, and Diverged, naming the strangest input, when the loss is no number.
        """
        rows = training_rows(X, y)
        learned, stopped = rows.tail(self.settings.validation)
        return self._learn((X, rows.take(learned)), (X, rows.take(stopped)))

    def fit_parts(self, X: Features, y: Labels, later: Features, answers: Labels) -> Self:
        """Learn from `X` and `y`, all of them, and stop on the part that follows; no window reaches from one part into the other.

        The split is the caller's, purge included: labels that were not known before the later part began should be blank in `y`.
        """
        rows = training_rows(X, y)
        return self._learn((X, rows), (later, training_rows(later, answers).facing(rows.task)))

    def predict(self, X: Features) -> Forecast:
        fitted(self._task).check(X)
        return self._forecast(X, self._windowed.find(X), 0)

    def predict_last(self, X: Features) -> Forecast:
        """The last row of `predict(X)` alone, (1, symbol, ...), without asking about the others."""
        fitted(self._task).check(X)
        found = self._windowed.find(X)
        return self._forecast(X, found.take(found.time == len(X) - 1), len(X) - 1)

    def answerable(self, X: Features) -> NDArray[np.bool_]:
        """(time, symbol): the rows of `X` that have a whole window up to them, fitted or not."""
        return self._windowed.answerable(X)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each number of their windows added to the answers to `rows` (n, 2) of (time, symbol), by integrated gradients.

        The answer is the expected return, or the log-odds of the highest class seen against the lowest; the baseline a window of training
        means. Raises DataError for a row without a whole window, and where a single class was learned, for which there is no net.
        """
        task = fitted(self._task)
        if self._net is None:
            raise DataError(f"the training part had the class {task.classes[task.present[0]]:g} alone: there is no net to explain")
        return window_contributions(self._net, self._windowed, task, X, rows, self._unit, self.settings.quantiles)

    def checkpoints(self) -> tuple[tuple[Epoch, State], ...]:
        """The best epochs, as many as `keep` says, the best first, each with the state that this forecaster would have with its weights."""
        kept = () if self.training is None else self.training.kept
        return tuple((line, self._state(weights)) for line, weights in kept)

    def state(self) -> State:
        return self._state(None if self._net is None else net_state(self._net))

    def restore(self, state: State) -> Self:
        """Rebuild the net from the state alone, in the size that was saved. Raises StateError when it holds another model."""
        task = Task.restore(state)
        saved = state.values.get("settings")
        if not isinstance(saved, dict) or state.values.get("architecture") != self.architecture.name:
            raise StateError(f"this state holds no settings of a {self.architecture.name}; restore it into the forecaster that saved it")
        self._configure(saved)
        self._task, self._unit = task, float(state.values["unit"])
        self._windowed.restore(state.child("windowed"))
        self._net, self.training, self.notes = None, None, ()
        if not task.settled:
            self._net = self._build(task)
            load_net(self._net, state.child("net"))
        return self

    def _configure(self, chosen: dict[str, Any]) -> None:
        """Take settings apart into the net's sizes and the others, refusing unknown ones."""
        sizes = {field.name for field in fields(self.architecture.sizes)}
        known = dict.fromkeys((*sizes, *NeuralSettings.__dataclass_fields__, "preset", "seed"), True)
        for key in chosen:
            choose(key, known, f"setting of forecaster {self.architecture.name!r}:")
        self.sizes = self.architecture.sizes(**{key: value for key, value in chosen.items() if key in sizes})
        self.settings = NeuralSettings(**{key: value for key, value in chosen.items() if key not in sizes})
        self._windowed = WindowedRows(self.sizes.window, self.settings.gaps)
        self.window = REACH * self.sizes.window

    def _learn(self, learned: tuple[Features, Rows], stopped: tuple[Features, Rows]) -> Self:
        X, rows = learned
        task = replace(rows.task, present=tuple(p for i, p in enumerate(rows.task.present) if (rows.y == i).any()))
        rows = rows.facing(task)
        self._task, self._net, self.training, self._unit = task, None, None, 1.0
        self._windowed.fit(X, rows)
        self.notes = self._windowed.notes(rows)
        if task.settled:
            return self
        if not task.classes:
            # Returns are small numbers; in units of their own size the loss has the scale that the learning rate is made for.
            self._unit = math.sqrt(float(np.mean(rows.y**2))) or 1.0
        examples = self._examples(X, rows)
        if examples is None:
            raise DataError(f"no learned row has {self.sizes.window} usable rows up to it; fit on more bars or set a smaller window")
        validation = self._examples(stopped[0], stopped[1].facing(task))
        net, seed = self._build(task), derive(self.seed, self.architecture.name)
        try:
            self.training = train(net, examples, validation, self._loss(task), self.settings.training(), seed, self.progress)
        except Diverged as error:
            raise error.because(self._windowed.strangest(X, rows)) from None
        self.notes += self.training.notes
        self._net = net
        return self

    def _examples(self, X: Features, rows: Rows) -> Examples | None:
        lessons = self._windowed.lessons(X, rows, self.settings.stride)
        if lessons is None:
            return None
        return Examples(lessons.windows, as_tensor(rows.y[lessons.rows] / self._unit), as_tensor(rows.weights[lessons.rows]))

    def _loss(self, task: Task) -> losses.Loss:
        if task.classes:
            return losses.TWO_CLASSES if task.outputs == 2 else losses.CLASSES
        return losses.quantiles(self.settings.quantiles) if self.settings.quantiles else losses.RETURN

    def _build(self, task: Task) -> nn.Module:
        outputs = (1 if task.outputs == 2 else task.outputs) if task.classes else max(1, len(self.settings.quantiles))
        with reproducible(derive(self.seed, self.architecture.name, "weights")):
            return self.architecture.build(len(task.names), outputs, self.sizes)

    def _forecast(self, X: Features, found: Windows, start: int) -> Forecast:
        """The answers to `found`, as the forecast of the rows of `X` from `start` on."""
        task = fitted(self._task)
        usable = np.zeros((len(X) - start, len(X.symbols)), dtype=np.bool_)
        usable[found.time - start, found.symbol] = True
        if task.settled:
            return task.settle(usable)
        assert self._net is not None
        outputs = answer(self._net, found, self._windowed.numbers(X, found), self.architecture.slots)
        if not task.classes:
            levels = self.settings.quantiles
            return quantile_forecast(usable, outputs * self._unit, levels) if levels else task.forecast(usable, outputs * self._unit)
        if task.outputs == 2:
            outputs = np.hstack([np.zeros((len(found), 1)), outputs])
        return task.forecast(usable, _softmax(outputs))

    def _state(self, weights: State | None) -> State:
        settings = {**asdict(self.sizes), **asdict(self.settings), "quantiles": list(self.settings.quantiles)}
        values = {
            "architecture": self.architecture.name,
            "task": fitted(self._task).state(),
            "settings": settings,
            "unit": self._unit,
        }
        state = State(values).nest("windowed", self._windowed.state())
        return state if weights is None else state.nest("net", weights)


def mlp(preset: str = "guide", seed: int = 0, **settings: Any) -> Neural:
    """A multilayer perceptron on single rows, 256-256 by default; settings are those of MLPSizes and NeuralSettings."""
    return Neural(ARCHITECTURES["mlp"], preset, seed, **settings)


def lstm(preset: str = "guide", seed: int = 0, **settings: Any) -> Neural:
    """A bidirectional LSTM with attention over windows of 60 rows; settings are those of LSTMSizes and NeuralSettings."""
    return Neural(ARCHITECTURES["lstm"], preset, seed, **settings)


def transformer(preset: str = "guide", seed: int = 0, **settings: Any) -> Neural:
    """A pre-norm transformer encoder over windows of 60 rows; settings are those of TransformerSizes and NeuralSettings."""
    return Neural(ARCHITECTURES["transformer"], preset, seed, **settings)


def price_action_transformer(preset: str = "guide", seed: int = 0, **settings: Any) -> Neural:
    """The training guide's encoder over windows of 64 rows; settings are those of PriceActionSizes and NeuralSettings."""
    return Neural(ARCHITECTURES["price-action-transformer"], preset, seed, **settings)


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
