"""The Temporal Fusion Transformer as a Forecaster: quantiles of the returns over several horizons, or class probabilities.

Paper: Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363; the net is in nets/tft. A label with `ahead` gives one decoder
step a horizon, any other label one step. Costs about 1 ms of CPU a window and epoch and 1 ms a row to
predict with the preset `quick`; nets/tft tells how that grows.
Fails on few rows, where it learns noise, and where markets close at night, whose hours it takes for bars of the calendar ahead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Self, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.seeds import derive
from tradewind.core.settings import choose, require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.contributions import Contributions
from tradewind.models.gradients import ending_in
from tradewind.models.quantiles import mean_of_quantiles, rearranged
from tradewind.models.rows import Rows, Task, fitted, softmax, training_rows
from tradewind.models.tft_inputs import Ahead
from tradewind.models.tft_reading import Interpretation, attribute, interpret
from tradewind.models.windowed import as_tensor
from tradewind.models.windowed_net import WindowedNet
from tradewind.nets import losses
from tradewind.nets.checkpoint import load_net
from tradewind.nets.device import reproducible
from tradewind.nets.prediction import answer
from tradewind.nets.tft import TemporalFusionTransformer, TFTSizes
from tradewind.nets.training import Examples
from tradewind.nets.windows import Windows

__all__ = ["PRESETS", "SPACES", "TFT"]

GUIDE: Final[dict[str, Any]] = {
    "quantiles": (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98),
    "epochs": 50,
    "batch": 128,
    "clip": 0.1,
    "plateau": 4,
    "plateau_factor": 0.1,
    "keep": 3,
    "block": 16,
}
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "guide": GUIDE,
    "medium": {**GUIDE, "hidden": 64, "embedding": 32},
    # In so few steps the guide's clipping, to .1, leaves a small net where it began.
    "quick": {
        **GUIDE,
        "hidden": 32,
        "embedding": 8,
        "layers": 1,
        "epochs": 10,
        "patience": 3,
        "batch": 32,
        "clip": 1.0,
        "bfloat16": "auto",
    },
}
"""Named settings; whatever is given beside the preset goes first."""

SPACES: Final[dict[str, Space]] = {
    "tft": {
        "learning_rate": Real(1e-4, 5e-3, log=True),
        "dropout": Real(0.0, 0.4),
        "batch": Choice((32, 64, 128)),
        "window": Choice((30, 60, 90)),
        "hidden": Choice((16, 32, 64, 128)),
        "embedding": Choice((4, 8, 16)),
        "layers": Whole(1, 2),
        "heads": Choice((1, 2, 4)),
    }
}
"""What may be tuned, by the name of the forecaster."""

SLOTS: Final = 4


@final
class TFT(WindowedNet[TemporalFusionTransformer]):
    """Windows of rows, their symbol and the calendar ahead in; quantiles of returns, or class probabilities, out.

    `settings` are a `preset` of PRESETS, TFTSizes and NeuralSettings, as plain keywords. A forecast of returns has `mean` and
    `quantiles` of the label's own horizon, and `ahead` for all its `horizons`. A symbol that the fit has not seen is taken for the mean of
    those it has.
    """

    def __init__(self, preset: str = "guide", seed: int = 0, **settings: Any) -> None:
        super().__init__("tft", TFTSizes, {**choose(preset, PRESETS, "preset"), **settings}, seed)
        require(bool(self.settings.quantiles), "a tft needs quantiles, such as (0.1, 0.5, 0.9)")
        self._ahead, self._step = Ahead((), (1,), 1), 0
        self._unit: Array = np.ones(1)

    def fit(self, X: Features, y: Labels) -> Self:
        """Learn from the rows before the purged tail and stop on the tail.

        Raises DataError when no row has a whole window before it, and Diverged, naming the strangest input, when the loss is no number.
        """
        y = _complete(y)
        rows = training_rows(X, y)
        learned, stopped = rows.tail(self.settings.validation)
        return self._learn((X, y, rows.take(learned)), (X, y, rows.take(stopped)))

    def fit_parts(self, X: Features, y: Labels, later: Features, answers: Labels) -> Self:
        """Learn from `X` and `y`, all of them, and stop on the part that follows; no window reaches from one part into the other.

        The split is the caller's, purge included: labels that were not known before the later part began should be blank in `y`.
        """
        y, answers = _complete(y), _complete(answers)
        require(y.horizons == answers.horizons, f"one part has the horizons {y.horizons}, the other {answers.horizons}")
        rows = training_rows(X, y)
        return self._learn((X, y, rows), (later, answers, training_rows(later, answers).facing(rows.task)))

    def interpretation(self, X: Features, rows: NDArray[np.int64] | None = None) -> Interpretation:
        """The selection and attention weights behind the answers to `rows` (n, 2) of (time, symbol), by default all that have one.

        Raises DataError for a row that has no whole window, and when a single class was learned, for which there is no net.
        """
        net, found = self._asked(X, rows)
        histories = self._ahead.histories(X, found, self._windowed.scaler)
        return interpret(net, histories, X.names, self._ahead.known(X.names), self._ahead.horizons)

    def contributions(self, X: Features, rows: NDArray[np.int64]) -> Contributions:
        """What each row of the windows added to the answers to `rows` (n, 2) of (time, symbol), by integrated gradients.

        The answer is the expected return over the label's horizon, or the log-odds of the highest class seen against the lowest. The
        baseline is a window of training means with the same symbol and calendar ahead. Raises DataError as `interpretation` does.
        """
        task, (net, found) = fitted(self._task), self._asked(X, rows)
        levels = () if task.classes else self.settings.quantiles
        parts = attribute(net, self._ahead.histories(X, found, self._windowed.scaler), self._step, task, levels)
        scale, unit = (1.0, "log-odds") if task.classes else (float(self._unit[self._step]), "return")
        scores = found.gather(torch.arange(len(found))).double().numpy()
        inputs = scores * self._windowed.scaler.deviation + self._windowed.scaler.mean
        values, base, total = parts.values[0] * scale, parts.base * scale, parts.total * scale
        return Contributions(values, base, total, inputs, task.names, unit, "integrated gradients")

    def restore(self, state: State) -> Self:
        """Rebuild the net from the state alone, in the size that was saved. Raises StateError when it holds another model."""
        task, saved, unit = Task.restore(state), state.values.get("settings"), state.arrays.get("unit")
        if not isinstance(saved, dict) or unit is None:
            raise StateError("this state holds no settings of a tft; restore it into the forecaster that saved it")
        ahead = Ahead.restore(state.child("ahead"))
        self._configure(saved)
        self._task, self._ahead, self._step, self._unit = task, ahead, int(state.values["step"]), unit.copy()
        self._windowed.restore(state.child("windowed"))
        self._net, self.training, self.notes = None, None, ()
        if not task.settled:
            self._net = self._build(task)
            load_net(self._net, state.child("net"))
        return self

    def _learn(self, learned: _Part, stopped: _Part) -> Self:
        X, y, rows = learned[0], learned[1], self._face(learned[0], learned[2])
        task, horizons = rows.task, (y.horizon,) if y.classes else y.horizons
        self._ahead, self._unit, self._step = Ahead.of(X, horizons), np.ones(len(horizons)), horizons.index(y.horizon)
        if task.settled:
            return self
        if not task.classes:
            # Returns are small numbers, and grow with the horizon; in units of their own size every step counts alike.
            size = np.sqrt(np.mean(_targets(y, rows) ** 2, axis=0))
            self._unit = np.where(size > 0, size, 1.0)
        examples, validation = self._examples(X, y, rows), self._examples(stopped[0], stopped[1], stopped[2].facing(task))
        self._teach(self._build(task), X, rows, examples, validation, self._loss(task))
        return self

    def _examples(self, X: Features, y: Labels, rows: Rows) -> Examples | None:
        lessons = self._windowed.lessons(X, rows, self.settings.stride)
        if lessons is None:
            return None
        histories = self._ahead.histories(X, lessons.windows, self._windowed.scaler)
        # One symbol after the other: consecutive samples then share most of their bars.
        order = np.argsort(histories.windows.ends.numpy())
        which = lessons.rows[order]
        targets = rows.y[which] if y.classes else _targets(y, rows)[which] / self._unit
        return Examples(histories.take(order), as_tensor(targets), as_tensor(rows.weights[which]))

    def _loss(self, task: Task) -> losses.Loss:
        if task.classes:
            return losses.TWO_CLASSES if task.outputs == 2 else losses.CLASSES
        return losses.quantiles(self.settings.quantiles)

    def _build(self, task: Task) -> TemporalFusionTransformer:
        outputs = (1 if task.outputs == 2 else task.outputs) if task.classes else len(self.settings.quantiles)
        known, symbols = len(self._ahead.known(task.names)), len(self._ahead.symbols)
        with reproducible(derive(self.seed, "tft", "weights")):
            return TemporalFusionTransformer(len(task.names), known, symbols, outputs, self.sizes, single=bool(task.classes))

    def _asked(self, X: Features, rows: NDArray[np.int64] | None) -> tuple[TemporalFusionTransformer, Windows]:
        """The net, and the windows that end in `rows`, in their order."""
        fitted(self._task).check(X)
        if self._net is None:
            raise DataError("training showed a single class, so there is no net to read")
        found = self._windowed.find(X)
        return self._net, found if rows is None else ending_in(found, rows, X)

    def _forecast(self, X: Features, found: Windows, start: int) -> Forecast:
        task = fitted(self._task)
        usable = self._usable(X, found, start)
        if task.settled:
            return task.settle(usable)
        assert self._net is not None
        histories = replace(self._ahead.histories(X, found, self._windowed.scaler), shared=False)
        outputs = answer(self._net, histories, self._windowed.numbers(X, found), SLOTS)
        if task.classes:
            return task.forecast(usable, softmax(np.hstack([np.zeros((len(found), 1)), outputs]) if task.outputs == 2 else outputs))
        levels, horizons = self.settings.quantiles, self._ahead.horizons
        ahead = np.full((*usable.shape, len(horizons), len(levels)), np.nan)
        ahead[usable] = rearranged(outputs.reshape(len(found), len(horizons), len(levels)) * self._unit[:, None])
        quantiles = ahead[:, :, self._step]
        mean = mean_of_quantiles(quantiles, levels)
        return Forecast(mean=mean, quantiles=quantiles, levels=levels, ahead=ahead, horizons=horizons)

    def _told(self) -> State:
        return State({"step": self._step}, {"unit": self._unit.copy()}).nest("ahead", self._ahead.state())


_Part: TypeAlias = tuple[Features, Labels, Rows]


def _complete(y: Labels) -> Labels:
    """Labels of returns that have `ahead` in every row that counts: those of one horizon get one step."""
    if y.classes:
        return y
    if y.ahead is None:
        return replace(y, ahead=y.values[:, :, None], horizons=(y.horizon,))
    require(y.horizon in y.horizons, f"the label's horizon {y.horizon} is none of its horizons {y.horizons}")
    return replace(y, values=np.where(np.isfinite(y.ahead).all(axis=2), y.values, np.nan))


def _targets(y: Labels, rows: Rows) -> Array:
    """(row, step): the returns that `rows` are to learn."""
    assert y.ahead is not None, "labels of returns have been completed"
    return y.ahead[rows.time, rows.symbol]
