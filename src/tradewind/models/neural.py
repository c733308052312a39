"""The PriceActionTransformer as a Forecaster: windows of standardised rows, the one training loop, a purged tail to stop on.

Paper and sizes: see nets/price_action_transformer. Costs about 3 ms a window and epoch on one core (half with bfloat16 where the
processor has it): the preset `quick` takes 13 s of CPU for 2,900 rows, 8 s with bfloat16; predicting takes 0.8 ms a row.
Fails on few rows, where it learns noise: compare it with `base-rate` and `logistic` before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self, final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import build, choose, require
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.features.scale import Standardiser
from tradewind.models.base import Forecaster
from tradewind.models.rows import Rows, Task, finite_rows, fitted, training_rows
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.nets.losses import CLASSES, RETURN, TWO_CLASSES
from tradewind.nets.prediction import answer
from tradewind.nets.price_action_transformer import PriceActionTransformer, require_sizes
from tradewind.nets.training import Epoch, Examples, Training, TrainingSettings, train
from tradewind.nets.windows import Windows, windows

__all__ = ["PRESETS", "NeuralSettings", "PriceActionForecaster"]

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "guide": {},
    "large": {"window": 128, "batch": 64, "learning_rate": 5e-4, "width": 256, "layers": 4},
    "regularised": {"dropout": 0.2, "weight_decay": 0.05},
    "quick": {"epochs": 10, "patience": 3, "stride": 6, "batch": 16, "learning_rate": 5e-4, "bfloat16": "auto"},
}
"""Named settings; whatever is given beside the preset goes first."""

REACH: Final = 2
FARTHEST: Final = 20.0


@final
@dataclass(frozen=True)
class NeuralSettings:
    """The net's sizes, how windows are taken, and how it is trained.

    `window` rows make one input; windows for training begin `stride` rows apart; with `gaps` false no window crosses missing time.
    The last `validation` of the rows stop the training. The others are those of PriceActionTransformer and TrainingSettings.
    """

    window: int = 64
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 512
    dropout: float = 0.1
    stride: int = 1
    gaps: bool = True
    validation: float = 0.2
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

    def __post_init__(self) -> None:
        whole(stride=self.stride)
        require_sizes(self.window, self.width, self.heads, self.layers, self.feedforward, self.dropout)
        fraction(zero=True, validation=self.validation)
        require(isinstance(self.gaps, bool), f"gaps is {self.gaps!r}; it is true or false")
        self.training()

    def training(self) -> TrainingSettings:
        """The part that the training loop takes."""
        names = TrainingSettings.__dataclass_fields__.keys() & self.__dataclass_fields__.keys()
        return TrainingSettings(**{name: getattr(self, name) for name in names})


@final
class PriceActionForecaster(Forecaster):
    """Windows of rows in, class probabilities or an expected return out.

    Keywords are a `preset` of PRESETS, those of NeuralSettings, and `seed`. `window` is the rows of history that answer one row: the
    64 rows of a window are the symbol's last usable ones, found among the last 128 of the panel. After `fit`, `training` tells how it
    went. `progress`, where set, hears every epoch.
    """

    def __init__(self, preset: str = "guide", seed: int = 0, **settings: Any) -> None:
        chosen = {**choose(preset, PRESETS, "preset"), **settings}
        self.settings = build(NeuralSettings, chosen, "price-action-transformer")
        self.seed, self.window = seed, REACH * self.settings.window
        self.training: Training | None = None
        self.progress: Callable[[Epoch], None] | None = None
        self._task: Task | None = None
        self._scaler = Standardiser()
        self._unit = 1.0
        self._net: PriceActionTransformer | None = None

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Features, y: Labels) -> Self:
        """Learn from the rows before the purged tail and stop on the tail. Raises DataError when no row has a whole window before it."""
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
        task = fitted(self._task)
        task.check(X)
        found = self._windows(X)
        usable = _places(found, X)
        if task.settled:
            return task.settle(usable)
        assert self._net is not None
        logits = answer(self._net, found)
        if not task.classes:
            return task.forecast(usable, logits * self._unit)
        if task.outputs == 2:
            logits = np.hstack([np.zeros((len(found), 1)), logits])
        return task.forecast(usable, _softmax(logits))

    def answerable(self, X: Features) -> NDArray[np.bool_]:
        """(time, symbol): the rows of `X` that have a whole window up to them, fitted or not."""
        return _places(self._found(X, X.values), X)

    def state(self) -> State:
        values = {"task": fitted(self._task).state(), "settings": asdict(self.settings), "unit": self._unit}
        state = State(values).nest("scaler", self._scaler.state())
        return state if self._net is None else state.nest("net", net_state(self._net))

    def restore(self, state: State) -> Self:
        """Rebuild the net from the state alone, in the size that was saved. Raises StateError when it holds another model."""
        task = Task.restore(state)
        if not isinstance(state.values.get("settings"), dict):
            raise StateError("this state holds no settings of a net; restore it into the forecaster that saved it")
        self.settings = build(NeuralSettings, state.values["settings"], "price-action-transformer")
        self._task, self._unit, self.window = task, float(state.values["unit"]), REACH * self.settings.window
        self._scaler = Standardiser().restore(state.child("scaler"))
        self._net, self.training = None, None
        if not task.settled:
            self._net = self._build(task)
            load_net(self._net, state.child("net"))
        return self

    def _learn(self, learned: tuple[Features, Rows], stopped: tuple[Features, Rows]) -> Self:
        X, rows = learned
        task = replace(rows.task, present=tuple(p for i, p in enumerate(rows.task.present) if (rows.y == i).any()))
        rows = rows.facing(task)
        self._task, self._net, self.training, self._unit = task, None, None, 1.0
        self._scaler = Standardiser().fit(rows.panel(X))
        if task.settled:
            return self
        if not task.classes:
            # Returns are small numbers; in units of their own size the loss has the scale that the learning rate is made for.
            self._unit = math.sqrt(float(np.mean(rows.y**2))) or 1.0
        examples = self._examples(X, rows)
        if examples is None:
            raise DataError(f"no learned row has {self.settings.window} usable rows up to it; fit on more bars or set a smaller window")
        net = self._build(task)
        seed = derive(self.seed, "price-action-transformer")
        loss = (TWO_CLASSES if task.outputs == 2 else CLASSES) if task.classes else RETURN
        validation = self._examples(stopped[0], stopped[1].facing(task))
        self.training = train(net, examples, validation, loss, self.settings.training(), seed, self.progress)
        self._net = net
        return self

    def _build(self, task: Task) -> PriceActionTransformer:
        size = self.settings
        names = ("window", "width", "heads", "layers", "feedforward", "dropout")
        with reproducible(derive(self.seed, "price-action-transformer", "weights")):
            return PriceActionTransformer(
                len(task.names), outputs=1 if task.outputs == 2 else task.outputs, **{name: getattr(size, name) for name in names}
            )

    def _windows(self, X: Features) -> Windows:
        # Outliers beyond what a standard score can mean would drown the rest of their window.
        scaled = np.clip(self._scaler.transform(X).values, -FARTHEST, FARTHEST)
        return self._found(X, scaled)

    def _found(self, X: Features, values: Array) -> Windows:
        step = None if self.settings.gaps else int((X.known - X.open_time).min())
        return windows(values, finite_rows(X), self.settings.window, self.window, X.open_time, step)

    def _examples(self, X: Features, rows: Rows) -> Examples | None:
        """The windows that end in one of the rows, `stride` times apart, the newest among them; None when there is none."""
        number = np.full(X.values.shape[:2], -1, dtype=np.int64)
        number[rows.time, rows.symbol] = np.arange(len(rows))
        found = self._windows(X) if len(rows) else None
        if found is None or not (number[found.time, found.symbol] >= 0).any():
            return None
        row = number[found.time, found.symbol]
        newest = found.time[row >= 0].max()
        kept = (row >= 0) & ((newest - found.time) % self.settings.stride == 0)
        targets, weights = rows.y[row[kept]] / self._unit, rows.weights[row[kept]]
        as_tensor = [torch.from_numpy(column.astype(np.float32)) for column in (targets, weights)]
        return Examples(found.take(kept), *as_tensor)


def _places(found: Windows, X: Features) -> NDArray[np.bool_]:
    places = np.zeros(X.values.shape[:2], dtype=np.bool_)
    places[found.time, found.symbol] = True
    return places


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
