"""The parts of a cross-attentive trend network: an encoder of sequences, and a decoder that looks at past episodes and what followed them.

Paper: Wood, Kessler, Roberts, Zohren 2023, https://arxiv.org/abs/2310.10500. One encoder serves all sequences, each answered
at its last step; the paper's embedding of symbols is left out, so that no symbol is unseen, and so is its variable selection.
Costs O(width * (inputs + width)) a step of each sequence, one step after the other, and O(targets * context * width) for the attention.
Fails where no past episode is like the present: attention is a mean of what it has seen, whatever that is.
"""

from __future__ import annotations

import math
from typing import Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.nets.tft_layers import GateAddNorm, GatedResidualNetwork

__all__ = ["CrossAttention", "PositionHead", "SequenceEncoder", "XTrendDecoder", "gaussian"]

LEAST_DEVIATION: Final = 1e-3
"""Below it no deviation is said, in units of the typical label: a likelihood has no other floor."""


@final
class SequenceEncoder(nn.Module):
    """(sample, step, input) or, of one step, (sample, input) -> (sample, width): an LSTM read at its last step, and the step itself."""

    def __init__(self, inputs: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        whole(inputs=inputs, width=width)
        fraction(zero=True, dropout=dropout)
        self.inputs = inputs
        self.lift = nn.Linear(inputs, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.near = GateAddNorm(width, dropout)
        self.feedforward = GatedResidualNetwork(width, width, width, dropout)

    def forward(self, sequences: Tensor) -> Tensor:
        require(sequences.shape[-1] == self.inputs, f"a step has {sequences.shape[-1]} inputs, the encoder was made for {self.inputs}")
        steps = self.lift(sequences[:, None] if sequences.dim() == 2 else sequences)
        return cast(Tensor, self.feedforward(self.near(self.lstm(steps)[0][:, -1], steps[:, -1])))


@final
class CrossAttention(nn.Module):
    """Queries (task, query, width), keys and values (task, sample, width) -> (task, query, width), and the shares (task, query, sample).

    `absent` (task, sample) marks samples that are padding. The shares are the mean over heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        whole(width=width, heads=heads)
        require(width % heads == 0, f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.queries, self.keys, self.values = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, asked: Tensor, keys: Tensor, values: Tensor, absent: Tensor | None = None) -> tuple[Tensor, Tensor]:
        queries, keys, values = (
            layer(part).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, part in ((self.queries, asked), (self.keys, keys), (self.values, values))
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])
        if absent is not None:
            scores = scores.masked_fill(absent[:, None, None], -math.inf)
        shares = torch.softmax(scores, dim=3)
        return self.out((shares @ values).transpose(1, 2).flatten(2)), shares.mean(dim=1)


@final
class XTrendDecoder(nn.Module):
    """Answers encoded targets from encoded episodes and their labels, both (task, sample, width).

    `labels` is how many numbers a label has (a class as one-hot), `outputs` how many are answered.
    """

    def __init__(self, width: int, labels: int, outputs: int, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        whole(labels=labels, outputs=outputs)
        fraction(zero=True, dropout=dropout)
        self.value = GatedResidualNetwork(width, width, width, dropout, context=labels)
        self.among, self.across = CrossAttention(width, heads), CrossAttention(width, heads)
        self.after_among = GateAddNorm(width, dropout)
        self.attended = GatedResidualNetwork(width, width, width, dropout)
        self.decode = GatedResidualNetwork(width, width, width, dropout, context=width)
        self.head = nn.Linear(width, outputs)

    def episodes(self, encoded: Tensor, labels: Tensor, absent: Tensor | None = None) -> Tensor:
        """(task, sample, width): what each episode and its label (task, sample, label) tell, in the light of the other episodes."""
        told = self.value(encoded, labels)
        return cast(Tensor, self.after_among(self.among(told, told, told, absent)[0], told))

    def forward(self, asked: Tensor, encoded: Tensor, told: Tensor, absent: Tensor | None = None) -> Tensor:
        """(task, query, outputs)."""
        recalled = self.attended(self.across(asked, encoded, told, absent)[0])
        return cast(Tensor, self.head(self.decode(asked, recalled)))


@final
class PositionHead(nn.Module):
    """(..., 1) mean and deviation of a return -> (...,) the position to hold, in (-1, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.ELU(), nn.Linear(width, 1))

    def forward(self, mean: Tensor, deviation: Tensor) -> Tensor:
        return torch.tanh(self.layers(torch.cat([mean, deviation], dim=-1)))[..., 0]


def gaussian(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(..., outputs) means and deviations of raw answers (..., 2 * outputs)."""
    mean, spread = raw.chunk(2, dim=-1)
    return mean, LEAST_DEVIATION + functional.softplus(spread)
