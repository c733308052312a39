"""All weights of a net in one vector: a clipped gradient and a copied net are then one operation each, a step of Adam six.

Sources: the flat buffers of Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054, at the other end of the scale: for small nets the
time goes into calling operations, not into them. Adam is Kingma and Ba 2015, https://arxiv.org/abs/1412.6980. Costs nothing after it is
made, since the net's own weights become views, and saves a tenth of an update of a net of 128-128. Fails silently where
weights are replaced rather than written to (`net.to(device)`, a new `Parameter`): move a net first, then make it flat.
"""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.errors import StateError
from tradewind.core.settings import require
from tradewind.core.types import State

__all__ = ["Adam", "FlatWeights"]

ALIGNED: Final = 16
"""Weights begin at multiples of 64 bytes, as those of a net of its own do: elsewhere products differ in their last bits."""
MEAN: Final = 0.9
SQUARE: Final = 0.999
LEAST: Final = 1e-8


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

    def clip(self, limit: float) -> Tensor:
        """Shrink the gradient to a length of at most `limit`; how long it was, a number on its device."""
        length: Tensor = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_((limit / (length + 1e-6)).clamp_(max=1.0))
        return length

    def follow(self, other: FlatWeights, rate: float) -> None:
        """Move the weights towards those of `other`, a net of the same build, by `rate`: all the way at 1."""
        self.weights.lerp_(other.weights, rate)


@final
class Adam:
    """Adam on the weights of a net in one vector: `learning_rate`, and the usual .9, .999 and 1e-8.

    It makes the step of `torch.optim.Adam` without the hundred calls of Python around it.
    """

    def __init__(self, flat: FlatWeights, learning_rate: float) -> None:
        self.flat, self.learning_rate, self.steps = flat, learning_rate, 0
        self.mean, self.square = torch.zeros_like(flat.weights), torch.zeros_like(flat.weights)

    def step(self) -> None:
        """Move the weights by what their gradient says."""
        self.steps += 1
        gradient = self.flat.gradient
        self.mean.lerp_(gradient, 1.0 - MEAN)
        self.square.mul_(SQUARE).addcmul_(gradient, gradient, value=1.0 - SQUARE)
        # Both moments begin at 0 and are too small at first; the correction is moved into the numbers around the vectors.
        correction = (1.0 - SQUARE**self.steps) ** 0.5
        size = self.learning_rate * correction / (1.0 - MEAN**self.steps)
        self.flat.weights.addcdiv_(self.mean, self.square.sqrt().add_(LEAST * correction), value=-size)

    def state(self) -> State:
        """The moments, and how many steps they are of."""
        return State({"steps": self.steps}, {"mean": _array(self.mean), "square": _array(self.square)})

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises StateError when it is of other weights."""
        for name, moment in (("mean", self.mean), ("square", self.square)):
            told = state.arrays[name]
            if told.shape != tuple(moment.shape):
                raise StateError(f"the saved optimiser is of {told.size} weights, this one of {len(moment)}; start without resume")
            moment.copy_(torch.tensor(told))
        self.steps = int(state.values["steps"])


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.cpu().numpy())
