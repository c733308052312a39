"""Attention pooling: a window's rows as one vector, weighted by how much each row is worth looking at.

Paper: Lin et al. 2017, https://arxiv.org/abs/1703.03130, with a single head. Costs one product of rows and a vector. Fails to see the order
of the rows, which the net before it has to have written into them.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

__all__ = ["AttentionPooling"]


@final
class AttentionPooling(nn.Module):
    """(batch, window, width) -> (batch, width): the mean of the rows under softmax weights of a learned score."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, rows: Tensor) -> Tensor:
        """(batch, window): the share of each row; they sum to one."""
        scores: Tensor = self.score(torch.tanh(self.hidden(rows)))
        return torch.softmax(scores[:, :, 0].float(), dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        return (self.weights(rows)[:, :, None] * rows).sum(dim=1)
