"""Linear layers whose weights carry learned noise: exploration that the net itself turns down where it is sure.

Paper: Fortunato et al. 2018, https://arxiv.org/abs/1706.10295 (factorised Gaussian noise, section 3). Costs a pass over the weights
where a batch shares its noise, a second product of matrices where each row has its own, and nothing where it is silent. Fails to learn
where there is less to learn than noise: units that carry more noise than signal are turned off, and rectified ones do not come back. Keeps
its noise where no gradient comes: in states that are seldom drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import number, whole

__all__ = ["SIGMA", "NoisyLinear", "attach", "draw", "redraw", "silence"]

SIGMA: Final = 0.5
"""The paper's first deviation of the noise, before the division by the square root of the number of inputs."""


@final
class NoisyLinear(nn.Module):
    """(batch, inputs) -> (batch, outputs): a linear layer with weight mean + deviation * noise, silent until `attach`.

    The noise of weight (j, i) is g(e_j) g(e_i) with g(e) = sign(e) sqrt(|e|): one e an input and an output, not one a weight. It is neither
    learned nor saved. `sigma` is the first deviation times the square root of `inputs`.
    """

    def __init__(self, inputs: int, outputs: int, sigma: float = SIGMA) -> None:
        super().__init__()
        whole(inputs=inputs, outputs=outputs)
        number(sigma=sigma)
        reach, deviation = 1.0 / math.sqrt(inputs), sigma / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-reach, reach))
        self.weight_deviation = nn.Parameter(torch.full((outputs, inputs), deviation))
        self.bias_deviation = nn.Parameter(torch.full((outputs,), deviation))
        self.noise: tuple[Tensor, Tensor] | None = None

    def forward(self, values: Tensor) -> Tensor:
        if self.noise is None:
            return functional.linear(values, self.weight, self.bias)
        at_inputs, at_outputs = self.noise
        if len(at_inputs) == 1:
            weight = torch.addcmul(self.weight, self.weight_deviation, at_outputs.T * at_inputs)
            return functional.linear(values, weight, torch.addcmul(self.bias, self.bias_deviation, at_outputs[0]))
        # A weight's noise is a product, so it can be put on inputs and outputs: that is how each row has its own.
        stray = functional.linear(values * at_inputs, self.weight_deviation, self.bias_deviation)
        return functional.linear(values, self.weight, self.bias) + at_outputs * stray

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"inputs={inputs}, outputs={outputs}"


def redraw(layers: Sequence[NoisyLinear], rows: int = 1) -> None:
    """New noise in `layers`, from torch's random state: one for a whole batch, or one for each of its `rows`."""
    if layers:
        attach(layers, draw(layers, rows))


def draw(layers: Sequence[NoisyLinear], rows: int = 1) -> Tensor:
    """(rows, inputs and outputs of all `layers`, one at least) noise for `attach`, from torch's random state."""
    drawn = torch.randn(rows, sum(_sizes(layers)), device=layers[0].weight.device)
    return drawn.sign() * drawn.abs().sqrt()


def attach(layers: Sequence[NoisyLinear], noise: Tensor) -> None:
    """Let `layers` answer under `noise` of `draw`, until another one: one row for a whole batch, or a row for each of its own."""
    parts = torch.split(noise, _sizes(layers), dim=1)
    for layer, at_inputs, at_outputs in zip(layers, parts[::2], parts[1::2], strict=True):
        layer.noise = at_inputs, at_outputs


def silence(layers: Sequence[NoisyLinear]) -> None:
    """No noise in `layers`: they answer by the means of their weights."""
    for layer in layers:
        layer.noise = None


def _sizes(layers: Sequence[NoisyLinear]) -> list[int]:
    return [size for layer in layers for size in reversed(layer.weight.shape)]
