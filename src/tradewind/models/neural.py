"""Nets as one Forecaster: windows of standardised rows, the one training loop, a purged tail to stop on; classes, returns or quantiles.

Papers and sizes: see nets/lstm, nets/transformer, nets/mlp and nets/price_action_transformer. Costs what the net costs, a window and epoch:
the presets `quick` fit 3,000 rows of 32 columns in 1 to 8 s on one core with bfloat16, and a decision takes 1 to 6 ms.
Fails on few rows, where it learns noise: compare it with `base-rate` and `logistic` before anything else.
"""

from __future__ import annotations

import math
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tradewind.core.errors import DataError, StateError
from tradewind.core.seeds import derive
from tradewind.core.settings import choose
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.architectures import ARCHITECTURES, SPACES, Architecture
from tradewind.models.contributions import Contributions
from tradewind.models.gradients import window_contributions
from tradewind.models.quantiles import quantile_forecast
from tradewind.models.rows import Rows, Task, fitted, training_rows
from tradewind.models.windowed import as_tensor
from tradewind.models.windowed_net import WindowedNet
from tradewind.nets import losses
from tradewind.nets.checkpoint import load_net
from tradewind.nets.device import reproducible
from tradewind.nets.prediction import answer
from tradewind.nets.training import Examples
from tradewind.nets.windows import Windows

__all__ = ["SPACES", "Neural", "lstm", "mlp", "price_action_transformer", "transformer"]


@final
class Neural(WindowedNet[nn.Module]):
    """Windows of rows in; class probabilities, an expected return, or its quantiles out.

    `settings` are a `preset` of the architecture's, its sizes, and those of NeuralSettings, as plain keywords.
    """

    def __init__(self, architecture: Architecture, preset: str = "guide", seed: int = 0, **settings: Any) -> None:
        super().__init__(architecture.name, architecture.sizes, {**choose(preset, architecture.presets, "preset"), **settings}, seed)
        self.architecture, self._unit = architecture, 1.0

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

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each number of their windows added to the answers to `rows` (n, 2) of (time, symbol), by integrated gradients.

        The answer is the expected return, or the log-odds of the highest class seen against the lowest; the baseline a window of training
        means. Raises DataError for a row without a whole window, and where a single class was learned, for which there is no net.
        """
        task = fitted(self._task)
        if self._net is None:
            raise DataError(f"the training part had the class {task.classes[task.present[0]]:g} alone: there is no net to explain")
        return window_contributions(self._net, self._windowed, task, X, rows, self._unit, self.settings.quantiles)

    def restore(self, state: State) -> Self:
        """Rebuild the net from the state alone, in the size that was saved. Raises StateError when it holds another model."""
        task = Task.restore(state)
        saved = state.values.get("settings")
        if not isinstance(saved, dict) or state.values.get("forecaster") != self.architecture.name:
            raise StateError(f"this state holds no settings of a {self.architecture.name}; restore it into the forecaster that saved it")
        self._configure(saved)
        self._task, self._unit = task, float(state.values["unit"])
        self._windowed.restore(state.child("windowed"))
        self._net, self.training, self.notes = None, None, ()
        if not task.settled:
            self._net = self._build(task)
            load_net(self._net, state.child("net"))
        return self

    def _learn(self, learned: tuple[Features, Rows], stopped: tuple[Features, Rows]) -> Self:
        X, rows = learned[0], self._face(*learned)
        task, self._unit = rows.task, 1.0
        if task.settled:
            return self
        if not task.classes:
            # Returns are small numbers; in units of their own size the loss has the scale that the learning rate is made for.
            self._unit = math.sqrt(float(np.mean(rows.y**2))) or 1.0
        examples, validation = self._examples(X, rows), self._examples(stopped[0], stopped[1].facing(task))
        self._teach(self._build(task), X, rows, examples, validation, self._loss(task))
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
        task = fitted(self._task)
        usable = self._usable(X, found, start)
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

    def _told(self) -> State:
        return State({"unit": self._unit})


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
