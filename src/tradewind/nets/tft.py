"""The Temporal Fusion Transformer: quantiles of what comes after a window, from its bars, its symbol and the calendar ahead.

Paper: Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363. Two things differ from it: an unknown symbol is the mean of the
known ones, and a bar's variable selection, which depends on the bar and its symbol alone, is computed once for every distinct bar of
a batch instead of once for every window that holds the bar. Costs, a window: about 24 hidden^2 products a step of the window and of the
horizons, and one variable selection a distinct bar. Fails where windows of other symbols say nothing about each other, and learns
noise on a few thousand rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.nets.tft_layers import GateAddNorm, GatedResidualNetwork, InterpretableAttention, VariableSelection
from tradewind.nets.windows import Windows

__all__ = ["Histories", "History", "Reading", "Sequences", "TFTSizes", "TemporalFusionTransformer"]


@final
class History(NamedTuple):
    """A batch whose bars are stored once, however many of its windows hold them.

    `bars` (bar, input) and `owner` (bar,), the number of the symbol that each belongs to; `place` (batch, window) positions in `bars`;
    `symbol` (batch,); `future` (batch, step, known): what is known of the steps ahead.
    """

    bars: Tensor
    owner: Tensor
    place: Tensor
    symbol: Tensor
    future: Tensor


@final
class Sequences(NamedTuple):
    """A batch in which every sample stands alone: `windows` (batch, window, input), and `symbol` and `future` as in History."""

    windows: Tensor
    symbol: Tensor
    future: Tensor

    def history(self) -> History:
        """The same batch with every window's bars one after the other."""
        batch, size = self.windows.shape[:2]
        place = torch.arange(batch * size, device=self.windows.device).view(batch, size)
        return History(self.windows.flatten(0, 1), self.symbol.repeat_interleave(size), place, self.symbol, self.future)


@final
@dataclass(frozen=True, eq=False)
class Histories:
    """The samples of a TFT, gathered on the device: `windows` of bars, whose they are, and what is known of the steps ahead.

    `owner` (row,) the symbol's number of each row of `windows`. The first number known of a step is its `distance` (step,); the others
    are those of a moment, a row of `known` (moment, known - 1), and `ahead` (window, step) tells which. With `shared` a batch has every
    distinct bar once, which is fast; without, its samples stand alone, which makes their answers independent of their company.
    """

    windows: Windows
    owner: Tensor
    distance: Tensor
    known: Tensor
    ahead: Tensor
    shared: bool = True

    def __len__(self) -> int:
        return len(self.windows)

    def gather(self, which: Tensor) -> History | Sequences:
        """The samples numbered `which` (batch,)."""
        ends = self.windows.ends[which]
        moments = self.known[self.ahead[which]]
        future = torch.cat([self.distance[None, :, None].expand(len(which), -1, 1), moments], dim=2)
        if not self.shared:
            return Sequences(self.windows.gather(which), self.owner[ends], future)
        positions = ends[:, None] + torch.arange(1 - self.windows.size, 1, device=ends.device)
        rows, place = torch.unique(positions, return_inverse=True)
        return History(self.windows.rows[rows], self.owner[rows], place, self.owner[ends], future)

    def take(self, which: NDArray[Any]) -> Histories:
        """Some of the samples, by mask or by number, in the order given; the rows are shared."""
        return replace(self, windows=self.windows.take(which), ahead=self.ahead[torch.from_numpy(which)])

    def to(self, device: torch.device) -> Histories:
        """The same samples on another device."""
        owner, distance, known, ahead = (part.to(device) for part in (self.owner, self.distance, self.known, self.ahead))
        return Histories(self.windows.to(device), owner, distance, known, ahead, self.shared)


@final
class Reading(NamedTuple):
    """What the net made of a batch, and how it came to it.

    `outputs` (batch, step, output); `bars` (bar, input): selection weights of each distinct bar; `steps` (batch, step, known): those of the
    steps ahead; `attention` (batch, step, window + step): where each step looked. Weights are positive and sum to one along the last axis.
    """

    outputs: Tensor
    bars: Tensor
    steps: Tensor
    attention: Tensor


@final
@dataclass(frozen=True)
class TFTSizes:
    """`window` bars, `hidden` units, `layers` of the LSTMs, `heads` of the attention, `dropout`.

    `embedding`: how many numbers an input is turned into before its own gated residual network. Raises SettingsError for sizes that
    cannot be.
    """

    window: int = 60
    hidden: int = 256
    layers: int = 2
    heads: int = 4
    embedding: int = 128
    dropout: float = 0.1

    def __post_init__(self) -> None:
        whole(window=self.window, hidden=self.hidden, layers=self.layers, heads=self.heads, embedding=self.embedding)
        require(self.hidden % self.heads == 0, f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        fraction(zero=True, dropout=self.dropout)


@final
class TemporalFusionTransformer(nn.Module):
    """A batch -> (batch, step, output), or (batch, output) with `single`, which needs one step: logits of classes.

    `inputs` numbers a bar, `known` numbers a step ahead, `symbols` symbols; number `symbols` stands for any other and is their mean.
    Static contexts are computed for the few symbols, not for the samples, and so without dropout.
    """

    def __init__(self, inputs: int, known: int, symbols: int, outputs: int, sizes: TFTSizes, single: bool = False) -> None:
        super().__init__()
        whole(inputs=inputs, known=known, symbols=symbols, outputs=outputs)
        hidden, layers, dropout = sizes.hidden, sizes.layers, sizes.dropout
        self.layers, self.single = layers, single
        self.symbols = nn.Parameter(torch.randn(symbols, hidden))
        self.static = nn.ModuleList(GatedResidualNetwork(hidden, hidden, hidden, 0.0) for _ in range(4))
        self.select_bars = VariableSelection(inputs, sizes.embedding, hidden, dropout)
        self.select_steps = VariableSelection(known, sizes.embedding, hidden, dropout)
        between = dropout if layers > 1 else 0.0
        self.encoder = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=between)
        self.decoder = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=between)
        self.local = GateAddNorm(hidden, dropout)
        self.enrich = GatedResidualNetwork(hidden, hidden, hidden, dropout, hidden)
        self.attention = InterpretableAttention(hidden, sizes.heads, dropout)
        self.attended = GateAddNorm(hidden, dropout)
        self.positionwise = GatedResidualNetwork(hidden, hidden, hidden, dropout)
        self.last = GateAddNorm(hidden, 0.0)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, batch: History | Sequences) -> Tensor:
        outputs = self.read(batch if isinstance(batch, History) else batch.history()).outputs
        return outputs[:, 0] if self.single else outputs

    def read(self, history: History) -> Reading:
        """The answer with the weights that led to it."""
        batch, steps, known = history.future.shape
        select, hidden, cell, enrich = self._contexts()
        selected, bar_weights = self.select_bars(history.bars, functional.embedding(history.owner, select))
        past = functional.embedding(history.place, selected)
        owner = history.symbol[:, None].expand(-1, steps)
        ahead, step_weights = self.select_steps(history.future.flatten(0, 1), functional.embedding(owner, select).flatten(0, 1))
        ahead = ahead.view(batch, steps, -1)
        state = [functional.embedding(history.symbol, each).expand(self.layers, -1, -1).contiguous() for each in (hidden, cell)]
        encoded, memory = self.encoder(past, (state[0], state[1]))
        decoded, _ = self.decoder(ahead, memory)
        local = self.local(torch.cat([encoded, decoded], dim=1), torch.cat([past, ahead], dim=1))
        enriched = self.enrich(local, functional.embedding(history.symbol, enrich)[:, None])
        looked, attention = self.attention(enriched[:, -steps:], enriched)
        settled = self.positionwise(self.attended(looked, enriched[:, -steps:]))
        outputs = self.head(self.last(settled, local[:, -steps:]))
        return Reading(outputs, bar_weights, step_weights.view(batch, steps, known), attention)

    def _contexts(self) -> list[Tensor]:
        """Four (symbol + 1, hidden): what the symbol says to selection, to the LSTM's two states, and to enrichment."""
        table = torch.cat([self.symbols, self.symbols.mean(dim=0, keepdim=True)])
        return [network(table) for network in self.static]
