"""Looking at gradients: how they flow through a model, what is wrong with them, products with the Hessian, and what each layer costs.

Sources: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html (gradients layer by layer); Pearlmutter 1994,
https://doi.org/10.1162/neco.1994.6.1.147 (the product of Hessian and vector as the slope of a gradient, exact, for two gradients' cost).
Inspecting costs one pass over the gradients. Fails to tell a unit that is dead for good from one that this batch left alone: look at
several batches before you mourn it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.core.limits import number
from tradewind.core.settings import require

__all__ = ["GradientFlow", "GradientInspection", "GradientLimits", "GradientManager", "GradientProblem", "HigherOrderGradients"]

ProblemKind = Literal["missing", "not_finite", "exploding", "vanishing", "dead_units"]


@final
@dataclass(frozen=True)
class GradientFlow:
    """The gradient of one parameter: its norm and the parameter's own, the root mean square and the largest entry, the share of zeros."""

    norm: float
    weight_norm: float
    root_mean_square: float
    largest: float
    zeros: float


@final
@dataclass(frozen=True)
class GradientProblem:
    """What is wrong with the gradient of `parameter`, in words and as the `value` that shows it."""

    kind: ProblemKind
    parameter: str
    value: float
    message: str


@final
@dataclass(frozen=True)
class GradientLimits:
    """A gradient explodes when its norm is above `exploding` times the parameter's, or 1 if that is less.

    It vanishes when its root mean square is below the share `vanishing` of the largest in the model.
    """

    exploding: float = 1e3
    vanishing: float = 1e-6

    def __post_init__(self) -> None:
        number(exploding=self.exploding, vanishing=self.vanishing)


@final
class GradientInspection:
    """Reads the gradients that a backward pass has left in a model; changes nothing."""

    def __init__(self, limits: GradientLimits | None = None) -> None:
        self.limits = limits or GradientLimits()

    def analyze_gradient_flow(self, model: nn.Module) -> dict[str, GradientFlow]:
        """The flow by name of the parameter, in the model's order; those without a gradient are left out.

        Raises SettingsError where no parameter has one.
        """
        flow = {name: _flow(parameter, parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None}
        require(bool(flow), "there is no gradient in this model; call backward, or MetaLearner.gradients, first")
        return flow

    def detect_gradient_problems(self, model: nn.Module) -> list[GradientProblem]:
        """Everything that is wrong, parameter by parameter: no gradient, numbers that are none, too large, too small, and dead units.

        Raises SettingsError where no parameter has a gradient.
        """
        flow = self.analyze_gradient_flow(model)
        largest = max((one.root_mean_square for one in flow.values() if math.isfinite(one.root_mean_square)), default=0.0)
        found = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and name not in flow:
                found.append(GradientProblem("missing", name, 0.0, f"{name} has no gradient: the loss does not depend on it"))
            elif name in flow:
                found += self._size(name, parameter, flow[name], largest)
        return found + _dead_units(model)

    def _size(self, name: str, parameter: nn.Parameter, one: GradientFlow, largest: float) -> list[GradientProblem]:
        if not math.isfinite(one.norm):
            wrong = int((~torch.isfinite(_gradient(parameter))).sum())
            told = f"{wrong} of {parameter.numel()} entries of the gradient of {name} are no finite numbers"
            return [GradientProblem("not_finite", name, float(wrong), told)]
        if one.norm > self.limits.exploding * max(one.weight_norm, 1.0):
            told = f"the gradient of {name} is {one.norm:.3g} long, the parameter {one.weight_norm:.3g}; clip it or lower the rate"
            return [GradientProblem("exploding", name, one.norm, told)]
        if one.root_mean_square < self.limits.vanishing * largest:
            share = one.root_mean_square / largest
            return [GradientProblem("vanishing", name, share, f"the gradient of {name} is {share:.1e} of the largest in the model")]
        return []


GradientManager = GradientInspection
"""The same by another name, for those who know it by that."""


@final
class HigherOrderGradients:
    """Second derivatives without ever forming a matrix of them."""

    def compute_hessian_vector_product(
        self, loss: Tensor | Callable[[], Tensor], parameters: Iterable[Tensor], vector: Tensor | Sequence[Tensor]
    ) -> Tensor | list[Tensor]:
        """The Hessian of a scalar loss in `parameters`, times `vector`: flat (all parameters' entries), or a tensor like each parameter.

        `loss` is a number whose graph still stands, or what computes it. The answer has the form of `vector`, with zeros where the slope
        does not depend on a parameter. Raises SettingsError for a vector of another shape or a loss that is not one number.
        """
        moved = list(parameters)
        parts = _like(vector, moved)
        value = loss if isinstance(loss, Tensor) else loss()
        require(value.numel() == 1 and value.requires_grad, "the loss is to be one number that depends on the parameters")
        slopes = torch.autograd.grad(value, moved, create_graph=True, allow_unused=True)
        along = [(slope * part).sum() for slope, part in zip(slopes, parts, strict=True) if slope is not None and slope.requires_grad]
        curved = (
            torch.autograd.grad(torch.stack(along).sum(), moved, allow_unused=True, retain_graph=True) if along else [None] * len(moved)
        )
        products = [torch.zeros_like(one) if curve is None else curve for one, curve in zip(moved, curved, strict=True)]
        return torch.cat([product.flatten() for product in products]) if isinstance(vector, Tensor) else products


def _like(vector: Tensor | Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    sizes = [parameter.numel() for parameter in parameters]
    if isinstance(vector, Tensor):
        require(vector.shape == (sum(sizes),), f"vector has shape {tuple(vector.shape)}, the parameters have {sum(sizes)} entries")
        return [part.view_as(parameter) for part, parameter in zip(torch.split(vector, sizes), parameters, strict=True)]
    shapes, wanted = [tuple(part.shape) for part in vector], [tuple(parameter.shape) for parameter in parameters]
    require(shapes == wanted, f"vector has the shapes {shapes}, the parameters {wanted}")
    return list(vector)


def _flow(parameter: Tensor, gradient: Tensor) -> GradientFlow:
    entries = gradient.detach().double()
    return GradientFlow(
        norm=float(entries.norm()),
        weight_norm=float(parameter.detach().double().norm()),
        root_mean_square=float(entries.square().mean().sqrt()),
        largest=float(entries.abs().max()),
        zeros=float((entries == 0).double().mean()),
    )


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise SettingsError("this parameter has no gradient; call backward first")
    return parameter.grad.detach()


def _dead_units(model: nn.Module) -> list[GradientProblem]:
    """Units of linear and convolutional layers to which no gradient came: neither weights nor bias of theirs would move."""
    found = []
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or layer.weight.grad is None:
            continue
        still = (_gradient(layer.weight).flatten(1) == 0).all(dim=1)
        if layer.bias is not None and layer.bias.grad is not None:
            still &= _gradient(layer.bias) == 0
        dead, units = int(still.sum()), len(still)
        if dead:
            told = f"{dead} of {units} units of {name or 'the layer'} got no gradient: they are dead, or this batch does not reach them"
            found.append(GradientProblem("dead_units", f"{name}.weight" if name else "weight", dead / units, told))
    return found
