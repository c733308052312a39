"""Nets that read a sequence of bars and answer, at every step, with the position to hold: an LSTM, and a decoder of the TFT's parts.

Papers: Lim, Zohren, Roberts 2019, https://arxiv.org/abs/1904.04912 (an LSTM whose output is the position); Wood, Giegerich, Roberts,
Zohren 2021, https://arxiv.org/abs/2112.08654 (the momentum transformer: an LSTM for the near, causal attention with shared values for
the far, gated skips between them; its variable selection and static inputs are left out here). Costs O(window * width^2) a sequence, and
O(window^2 * width) for the attention; the LSTM's steps follow one another, which no batch makes faster. Fails on few bars: it learns noise.
"""

from __future__ import annotations

import math
from typing import Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require

__all__ = ["KINDS", "PositionNet"]

KINDS: Final = ("lstm", "transformer")


@final
class PositionNet(nn.Module):
    """(..., step, column) -> (..., step) positions: in (-1, 1) by tanh, or in (0, 1) with `long_only`.

    The answer of a step depends on it and the steps before it in the sequence, never on later ones. `kind` is one of KINDS; `width` hidden
    units; `heads` for the attention of `transformer` alone. Raises SettingsError for sizes that cannot be.
    """

    def __init__(
        self, columns: int, kind: str = "lstm", width: int = 16, heads: int = 4, dropout: float = 0.2, long_only: bool = False
    ) -> None:
        super().__init__()
        whole(columns=columns, width=width, heads=heads)
        fraction(zero=True, dropout=dropout)
        require(kind in KINDS, f"net {kind!r} is none of {', '.join(KINDS)}")
        require(kind == "lstm" or width % heads == 0, f"width {width} is not a multiple of heads {heads}")
        self.long_only = long_only
        self.dropout = nn.Dropout(dropout)
        self.body: nn.Module = _Recurrent(columns, width) if kind == "lstm" else _Decoder(columns, width, heads, dropout)
        self.head = nn.Linear(width, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        flat = sequences.reshape(-1, *sequences.shape[-2:])
        score = self.head(self.dropout(self.body(flat)))[..., 0]
        position = torch.sigmoid(score) if self.long_only else torch.tanh(score)
        return position.reshape(sequences.shape[:-1])


@final
class _Recurrent(nn.Module):
    """(batch, step, column) -> (batch, step, width): one LSTM, forward in time alone."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(columns, width, batch_first=True)

    def forward(self, sequences: Tensor) -> Tensor:
        return cast(Tensor, self.lstm(sequences)[0])


@final
class _Decoder(nn.Module):
    """(batch, step, column) -> (batch, step, width): LSTM, enrichment, causal attention and feedforward, each behind a gated skip."""

    def __init__(self, columns: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(columns, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.enrich, self.feedforward = _Residual(width, dropout), _Residual(width, dropout)
        self.attention = _Attention(width, heads, dropout)
        self.after_lstm, self.after_attention, self.after_all = (_GatedSkip(width, dropout) for _ in range(3))

    def forward(self, sequences: Tensor) -> Tensor:
        embedded = self.embed(sequences)
        local = self.after_lstm(self.lstm(embedded)[0], embedded)
        enriched = self.enrich(local)
        attended = self.after_attention(self.attention(enriched), enriched)
        return cast(Tensor, self.after_all(self.feedforward(attended), local))


@final
class _GatedSkip(nn.Module):
    """LayerNorm(old + GLU(new)): the gate can close what is new, so that a small set of data is met with a small net."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gate = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, new: Tensor, old: Tensor) -> Tensor:
        return cast(Tensor, self.norm(old + functional.glu(self.gate(self.dropout(new)), dim=-1)))


@final
class _Residual(nn.Module):
    """The gated residual network of the TFT: two layers with an ELU between, behind a gated skip."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.skip = _GatedSkip(width, dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.skip(self.second(functional.elu(self.first(inputs))), inputs))


@final
class _Attention(nn.Module):
    """Interpretable multi-head attention: every head has queries and keys of its own, all share the values; no step sees a later one."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.queries, self.keys = nn.Linear(width, width), nn.Linear(width, width)
        self.values, self.out = nn.Linear(width, self.size), nn.Linear(self.size, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        batch, steps, _ = inputs.shape
        queries, keys = (layer(inputs).reshape(batch, steps, self.heads, self.size).transpose(1, 2) for layer in (self.queries, self.keys))
        later = torch.ones(steps, steps, dtype=torch.bool, device=inputs.device).triu(1)
        scores = (queries @ keys.transpose(2, 3) / math.sqrt(self.size)).masked_fill(later, float("-inf"))
        # With shared values the mean over heads may be taken before the values are weighed.
        share = self.dropout(torch.softmax(scores, dim=-1)).mean(dim=1)
        return cast(Tensor, self.out(share @ self.values(inputs)))
