"""What every forecaster that is a net over windows has in common: its settings, its windows, how it is taught, and how it is asked.

Plumbing without an algorithm of its own. It costs what the net costs, and fails where the net does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Generic, Literal, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import choose, require
from tradewind.core.types import Features, Forecast, State
from tradewind.models.base import Forecaster
from tradewind.models.rows import Rows, Task, fitted
from tradewind.models.windowed import REACH, WindowedRows
from tradewind.nets import losses
from tradewind.nets.checkpoint import net_state
from tradewind.nets.training import Diverged, Epoch, Examples, Training, TrainingSettings, train
from tradewind.nets.windows import Windows

__all__ = ["NeuralSettings", "WindowedNet"]

Net = TypeVar("Net", bound=nn.Module)


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
    warmup: int = 0

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


class WindowedNet(Forecaster, ABC, Generic[Net]):
    """A net that answers a row from the window of rows up to it.

    `name` is the forecaster's, `sizes` the dataclass of the net's own settings, which has a `window`; `chosen` are plain keywords of both
    `sizes` and NeuralSettings. `window` is the rows of history that answer one row: the rows of a window are the symbol's last usable
    ones, found among twice as many of the panel. After `fit`, `training` tells how it went, None where there was nothing to train, and
    `notes` what was out of the ordinary. `progress`, where set, hears every epoch.
    """

    def __init__(self, name: str, sizes: type, chosen: Mapping[str, Any], seed: int) -> None:
        self._name, self._sizes, self.seed = name, sizes, seed
        self._configure(chosen)
        self.training: Training | None = None
        self.notes: tuple[str, ...] = ()
        self.progress: Callable[[Epoch], None] | None = None
        self._task: Task | None = None
        self._net: Net | None = None

    def reseed(self, seed: int) -> None:
        self.seed = seed

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

    def checkpoints(self) -> tuple[tuple[Epoch, State], ...]:
        """The best epochs, as many as `keep` says, the best first, each with the state that this forecaster would have with its weights."""
        kept = () if self.training is None else self.training.kept
        return tuple((line, self._state(weights)) for line, weights in kept)

    def state(self) -> State:
        return self._state(None if self._net is None else net_state(self._net))

    @abstractmethod
    def _forecast(self, X: Features, found: Windows, start: int) -> Forecast:
        """The answers to the windows `found`, as the forecast of the rows of `X` from `start` on."""

    @abstractmethod
    def _told(self) -> State:
        """What a state holds beside the task, the settings and the weights."""

    def _configure(self, chosen: Mapping[str, Any]) -> None:
        """Take settings apart into the net's sizes and the others, refusing unknown ones."""
        sizes = {field.name for field in fields(self._sizes)}
        known = dict.fromkeys((*sizes, *NeuralSettings.__dataclass_fields__, "preset", "seed"), True)
        for key in chosen:
            choose(key, known, f"setting of forecaster {self._name!r}:")
        self.sizes = self._sizes(**{key: value for key, value in chosen.items() if key in sizes})
        self.settings = NeuralSettings(**{key: value for key, value in chosen.items() if key not in sizes})
        self._windowed = WindowedRows(self.sizes.window, self.settings.gaps)
        self.window = REACH * self.sizes.window

    def _face(self, X: Features, rows: Rows) -> Rows:
        """Forget what was learned, and fit the scaler; the rows as the classes that are among them count."""
        task = replace(rows.task, present=tuple(p for i, p in enumerate(rows.task.present) if (rows.y == i).any()))
        rows = rows.facing(task)
        self._task, self._net, self.training = task, None, None
        self._windowed.fit(X, rows)
        self.notes = self._windowed.notes(rows)
        return rows

    def _teach(self, net: Net, X: Features, rows: Rows, examples: Examples | None, validation: Examples | None, loss: losses.Loss) -> None:
        """Train the net. Raises DataError without examples, and Diverged, naming the strangest input, when the loss is no number."""
        if examples is None:
            raise DataError(f"no learned row has {self.sizes.window} usable rows up to it; fit on more bars or set a smaller window")
        try:
            self.training = train(net, examples, validation, loss, self.settings.training(), derive(self.seed, self._name), self.progress)
        except Diverged as error:
            raise error.because(self._windowed.strangest(X, rows)) from None
        self.notes += self.training.notes
        self._net = net

    def _usable(self, X: Features, found: Windows, start: int) -> NDArray[np.bool_]:
        """(time, symbol) of the rows of `X` from `start` on: where a window ends."""
        usable = np.zeros((len(X) - start, len(X.symbols)), dtype=np.bool_)
        usable[found.time - start, found.symbol] = True
        return usable

    def _state(self, weights: State | None) -> State:
        settings = {**asdict(self.sizes), **asdict(self.settings), "quantiles": list(self.settings.quantiles)}
        told = self._told()
        values = {"forecaster": self._name, "task": fitted(self._task).state(), "settings": settings, **told.values}
        state = State(values, told.arrays).nest("windowed", self._windowed.state())
        return state if weights is None else state.nest("net", weights)
