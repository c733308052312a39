"""The parts of the Temporal Fusion Transformer: gated units, gated residual networks, variable selection, attention that can be read.

Paper: Lim, Arik, Loeff and Pfister 2021, https://arxiv.org/abs/1912.09363, equations 2 to 5 (gates), 6 to 8 (selection) and 13 to 16
(attention). Costs, a row: a gated residual network 4 hidden^2 products, a selection inputs * embedding * (embedding + 3 hidden).
All inputs of a selection go through one batched product, not one after the other. Fails to say why: a selection weight tells how much of an
input's encoding passes, not which way it moves the answer.
"""

from __future__ import annotations

import math
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GateAddNorm", "GatedLinearUnit", "GatedResidualNetwork", "InterpretableAttention", "VariableSelection"]


@final
class GatedLinearUnit(nn.Module):
    """(..., inputs) -> (..., outputs): dropout, then sigmoid(W4 x + b4) * (W5 x + b5), equation 5."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = _linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.glu(self.linear(self.dropout(x)), dim=-1)


@final
class GateAddNorm(nn.Module):
    """(..., hidden) and a skip of the same shape -> LayerNorm(skip + GLU(x))."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gate = GatedLinearUnit(hidden, hidden, dropout)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return cast(Tensor, self.norm(skip + self.gate(x)))


@final
class GatedResidualNetwork(nn.Module):
    """(..., inputs) -> (..., outputs): LayerNorm(skip + GLU(W1 ELU(W2 x + W3 c + b2) + b1)), equations 2 to 4.

    `context`: the length of c (..., context), 0 for none. The skip is x itself, or a linear map of it where `outputs` is another number.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float, context: int = 0) -> None:
        super().__init__()
        self.first, self.second = _linear(inputs, hidden), _linear(hidden, hidden)
        self.context = _linear(context, hidden, bias=False) if context else None
        self.gate = GatedLinearUnit(hidden, outputs, dropout)
        self.skip = _linear(inputs, outputs) if inputs != outputs else None
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        inner = self.first(x)
        if self.context is not None and context is not None:
            inner = inner + self.context(context)
        skip = x if self.skip is None else self.skip(x)
        return cast(Tensor, self.norm(skip + self.gate(self.second(functional.elu(inner)))))


@final
class VariableSelection(nn.Module):
    """(row, input) numbers and a context (row, hidden) -> their weighted encoding (row, hidden) and the weights (row, input).

    Each input has an affine `embedding` and a gated residual network of its own; the weights are a softmax over one that sees all of
    them. The networks' matrices are stacked, (input, in, out).
    """

    def __init__(self, inputs: int, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__()
        # A shift of zero would make the norm after the skip forget an input's size: x * a and 2 * x * a have the same direction.
        self.scale, self.shift = _uniform(1.0, inputs, 1, embedding), _uniform(1.0, inputs, 1, embedding)
        self.first, self.first_bias = _stacked(inputs, embedding, embedding), _zeros(inputs, 1, embedding)
        self.second, self.second_bias = _stacked(inputs, embedding, embedding), _zeros(inputs, 1, embedding)
        self.gate, self.gate_bias = _stacked(inputs, embedding, 2 * hidden), _zeros(inputs, 1, 2 * hidden)
        self.skip, self.skip_bias = _stacked(inputs, embedding, hidden), _zeros(inputs, 1, hidden)
        self.gain, self.offset = nn.Parameter(torch.ones(inputs, 1, hidden)), _zeros(inputs, 1, hidden)
        self.dropout = nn.Dropout(dropout)
        self.weigh = GatedResidualNetwork(inputs * embedding, min(hidden, inputs), inputs, dropout, hidden)

    def forward(self, values: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        embedded = values.t()[:, :, None] * self.scale + self.shift
        weights = torch.softmax(self.weigh(embedded.transpose(0, 1).flatten(1), context), dim=1)
        encoded = self._encode(embedded) * weights.t()[:, :, None]
        return encoded.sum(dim=0), weights

    def _encode(self, embedded: Tensor) -> Tensor:
        """(input, row, embedding) -> (input, row, hidden): every input through its own network."""
        inner = functional.elu(torch.baddbmm(self.first_bias, embedded, self.first))
        inner = self.dropout(torch.baddbmm(self.second_bias, inner, self.second))
        gated = functional.glu(torch.baddbmm(self.gate_bias, inner, self.gate), dim=-1)
        summed = gated + torch.baddbmm(self.skip_bias, embedded, self.skip)
        return functional.layer_norm(summed, summed.shape[-1:]) * self.gain + self.offset


@final
class InterpretableAttention(nn.Module):
    """Queries (batch, step, hidden) on positions (batch, position, hidden) -> (batch, step, hidden), and who looked where.

    Heads have queries and keys of their own but share their values, so that the mean of their weights (batch, step, position), which is
    returned, is exactly what was used (equations 13 to 16). The last positions are the steps themselves; a step sees none after itself.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.queries, self.keys = _linear(hidden, hidden), _linear(hidden, hidden)
        self.values = _linear(hidden, hidden // heads)
        self.output = _linear(hidden // heads, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        (batch, n, hidden), length = steps.shape, positions.shape[1]
        each = hidden // self.heads
        queries = self.queries(steps).view(batch, n, self.heads, each).transpose(1, 2)
        keys = self.keys(positions).view(batch, length, self.heads, each).permute(0, 2, 3, 1)
        hidden_from = torch.ones(n, length, dtype=torch.bool, device=steps.device).triu(length - n + 1)
        scores = (queries @ keys).float() / math.sqrt(each)
        weights = torch.softmax(scores.masked_fill(hidden_from, -math.inf), dim=-1).mean(dim=1)
        return self.dropout(self.output(weights @ self.values(positions))), weights


def _linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _stacked(count: int, inputs: int, outputs: int) -> nn.Parameter:
    """`count` matrices (inputs, outputs), each Xavier uniform by its own sizes."""
    return _uniform(math.sqrt(6.0 / (inputs + outputs)), count, inputs, outputs)


def _uniform(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))
