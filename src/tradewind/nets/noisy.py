"""Linear layers whose weights carry learned noise: exploration that the net itself turns down where it is sure.

Paper: Fortunato et al. 2018, https://arxiv.org/abs/1706.10295 (factorised Gaussian noise, section 3a and 3.2). Costs a second product of
matrices where noise is drawn, nothing where it is silent. Fails to explore where the layers before it are dead, and leaves noise where
a gradient never comes: in states that do not matter for the loss.
"""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import number, whole

__all__ = ["SIGMA", "NoisyLinear", "redraw", "silence"]

SIGMA: Final = 0.5
"""The paper's first deviation of the noise, before the division by the square root of the number of inputs."""


@final
class NoisyLinear(nn.Module):
    """(batch, inputs) -> (batch, outputs): a linear layer with weight mean + deviation * noise, silent until `redraw`.

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
        answer = functional.linear(values, self.weight, self.bias)
        if self.noise is None:
            return answer
        # The noise of a weight is a product, so it can be put on the inputs and outputs; then each row may have its own.
        at_inputs, at_outputs = self.noise
        return answer + at_outputs * functional.linear(values * at_inputs, self.weight_deviation, self.bias_deviation)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"inputs={inputs}, outputs={outputs}"


def redraw(net: nn.Module, rows: int = 1) -> None:
    """New noise in every noisy layer of `net`, from torch's random state: one for a whole batch, or one for each of its `rows`."""
    for layer in net.modules():
        if isinstance(layer, NoisyLinear):
            outputs, inputs = layer.weight.shape
            drawn = torch.randn(rows, inputs + outputs, device=layer.weight.device)
            shaped = drawn.sign() * drawn.abs().sqrt()
            layer.noise = shaped[:, :inputs], shaped[:, inputs:]


def silence(net: nn.Module) -> None:
    """No noise in any layer of `net`: it answers by the means of its weights."""
    for layer in net.modules():
        if isinstance(layer, NoisyLinear):
            layer.noise = None
