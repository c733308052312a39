"""Fast weights that are never formed: what a few samples teach a linear layer is a sum of few outer products, and is kept as those.

Paper: none of its own; the steps are those of MAML (Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400). The gradient of a
layer's weights over n samples is slopes' inputs, a matrix of rank n: after k steps of rate r the layer of a task answers
`x W' + b - r sum_k (x inputs_k' + 1) slopes_k`, which batches over tasks that share W. Costs O(n k (inputs + outputs)) a sample, layer and
task where weights of its own cost O(inputs outputs), and one large product for all tasks where those cost one each. Fails to pay where
n k is not far below the width of the layers; fails altogether, and is not offered, for anything but linear layers with elementwise
activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.meta.inner_loop import Weights
from tradewind.meta.tasks import LossName
from tradewind.nets.dropout import Dropout
from tradewind.nets.mlp import MLP

__all__ = ["LowRank", "plain_stack"]

Slope: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""The derivative of an activation, of its input and its output."""

ACTIVATIONS: Final[Mapping[type[nn.Module], Slope]] = {
    nn.ReLU: lambda before, after: (before > 0).to(before.dtype),
    nn.Tanh: lambda before, after: 1 - after * after,
    nn.Sigmoid: lambda before, after: after * (1 - after),
    nn.SiLU: lambda before, after: torch.sigmoid(before) * (1 + before - after),
}
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


@final
@dataclass(frozen=True)
class Update:
    """What a layer has learned in a task: `inputs` (task, rank, in) and `slopes` (task, rank, out), the rate within the latter."""

    inputs: Tensor
    slopes: Tensor

    def correct(self, outputs: Tensor, data: Tensor, biased: bool) -> Tensor:
        """`outputs` (task, sample, out) of the shared layer for `data` (task, sample, in), as the task's own layer would have them."""
        shares = torch.bmm(data, self.inputs.mT)
        return torch.baddbmm(outputs, shares + 1 if biased else shares, self.slopes, alpha=-1)

    def correct_back(self, slopes: Tensor, above: Tensor) -> Tensor:
        """The same for `slopes` (task, sample, in) on their way down, from those `above` the layer (task, sample, out)."""
        return torch.baddbmm(slopes, torch.bmm(above, self.slopes.mT), self.inputs, alpha=-1)


@final
class LowRank:
    """The inner loop of a plain stack of layers, for many tasks of equal shapes at once. Made by `plain_stack`."""

    def __init__(self, layers: Sequence[Layer], flattens: bool) -> None:
        self.layers, self.flattens = tuple(layers), flattens
        self.lowest = next(i for i, layer in enumerate(self.layers) if layer.adapts)

    def takes(self, data: Tensor) -> bool:
        """Whether samples (sample, ...) of this shape reach the first layer as rows."""
        return self.flattens or data.dim() == 2

    def query_outputs(
        self, group: Mapping[str, Tensor], loss: LossName, rate: float, steps: int, first_order: bool, every: bool
    ) -> tuple[Tensor, ...]:
        """Outputs (task * query, ...) for a stacked group after the last step, or after `every` one, differentiable in the weights."""
        labels, learns = group["support_labels"], torch.is_grad_enabled() and not first_order
        with torch.set_grad_enabled(learns):
            support = self._below(group["support_data"])
        query = self._below(group["query_data"])
        updates: dict[int, Update] = {}
        outputs = []
        for step in range(1, steps + 1):
            with torch.set_grad_enabled(learns):
                updates = self._step(updates, support, labels, loss, rate)
            if every or step == steps:
                outputs.append(self._forward(updates, query)[-1].flatten(0, 1))
        return tuple(outputs)

    @torch.no_grad()
    def adapted(self, data: Tensor, labels: Tensor, loss: LossName, rate: float, steps: int) -> Weights:
        """The weights of one task's own after `steps`, by name: here they are formed, since one task will use them often."""
        below, updates = self._below(data[None]), dict[int, Update]()
        for _ in range(steps):
            updates = self._step(updates, below, labels[None], loss, rate)
        weights: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            if layer.adapts:
                learned = updates.get(i)
                weight, bias = layer.linear.weight, layer.linear.bias
                weights[f"{layer.name}.weight"] = (
                    weight if learned is None else torch.addmm(weight, learned.slopes[0].T, learned.inputs[0], alpha=-1)
                )
                if bias is not None:
                    weights[f"{layer.name}.bias"] = bias if learned is None else bias - learned.slopes[0].sum(dim=0)
        return weights

    # -- one step --------------------------------------------------------------------------------------------------------
    def _below(self, data: Tensor) -> Tensor:
        # What lies below the lowest layer that adapts answers the same at every step.
        data = data.flatten(2)
        for layer in self.layers[: self.lowest]:
            data = _activated(layer, functional.linear(data, layer.linear.weight, layer.linear.bias))
        return data

    def _forward(self, updates: Mapping[int, Update], data: Tensor) -> list[Tensor]:
        """Of every layer from the lowest that adapts: its input, then what it answers before its activation; the last answer is last."""
        trace = []
        for i, layer in enumerate(self.layers[self.lowest :], self.lowest):
            trace.append(data)
            before = functional.linear(data, layer.linear.weight, layer.linear.bias)
            if i in updates:
                before = updates[i].correct(before, data, layer.linear.bias is not None)
            trace.append(before)
            data = _activated(layer, before)
        return [*trace, data]

    def _step(self, updates: Mapping[int, Update], data: Tensor, labels: Tensor, loss: LossName, rate: float) -> dict[int, Update]:
        trace = self._forward(updates, data)
        slope = _loss_slope(trace[-1], labels, loss) * rate
        learned = {}
        after = trace[-1]
        for i in range(len(self.layers) - 1, self.lowest - 1, -1):
            layer, place = self.layers[i], 2 * (i - self.lowest)
            inputs, before = trace[place : place + 2]
            if layer.activation is not None:
                slope = slope * ACTIVATIONS[type(layer.activation)](before, after)
            if layer.adapts:
                learned[i] = self._joined(updates.get(i), inputs, slope, i == self.lowest)
            if i > self.lowest:
                below = slope @ layer.linear.weight
                slope = updates[i].correct_back(below, slope) if i in updates else below
                after = inputs
        return learned

    @staticmethod
    def _joined(old: Update | None, inputs: Tensor, slopes: Tensor, same: bool) -> Update:
        if old is None:
            return Update(inputs, slopes)
        if same:  # the lowest layer sees the same inputs at every step, so the slopes add up and the rank stays
            return Update(old.inputs, old.slopes + slopes)
        return Update(torch.cat([old.inputs, inputs], dim=1), torch.cat([old.slopes, slopes], dim=1))


def plain_stack(model: nn.Module, names: Sequence[str]) -> LowRank | None:
    """The fast way for `model` when the parameters `names` adapt, or None where it has to go the general way.

    It has to be an `nn.Sequential` of `nn.Linear` with at most one activation of ReLU, Tanh, Sigmoid, SiLU behind each, dropout, and
    `nn.Flatten` in front, or the house's `MLP`; without hooks, no layer used twice, and of each layer all or nothing adapts.
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
        elif type(module) in ACTIVATIONS and layers and layers[-1].activation is None:
            layers[-1] = Layer(layers[-1].name, layers[-1].linear, layers[-1].adapts, module)
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


def _activated(layer: Layer, values: Tensor) -> Tensor:
    return values if layer.activation is None else layer.activation(values)


def _loss_slope(outputs: Tensor, labels: Tensor, loss: LossName) -> Tensor:
    """The derivative of each task's mean loss by its outputs (task, sample, output)."""
    tasks, samples, width = outputs.shape
    if loss == "cross_entropy":
        return (functional.softmax(outputs, dim=-1) - functional.one_hot(labels, width).to(outputs.dtype)) / samples
    return (outputs - labels.reshape(tasks, samples, width)) * (2 / (samples * width))
