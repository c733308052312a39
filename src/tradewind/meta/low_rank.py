"""Fast weights that are never formed: what a few samples teach a wide layer is a sum of few outer products, and is kept as those.

Paper: none of its own; the steps are those of MAML (Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400). The gradient of a
layer's weights over n samples is slopes' inputs, a matrix of rank n: after k steps of rate r the layer of a task answers
`x W' + b - r sum_k (x inputs_k' + 1) slopes_k`, which batches over tasks that share W. Costs O(n k (inputs + outputs)) a sample, layer and
task where weights of its own cost O(inputs outputs), and one large product for all tasks where those cost one each; narrow layers, for
which that is no gain, have weights of their own. Fails to pay where n k is not far below the width of the layers; fails altogether, and is
not offered, for anything but linear layers with elementwise activations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.meta.inner_loop import Weights
from tradewind.meta.tasks import LossName, check_answers
from tradewind.nets.dropout import Dropout
from tradewind.nets.mlp import MLP

__all__ = ["FastLayer", "Layer", "LowRank", "Outer", "Own", "Shared", "plain_stack"]

Back: TypeAlias = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
"""(module, slopes above, what went in, what came out) -> slopes below an activation."""

BACK: Final[Mapping[type[nn.Module], Back]] = {
    nn.ReLU: lambda module, slopes, before, after: torch.ops.aten.threshold_backward(slopes, after, 0),
    nn.LeakyReLU: lambda module, slopes, before, after: torch.ops.aten.leaky_relu_backward(slopes, before, module.negative_slope, False),
    nn.Tanh: lambda module, slopes, before, after: torch.ops.aten.tanh_backward(slopes, after),
    nn.Sigmoid: lambda module, slopes, before, after: torch.ops.aten.sigmoid_backward(slopes, after),
    nn.SiLU: lambda module, slopes, before, after: slopes * torch.sigmoid(before) * (1 + before - after),
    nn.GELU: lambda module, slopes, before, after: torch.ops.aten.gelu_backward(slopes, before, approximate=module.approximate),
}
"""Torch's own kernels where those have a derivative: autograd then records one operation each."""
TRANSPARENT: Final = (nn.Dropout, Dropout, nn.Identity)
"""What does nothing in evaluation mode."""


@final
@dataclass(frozen=True)
class Layer:
    """A linear layer of the stack, what it is called, whether it adapts, and the activation behind it."""

    name: str
    linear: nn.Linear
    adapts: bool
    activation: nn.Module | None

    def activated(self, values: Tensor) -> Tensor:
        """What the layer answers, behind its activation."""
        return values if self.activation is None else cast(Tensor, self.activation(values))

    def back(self, slopes: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Slopes by what goes into the activation, from those by what comes out."""
        return slopes if self.activation is None else BACK[type(self.activation)](self.activation, slopes, before, after)


class FastLayer(ABC):
    """A linear layer as the tasks have it at some step."""

    @abstractmethod
    def answer(self, data: Tensor) -> Tensor:
        """(task, sample, in) -> (task, sample, out)."""

    @abstractmethod
    def back(self, slopes: Tensor) -> Tensor:
        """(task, sample, out) slopes by the answers -> (task, sample, in) slopes by the data."""

    @abstractmethod
    def learned(self, data: Tensor, slopes: Tensor) -> FastLayer:
        """The layer after a step of descent on these samples; the rate is within the slopes."""


@final
@dataclass(frozen=True)
class Shared(FastLayer):
    """All tasks have the same weights: for good, or until they learn."""

    layer: Layer

    def answer(self, data: Tensor) -> Tensor:
        return functional.linear(data, self.layer.linear.weight, self.layer.linear.bias)

    def back(self, slopes: Tensor) -> Tensor:
        return slopes @ self.layer.linear.weight

    def learned(self, data: Tensor, slopes: Tensor) -> FastLayer:
        return Outer(self.layer.linear, data, slopes) if self.layer.adapts else self


@final
@dataclass(frozen=True)
class Own(FastLayer):
    """Every task has weights (task, out, in) and biases (task, 1, out) of its own."""

    weights: Tensor
    biases: Tensor | None

    def answer(self, data: Tensor) -> Tensor:
        return torch.bmm(data, self.weights.mT) if self.biases is None else torch.baddbmm(self.biases, data, self.weights.mT)

    def back(self, slopes: Tensor) -> Tensor:
        return torch.bmm(slopes, self.weights)

    def learned(self, data: Tensor, slopes: Tensor) -> Own:
        biases = None if self.biases is None else self.biases - slopes.sum(dim=1, keepdim=True)
        return Own(torch.baddbmm(self.weights, slopes.mT, data, alpha=-1), biases)


@final
@dataclass(frozen=True)
class Outer(FastLayer):
    """The weights that all share, less the outer products of `inputs` (task, rank, in) and `slopes` (task, rank, out)."""

    linear: nn.Linear
    inputs: Tensor
    slopes: Tensor

    def answer(self, data: Tensor) -> Tensor:
        answers = functional.linear(data, self.linear.weight, self.linear.bias)
        # A bias is the weight of an input that is always 1.
        one = data.new_full((1, 1, 1), float(self.linear.bias is not None))
        shares = torch.baddbmm(one, data, self.inputs.mT)
        return torch.baddbmm(answers, shares, self.slopes, alpha=-1)

    def back(self, slopes: Tensor) -> Tensor:
        return torch.baddbmm(slopes @ self.linear.weight, torch.bmm(slopes, self.slopes.mT), self.inputs, alpha=-1)

    def learned(self, data: Tensor, slopes: Tensor) -> Outer:
        if data is self.inputs:  # the lowest layer sees the same inputs at every step: slopes add up, the rank stays
            return Outer(self.linear, data, self.slopes + slopes)
        return Outer(self.linear, torch.cat([self.inputs, data], dim=1), torch.cat([self.slopes, slopes], dim=1))


@final
class LowRank:
    """The inner loop of a plain stack of layers, for many tasks of equal shapes at once. Made by `plain_stack`."""

    def __init__(self, layers: Sequence[Layer], flattens: bool) -> None:
        lowest = next(i for i, layer in enumerate(layers) if layer.adapts)
        self.below, self.layers, self.flattens = tuple(layers[:lowest]), tuple(layers[lowest:]), flattens

    def takes(self, data: Tensor) -> bool:
        """Whether samples (sample, ...) of this shape reach the first layer as rows, and nothing will round the products.

        Under autocast the weights of a task would be products too, and a step of descent smaller than the rounding of bfloat16.
        """
        return (self.flattens or data.dim() == 2) and not torch.is_autocast_enabled(data.device.type)

    def query_outputs(
        self, group: Mapping[str, Tensor], loss: LossName, rate: float, steps: int, first_order: bool, every: bool
    ) -> tuple[Tensor, ...]:
        """Outputs (task * query, ...) for a stacked group after the last step, or after `every` one; differentiable in the weights."""
        recorded = torch.is_grad_enabled() and not first_order
        with torch.set_grad_enabled(recorded):
            support = self._from_below(group["support_data"])
        query = self._from_below(group["query_data"])
        tasks, samples, _ = support.shape
        fast: Sequence[FastLayer] = [self._fast(layer, tasks, samples) for layer in self.layers]
        targets = self._targets(group["support_labels"], loss, support)
        outputs = []
        for step in range(1, steps + 1):
            fast = self._step(fast, support, targets, loss, rate, recorded)
            if every or step == steps:
                outputs.append(self._forward(fast, query)[-1][1].flatten(0, 1))
        return tuple(outputs)

    @torch.no_grad()
    def adapted(self, data: Tensor, labels: Tensor, loss: LossName, rate: float, steps: int) -> Weights:
        """The weights of one task's own after `steps`, by name."""
        support = self._from_below(data[None])
        targets = self._targets(labels[None], loss, support)
        fast: Sequence[FastLayer] = [_own(layer, 1) if layer.adapts else Shared(layer) for layer in self.layers]
        for _ in range(steps):
            fast = self._step(fast, support, targets, loss, rate, False)
        weights: dict[str, Tensor] = {}
        for layer, taught in zip(self.layers, fast, strict=True):
            if isinstance(taught, Own):
                weights[f"{layer.name}.weight"] = taught.weights[0]
                if taught.biases is not None:
                    weights[f"{layer.name}.bias"] = taught.biases[0, 0]
        return weights

    # -- one step --------------------------------------------------------------------------------------------------------
    def _from_below(self, data: Tensor) -> Tensor:
        # What lies below the lowest layer that adapts answers the same at every step.
        data = data.flatten(2)
        for layer in self.below:
            data = layer.activated(functional.linear(data, layer.linear.weight, layer.linear.bias))
        return data

    def _fast(self, layer: Layer, tasks: int, samples: int) -> FastLayer:
        # The first step alone has the rank of the samples; where weights are not more than that they are the cheaper form.
        size, rank = layer.linear.weight.numel(), samples * sum(layer.linear.weight.shape)
        return _own(layer, tasks) if layer.adapts and size <= rank else Shared(layer)

    def _targets(self, labels: Tensor, loss: LossName, support: Tensor) -> Tensor:
        width = self.layers[-1].linear.out_features
        check_answers(support.new_empty(support.shape[0] * support.shape[1], width), labels.flatten(0, 1), loss)
        if loss == "cross_entropy":
            return functional.one_hot(labels, width).to(support.dtype)
        return labels.reshape(*support.shape[:2], width)

    def _forward(self, fast: Sequence[FastLayer], data: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What goes into every layer and what it answers before its activation; behind all, what comes out, twice."""
        trace = []
        for layer, now in zip(self.layers, fast, strict=True):
            before = now.answer(data)
            trace.append((data, before))
            data = layer.activated(before)
        return [*trace, (data, data)]

    def _step(
        self, fast: Sequence[FastLayer], data: Tensor, targets: Tensor, loss: LossName, rate: float, recorded: bool
    ) -> list[FastLayer]:
        with torch.set_grad_enabled(recorded):
            trace = self._forward(fast, data)
            slopes = _loss_slopes(trace[-1][0], targets, loss, rate)
            lessons = []
            for i in range(len(fast) - 1, -1, -1):
                inputs, before = trace[i]
                slopes = self.layers[i].back(slopes, before, trace[i + 1][0])
                lessons.append((inputs, slopes))
                if i:
                    slopes = fast[i].back(slopes)
        # In first order the lessons are constants; the weights that they move are not.
        return [layer.learned(*lesson) for layer, lesson in zip(fast, reversed(lessons), strict=True)]


def plain_stack(model: nn.Module, names: Sequence[str]) -> LowRank | None:
    """The fast way for `model` when the parameters `names` adapt, or None where it has to go the general way.

    It has to be an `nn.Sequential` of `nn.Linear`, each with at most one activation of ReLU, LeakyReLU, Tanh, Sigmoid, SiLU or GELU
    behind it, dropout, and `nn.Flatten` in front, or the house's `MLP`; without hooks, no layer used twice, and of each layer all or
    nothing adapts.
    """
    modules, flattens = _modules(model)
    if len({id(module) for _, module in modules}) < len(modules):
        return None
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return None
    layers: list[Layer] = []
    for name, module in modules:
        if type(module) is nn.Linear:
            own = {f"{name}.{parameter}" for parameter, _ in module.named_parameters()}
            if own & set(names) not in (own, set()):
                return None
            layers.append(Layer(name, module, own <= set(names), None))
        elif type(module) in BACK and not getattr(module, "inplace", False) and layers and layers[-1].activation is None:
            layers[-1] = replace(layers[-1], activation=module)
        elif type(module) not in TRANSPARENT:
            return None
    parameters = [parameter for layer in layers for parameter in layer.linear.parameters()]
    shared = len({id(parameter) for parameter in parameters}) < len(parameters)
    return LowRank(layers, flattens) if layers and not shared else None


def _modules(model: nn.Module) -> tuple[list[tuple[str, nn.Module]], bool]:
    """The modules in their order by name, without a flattening in front, and whether there is one; none for what is no stack."""
    if type(model) is MLP:
        return [(f"layers.{name}", module) for name, module in model.layers.named_children()], True
    if type(model) is not nn.Sequential:
        return [], False
    modules = [(name, model.get_submodule(name)) for name in model._modules]
    first = modules[0][1] if modules else None
    if type(first) is nn.Flatten and (first.start_dim, first.end_dim) == (1, -1):
        return modules[1:], True
    return modules, False


def _own(layer: Layer, tasks: int) -> Own:
    weight, bias = layer.linear.weight, layer.linear.bias
    return Own(weight.expand(tasks, *weight.shape), None if bias is None else bias.expand(tasks, 1, *bias.shape))


def _loss_slopes(outputs: Tensor, targets: Tensor, loss: LossName, rate: float) -> Tensor:
    """The derivative of each task's mean loss by its outputs (task, sample, output), times the rate."""
    _, samples, width = outputs.shape
    if loss == "cross_entropy":
        return (functional.softmax(outputs, dim=-1) - targets) * (rate / samples)
    return (outputs - targets) * (2 * rate / (samples * width))
