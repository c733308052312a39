"""An actor and a critic side by side: two towers of equal width that share nothing, one ending in a policy, the other in a value.

Papers: Mnih et al. 2016, https://arxiv.org/abs/1602.01783 (an actor with a critic); Andrychowicz et al. 2021,
https://arxiv.org/abs/2006.05990 (separate towers, tanh, a last policy layer a hundred times smaller); Saxe, McClelland, Ganguli 2014,
https://arxiv.org/abs/1312.6120 (orthogonal weights). Costs O(inputs * hidden + hidden^2) an observation, and three times that to learn
from it; in bfloat16, on a processor that has it, a quarter of the time. Fails where one observation does not tell the state: it remembers
nothing, so give it a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.limits import number, whole
from tradewind.core.settings import require

__all__ = ["ACTIVATIONS", "ActorCritic", "Tower"]

ACTIVATIONS: Final = ("tanh", "relu")
PIECE: Final = 2_048
"""Rows that a processor climbs with at once: what a layer of 256 answers to more falls out of its cache."""
FEW: Final = 16
"""For so few rows calling oneDNN takes longer than the products: 15 microseconds a layer beside 4."""


@final
class Tower(nn.Module):
    """(batch, inputs) -> (batch, outputs) float32: hidden layers, each with its activation, and a linear one, `gain` times as large.

    All weights lie in one vector, `weights`: an optimiser then takes one step for all of them, which in small batches is most of its time.
    With `half` hidden layers multiply in bfloat16, while weights, sums of products and the last layer stay float32. Gradients flow to the
    weights, not to the inputs. Raises SettingsError for sizes that cannot be.
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int], activation: str = "tanh", gain: float = 1.0) -> None:
        super().__init__()
        require(len(hidden) > 0, "hidden is empty; name the width of one hidden layer at least, such as (256, 256, 128)")
        for name, width in (("inputs", inputs), ("outputs", outputs), *(("hidden", width) for width in hidden)):
            whole(**{name: width})
        require(activation in ACTIVATIONS, f"activation {activation!r} is none of {', '.join(ACTIVATIONS)}")
        self.activation = activation
        self.shapes = [(after, before) for before, after in pairwise([inputs, *hidden, outputs])]
        self.weights = nn.Parameter(torch.zeros(sum(after * (before + 1) for after, before in self.shapes)))
        for number_of, (weight, _) in enumerate(_layers(self.weights.detach(), self.shapes), 1):
            nn.init.orthogonal_(weight, gain if number_of == len(self.shapes) else math.sqrt(2.0))

    def forward(self, inputs: Tensor, half: bool = False) -> Tensor:
        if len(inputs) <= FEW and not torch.is_grad_enabled():
            return self.reader(half)(inputs)
        pieces = torch.split(inputs, PIECE) if inputs.device.type == "cpu" else (inputs,)
        said = [_Climb.apply(self.weights, piece, self.shapes, self.activation, half) for piece in pieces]  # type: ignore[no-untyped-call]
        return cast(Tensor, said[0] if len(said) == 1 else torch.cat(said))

    def reader(self, half: bool = False) -> Callable[[Tensor], Tensor]:
        """The same without gradients, under the weights of now, for many calls: weights are cast and cut once."""
        kind, flat = torch.bfloat16 if half else torch.float32, self.weights.detach()
        inner, last = _layers(flat.to(kind), self.shapes)[:-1], _layers(flat, self.shapes)[-1]

        def read(inputs: Tensor) -> Tensor:
            reached = inputs.to(kind)
            for layer in inner:
                reached = _linear(reached, *layer, self.activation)
            return functional.linear(reached.float(), *last)

        return read


@final
class ActorCritic(nn.Module):
    """(batch, inputs) -> what the policy says (batch, actions), and values (batch,), both float32.

    For discrete actions the policy says logits. With a `deviation` it says means of Gaussians, whose logarithmic deviations are
    the parameter `log_deviation` (actions,), the same wherever the agent is. Raises SettingsError for sizes that cannot be.
    """

    def __init__(
        self, inputs: int, actions: int, hidden: Sequence[int] = (256, 256, 128), activation: str = "tanh", deviation: float | None = None
    ) -> None:
        super().__init__()
        self.actor = Tower(inputs, actions, hidden, activation, 0.01)
        self.critic = Tower(inputs, 1, hidden, activation)
        self.log_deviation: nn.Parameter | None = None
        if deviation is not None:
            number(deviation=deviation)
            self.log_deviation = nn.Parameter(torch.full((actions,), math.log(deviation)))

    def forward(self, observations: Tensor, half: bool = False) -> tuple[Tensor, Tensor]:
        return self.actor(observations, half), self.judge(observations, half)

    def judge(self, observations: Tensor, half: bool = False) -> Tensor:
        """The values alone."""
        return cast(Tensor, self.critic(observations, half).squeeze(-1))


def _layers(flat: Tensor, shapes: Sequence[tuple[int, int]]) -> list[tuple[Tensor, Tensor]]:
    """Views of all weights: (after, before) and (after,) of each layer."""
    sizes = [size for after, before in shapes for size in (after * before, after)]
    parts = torch.split(flat, sizes)
    return [(weight.view(shape), bias) for weight, bias, shape in zip(parts[::2], parts[1::2], shapes, strict=True)]


@final
class _Climb(torch.autograd.Function):
    """A whole tower as one step of autograd's graph, for the same reason as its one vector of weights."""

    @staticmethod
    def forward(context: Any, flat: Tensor, inputs: Tensor, shapes: list[tuple[int, int]], activation: str, half: bool) -> Tensor:
        kind = torch.bfloat16 if half else torch.float32
        inner = _layers(flat.to(kind), shapes)[:-1]
        weight, bias = _layers(flat, shapes)[-1]
        reached = [inputs.to(kind)]
        for layer in inner:
            reached.append(_linear(reached[-1], *layer, activation))
        context.shapes, context.activation = shapes, activation
        context.save_for_backward(flat, *reached, *(weight for weight, _ in inner))
        return functional.linear(reached[-1].float(), weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        depth = len(context.shapes) - 1
        flat, *saved = context.saved_tensors
        reached, weights = saved[: depth + 1], saved[depth + 1 :]
        (gradient,), of_flat = gradients, torch.empty_like(flat)
        filled = _layers(of_flat, context.shapes)
        torch.mm(gradient.t(), reached[-1].float(), out=filled[-1][0])
        torch.sum(gradient, dim=0, out=filled[-1][1])
        gradient = (gradient @ _layers(flat, context.shapes)[-1][0]).to(reached[0].dtype)
        for k in range(depth - 1, -1, -1):
            if context.activation == "tanh":
                gradient = torch.ops.aten.tanh_backward(gradient, reached[k + 1])
            else:
                gradient = torch.ops.aten.threshold_backward(gradient, reached[k + 1], 0.0)
            # Either way the same product: in float32 oneDNN's kernel takes two thirds of the time of MKL's, in bfloat16 it is slower.
            half = gradient.dtype == torch.bfloat16
            filled[k][0].copy_(gradient.t() @ reached[k] if half else _linear(reached[k].t(), gradient.t(), None, "none").t())
            filled[k][1].copy_(gradient.sum(dim=0))
            if k > 0:
                gradient = _linear(gradient, weights[k].t(), None, "none")
        return of_flat, None, None, None, None


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    if inputs.device.type == "cpu" and len(inputs) > FEW and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        # One kernel of oneDNN: tanh costs it a fifth of what it costs alone, and on AMD its float32 takes 40 % of MKL's time.
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, activation, [], ""))
    reached = functional.linear(inputs, weight, bias)
    return reached if activation == "none" else reached.tanh_() if activation == "tanh" else reached.relu_()
