"""One layer of a transformer encoder: attention between the rows of a window, then a small net on each, normalised before or after.

Papers: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 (normalised after); Xiong et al. 2020, https://arxiv.org/abs/2002.04745
(before, which trains without a warm-up of the learning rate). The same sums as torch's own layer, with a dropout that is four times as
fast on a CPU. Costs O(window * width * (window + width + feedforward)) a window. Fails to know the order of rows: positions must be in
them.
"""

from __future__ import annotations

import math
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.nets.dropout import Dropout

__all__ = ["EncoderLayer", "SelfAttention"]


@final
class EncoderLayer(nn.Module):
    """(batch, window, width) -> (batch, window, width); `first`: normalise before each part instead of after."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, first: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout, self.first = Dropout(dropout), first
        self.hidden = nn.Sequential(nn.Linear(width, feedforward), nn.ReLU(), Dropout(dropout), nn.Linear(feedforward, width))

    def forward(self, rows: Tensor) -> Tensor:
        if self.first:
            rows = rows + self.dropout(self.attention(self.before(rows)))
            return cast(Tensor, rows + self.dropout(self.hidden(self.after(rows))))
        rows = self.before(rows + self.dropout(self.attention(rows)))
        return cast(Tensor, self.after(rows + self.dropout(self.hidden(rows))))


@final
class SelfAttention(nn.Module):
    """(batch, window, width) -> (batch, window, width): each row a mean of all rows' values, `heads` times, weighted by likeness."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        for linear in (self.project, self.merge):
            nn.init.zeros_(linear.bias)

    def forward(self, rows: Tensor) -> Tensor:
        batch, window, width = rows.shape
        parts = self.project(rows).view(batch, window, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        if self.training:
            scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(2, 3)
            mixed = self.dropout(torch.softmax(scores, dim=3)) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.merge(mixed.transpose(1, 2).reshape(batch, window, width)))
