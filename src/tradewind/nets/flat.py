"""All weights of a net in one vector: an optimiser's step, a clipped gradient and a copied net are then one operation each.

Source: the flat buffers of Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054, at the other end of the scale: for small nets the
time goes into calling operations, not into them. Costs nothing after it is made: the net's own weights become views. Fails silently where
weights are replaced rather than written to (`net.to(device)`, a new `Parameter`): move a net first, then make it flat.
"""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from tradewind.core.settings import require

__all__ = ["FlatWeights"]

ALIGNED: Final = 16
"""Weights begin at multiples of 64 bytes, as those of a net of its own do: elsewhere products differ in their last bits."""


@final
class FlatWeights:
    """The weights of `net` as one vector: `weights` (count,), and `gradient` (count,), into which backward passes add.

    Between two parameters stand zeros that no gradient reaches, up to the next multiple of 16.
    """

    def __init__(self, net: nn.Module) -> None:
        parameters = list(net.parameters())
        require(len(parameters) > 0, "this net has no weights")
        sizes = [-(-parameter.numel() // ALIGNED) * ALIGNED for parameter in parameters]
        self.weights: Tensor = torch.zeros(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)
        self.gradient: Tensor = torch.zeros_like(self.weights)
        start = 0
        for parameter, size in zip(parameters, sizes, strict=True):
            own = slice(start, start + parameter.numel())
            self.weights[own] = parameter.detach().reshape(-1)
            parameter.data, parameter.grad = self.weights[own].view_as(parameter), self.gradient[own].view_as(parameter)
            start += size

    def parameter(self) -> nn.Parameter:
        """The vector as an optimiser wants it, with its gradient."""
        whole = nn.Parameter(self.weights)
        whole.grad = self.gradient
        return whole

    def clip(self, limit: float) -> Tensor:
        """Shrink the gradient to a length of at most `limit`; how long it was, a number on its device."""
        length: Tensor = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_((limit / (length + 1e-6)).clamp_(max=1.0))
        return length

    def follow(self, other: FlatWeights, rate: float) -> None:
        """Move the weights towards those of `other`, a net of the same build, by `rate`: all the way at 1."""
        with torch.no_grad():
            self.weights.lerp_(other.weights, rate)
