"""Episodes of a walk: at a bar, the latest samples of a symbol whose labels are known are the support, the bars from there on the query.

Source: the episodes of Vinyals et al. 2016, https://arxiv.org/abs/1606.04080, laid along time: what is met when learning to adapt is what
will be met when trading. Costs some ten microseconds a task once the inputs are there; an adaptation costs what its learner costs. Fails to
be a fair sample where a symbol has little history: episodes of one symbol overlap, and a thousand of them may be one year seen often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.labels.returns import horizon_return
from tradewind.meta.base import MetaLearner
from tradewind.meta.tasks import Task
from tradewind.nets.device import reproducible

__all__ = ["CLASSES", "Adapted", "Answer", "Context", "Episodes", "Shots", "Support", "shown"]

REACH: Final = 4
"""A support is looked for among so many times its own number of bars: a symbol whose bars are missing that often is not answered."""
FARTHEST: Final = 5.0
"""Returns beyond so many times the size of the support's are cut: one crash would otherwise outweigh all that is learned."""
CLASSES: Final = (-1.0, 1.0)
"""The classes of a direction: down or unchanged, and up."""


@final
@dataclass(frozen=True)
class Shots:
    """What an episode is made of.

    `target`: the `direction` or the `return` of the symbol's next `horizon` bars. `support`: how many samples are adapted on, `query`: how
    many are answered when learning to adapt. `every`: bars between two adaptations. Raises SettingsError for what cannot be.
    """

    target: Literal["direction", "return"] = "direction"
    horizon: int = 1
    support: int = 20
    query: int = 20
    every: int = 5

    def __post_init__(self) -> None:
        require(self.target in ("direction", "return"), f"target is {self.target!r}; it is one of direction, return")
        whole(2, support=self.support)
        whole(horizon=self.horizon, query=self.query, every=self.every)

    @property
    def span(self) -> int:
        """Rows, up to the bar of an adaptation, among which its support lies."""
        return REACH * self.support + self.horizon

    @property
    def reach(self) -> int:
        """Rows, up to a bar, that its answer depends on."""
        return self.span + self.every - 1

    @property
    def first(self) -> int:
        """Complete rows, the last included, after which there surely is an answer."""
        return self.support + self.horizon + self.every - 1


@final
@dataclass(frozen=True, eq=False)
class Support:
    """Samples to adapt on: their `rows` in the panel, ascending; `inputs` (sample, feature) float32 and `labels`, int64 classes
    (sample,) or float32 returns (sample, 1) in units of `unit`, their root mean square."""

    rows: NDArray[np.int64]
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64] | NDArray[np.float32]
    unit: float

    @property
    def key(self) -> bytes:
        """Equal for supports that adapt alike."""
        return self.inputs.tobytes() + self.labels.tobytes()


@final
@dataclass(frozen=True, eq=False)
class Context:
    """Samples of past episodes, of any symbol: `inputs` (sample, feature) and `labels` as those of a Support."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64] | NDArray[np.float32]


def shown(context: Context | None, support: Support) -> tuple[Tensor, Tensor]:
    """The inputs (sample, feature) and labels to adapt on: those of the context, if there is one, and behind them those of the support."""
    parts = [support] if context is None else [context, support]
    inputs, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("inputs", "labels"))
    return torch.from_numpy(inputs), torch.from_numpy(labels)


@final
class Episodes:
    """Every support and every episode of `market`, whose scaled inputs are `inputs` (time, symbol, feature), NaN where there are none.

    Row t of a symbol is a sample where its inputs are finite. Its support is as of the first bar of its adaptation period: bars are
    numbered since 1970 and a period has `shots.every` of them, so that a period is the same whatever history it is looked at from.
    """

    def __init__(self, inputs: Array, market: Market, shots: Shots) -> None:
        self.inputs, self.shots = inputs.astype(np.float32), shots
        self.usable: NDArray[np.bool_] = np.asarray(np.isfinite(self.inputs).all(axis=2))
        labels = horizon_return(market, shots.horizon)
        self.returns = labels.values
        numbers = market.open_time // market.step
        period = numbers // shots.every
        self.moments = np.searchsorted(period, period)
        """(time,) the row as of which each row is adapted."""
        self.slots = (numbers % shots.every).astype(np.int64)
        answered = self.usable & (labels.end >= 0)
        self._rows = [np.flatnonzero(column) for column in answered.T]
        self._ends = [labels.end[rows, symbol] for symbol, rows in enumerate(self._rows)]

    def support(self, moment: int, symbol: int) -> Support | None:
        """The latest samples of a symbol whose labels are known at the close of row `moment`; None where they are too few.

        Where all of them went the same way the oldest makes room for the latest one before it that went the other, since one class
        teaches nothing; None where there is none in reach, and where no return moved.
        """
        rows, ends = self._rows[symbol], self._ends[symbol]
        last = int(np.searchsorted(ends, moment, side="right"))
        begin = int(np.searchsorted(rows, moment - self.shots.span, side="right"))
        if last - begin < self.shots.support:
            return None
        chosen = rows[last - self.shots.support : last]
        moves = self.returns[chosen, symbol]
        if self.shots.target == "direction" and (moves > 0).all() == (moves > 0).any():
            earlier = rows[begin : last - self.shots.support]
            other = earlier[(self.returns[earlier, symbol] > 0) != (moves[0] > 0)]
            if not len(other):
                return None
            chosen = np.concatenate([other[-1:], chosen[1:]])
            moves = self.returns[chosen, symbol]
        unit = float(np.sqrt(np.mean(moves**2)))
        if not unit > 0:
            return None
        return Support(chosen, self.inputs[chosen, symbol], self._labels(moves, unit), unit)

    def beginnings(self) -> NDArray[np.int64]:
        """(episode, 2): every (row, symbol) at which there are enough labels before and enough answered samples from there on."""
        shots, found = self.shots, []
        for symbol, (rows, ends) in enumerate(zip(self._rows, self._ends, strict=True)):
            moments = rows[: max(0, len(rows) - shots.query + 1)]
            known = np.searchsorted(ends, moments, side="right") - np.searchsorted(rows, moments - shots.span, side="right")
            enough = moments[known >= shots.support]
            found.append(np.column_stack([enough, np.full(len(enough), symbol)]))
        return np.concatenate(found).astype(np.int64)

    def context(self, beginnings: NDArray[np.int64], count: int, random: np.random.Generator) -> Context | None:
        """The supports of `count` of the `beginnings`, drawn by `random`; None where `count` is 0. Those that cannot teach are left out."""
        if count == 0 or len(beginnings) == 0:
            return None
        drawn = beginnings[np.sort(random.integers(len(beginnings), size=count))]
        found = [support for moment, symbol in drawn if (support := self.support(int(moment), int(symbol))) is not None]
        return Context(*(np.concatenate(part) for part in zip(*((s.inputs, s.labels) for s in found), strict=True))) if found else None

    def task(self, moment: int, symbol: int, context: Context | None = None) -> Task | None:
        """The episode that begins at one of the `beginnings`, after a `context`; None where its support cannot teach."""
        support = self.support(moment, symbol)
        if support is None:
            return None
        data, labels = shown(context, support)
        rows = self._rows[symbol]
        begin = int(np.searchsorted(rows, moment))
        asked = rows[begin : begin + self.shots.query]
        return {
            "support_data": data,
            "support_labels": labels,
            "query_data": torch.from_numpy(self.inputs[asked, symbol]),
            "query_labels": torch.from_numpy(self._labels(self.returns[asked, symbol], support.unit)),
        }

    def _labels(self, moves: Array, unit: float) -> NDArray[np.int64] | NDArray[np.float32]:
        if self.shots.target == "direction":
            return (moves > 0).astype(np.int64)
        return np.clip(moves / unit, -FARTHEST, FARTHEST).astype(np.float32)[:, None]


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What adapted models said: `outputs` (time, symbol, output) float64, NaN where nothing was asked, and the `unit` (time, symbol) of
    each answer's support."""

    outputs: Array
    unit: Array


@final
class Adapted:
    """Adapts `learner` as a market goes by, and asks it: `steps` None takes as many as were trained. `context` stands before all supports.

    The model of a symbol's last support is kept, so that bars of one period share an adaptation; the answers do not depend on that.
    """

    def __init__(self, learner: MetaLearner, steps: int | None = None, context: Context | None = None) -> None:
        self.learner, self.steps, self.context = learner, steps, context
        self._kept: dict[int, tuple[bytes, torch.nn.Module]] = {}

    def answer(self, episodes: Episodes, first: int, outputs: int) -> Answer:
        """The answers for rows from `first` on. A period's rows are asked together in a batch of one fixed shape, each at its own place,
        so that a row gets the same bits when it is asked alone."""
        times, symbols = episodes.usable.shape
        said = Answer(np.full((times, symbols, outputs), np.nan), np.full((times, symbols), np.nan))
        borders = np.flatnonzero(np.diff(episodes.moments[first:])) + 1
        with reproducible(None):
            for rows in np.split(np.arange(first, times), borders):
                for symbol in np.flatnonzero(episodes.usable[rows].any(axis=0)):
                    self._period(episodes, rows[episodes.usable[rows, symbol]], int(symbol), said)
        return said

    def _period(self, episodes: Episodes, rows: NDArray[np.int64], symbol: int, said: Answer) -> None:
        support = episodes.support(int(episodes.moments[rows[0]]), symbol)
        if support is None:
            return
        block = torch.zeros((episodes.shots.every, episodes.inputs.shape[2]))
        places = torch.from_numpy(episodes.slots[rows])
        block[places] = torch.from_numpy(episodes.inputs[rows, symbol])
        model = self._model(support, symbol)
        with torch.no_grad():
            said.outputs[rows, symbol] = model(block)[places].double().numpy()
        said.unit[rows, symbol] = support.unit

    def _model(self, support: Support, symbol: int) -> torch.nn.Module:
        key, model = self._kept.get(symbol, (b"", None))
        if model is None or key != support.key:
            model = self.learner.few_shot_adapt(*shown(self.context, support), self.steps)
            self._kept[symbol] = (support.key, model)
        return model
