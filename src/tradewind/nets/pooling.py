"""Attention pooling: a window's rows as one vector, weighted by what each is worth to the newest, with the newest beside them.

Paper: Bahdanau, Cho and Bengio 2015, https://arxiv.org/abs/1409.0473, asked by the newest row, which is joined to the answer as in Luong,
Pham and Manning 2015, https://arxiv.org/abs/1508.04025: what is true now must not have to outshout the window. Costs two products of rows
and a matrix. Fails to see the order of the rows, which the net before it has to have written into them.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

__all__ = ["AttentionPooling"]


@final
class AttentionPooling(nn.Module):
    """(batch, window, width) -> (batch, 2 width): the mean of the rows under softmax weights of a learned score, and the newest row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.query = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, rows: Tensor) -> Tensor:
        """(batch, window): the share of each row; they sum to one."""
        scores: Tensor = self.score(torch.tanh(self.hidden(rows) + self.query(rows[:, -1:])))
        return torch.softmax(scores[:, :, 0].float(), dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.cat([(self.weights(rows)[:, :, None] * rows).sum(dim=1), rows[:, -1]], dim=1)
