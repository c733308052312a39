"""An actor and a critic side by side: two towers of equal width that share nothing, one ending in a policy, the other in a value.

Papers: Mnih et al. 2016, https://arxiv.org/abs/1602.01783 (an actor with a critic); Andrychowicz et al. 2021,
https://arxiv.org/abs/2006.05990 (separate towers, tanh, a last policy layer a hundred times smaller); Saxe, McClelland, Ganguli 2014,
https://arxiv.org/abs/1312.6120 (orthogonal weights). Costs 2 * (inputs * hidden + hidden^2 ...) multiplications an observation for both
towers, and three times that to learn from it; in bfloat16, on a processor that has it, a quarter of the time. Fails where one
observation does not tell the state: it remembers nothing, so give it a window.
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


@final
class Tower(nn.Module):
    """(batch, inputs) -> (batch, last of `hidden`) float32: linear layers, each with its activation.

    With `half` it multiplies in bfloat16, while weights, sums of products and gradients of weights stay float32.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], activation: str = "tanh") -> None:
        super().__init__()
        require(len(hidden) > 0, "hidden is empty; name the width of one hidden layer at least, such as (256, 256, 128)")
        whole(inputs=inputs)
        for width in hidden:
            whole(hidden=width)
        require(activation in ACTIVATIONS, f"activation {activation!r} is none of {', '.join(ACTIVATIONS)}")
        self.activation = activation
        widths = [inputs, *hidden]
        self.weights = nn.ParameterList([nn.Parameter(torch.empty(after, before)) for before, after in pairwise(widths)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(after)) for after in hidden])
        for weight in self.weights:
            nn.init.orthogonal_(weight, math.sqrt(2.0))

    def forward(self, inputs: Tensor, half: bool = False) -> Tensor:
        read = inputs.bfloat16() if half else inputs
        climbed = _Climb.apply(read, self.activation, *self.weights, *self.biases)  # type: ignore[no-untyped-call]
        return cast(Tensor, climbed.float())


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
        whole(actions=actions)
        self.actor, self.critic = Tower(inputs, hidden, activation), Tower(inputs, hidden, activation)
        self.policy, self.value = _head(hidden[-1], actions, 0.01), _head(hidden[-1], 1, 1.0)
        self.log_deviation: nn.Parameter | None = None
        if deviation is not None:
            number(deviation=deviation)
            self.log_deviation = nn.Parameter(torch.full((actions,), math.log(deviation)))

    def forward(self, observations: Tensor, half: bool = False) -> tuple[Tensor, Tensor]:
        return self.act(observations, half), self.judge(observations, half)

    def act(self, observations: Tensor, half: bool = False) -> Tensor:
        """What the policy says alone."""
        return cast(Tensor, self.policy(self.actor(observations, half)))

    def judge(self, observations: Tensor, half: bool = False) -> Tensor:
        """The values alone."""
        return cast(Tensor, self.value(self.critic(observations, half)).squeeze(-1))


def _head(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


@final
class _Climb(torch.autograd.Function):
    """All layers of a tower as one step of the autograd graph: in small batches its bookkeeping takes longer than the products."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, activation: str, *parameters: Tensor) -> Tensor:
        depth = len(parameters) // 2
        weights = [weight.to(inputs.dtype) for weight in parameters[:depth]]
        layer, reached = _layer(inputs), [inputs]
        for weight, bias in zip(weights, parameters[depth:], strict=True):
            reached.append(layer(reached[-1], weight, bias.to(inputs.dtype), activation))
        context.activation, context.depth = activation, depth
        context.save_for_backward(*reached, *weights)
        return reached[-1]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the weights and biases, float32; of the inputs, which are observations, none is asked."""
        saved: tuple[Tensor, ...] = context.saved_tensors
        reached, weights = saved[: context.depth + 1], saved[context.depth + 1 :]
        layer, (gradient,) = _layer(reached[0]), gradients
        of_weights: list[Tensor] = []
        of_biases: list[Tensor] = []
        for k in range(context.depth - 1, -1, -1):
            if context.activation == "tanh":
                gradient = torch.ops.aten.tanh_backward(gradient, reached[k + 1])
            else:
                gradient = torch.ops.aten.threshold_backward(gradient, reached[k + 1], 0.0)
            of_weights.append((gradient.t() @ reached[k]).float())
            of_biases.append(gradient.sum(dim=0, dtype=torch.float32))
            if k > 0:
                gradient = layer(gradient, weights[k].t(), None, "none")
        return None, None, *reversed(of_weights), *reversed(of_biases)


def _layer(inputs: Tensor) -> Callable[[Tensor, Tensor, Tensor | None, str], Tensor]:
    """Linear with its activation in one kernel where oneDNN has one: on AMD its float32 takes 40 % of MKL's time, and tanh costs little."""
    return _fused if inputs.device.type == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise") else _plain


def _fused(inputs: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, activation, [], ""))


def _plain(inputs: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    reached = functional.linear(inputs, weight, bias)
    if activation == "none":
        return reached
    return reached.tanh_() if activation == "tanh" else reached.relu_()
