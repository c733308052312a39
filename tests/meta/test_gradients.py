"""Gradients looked at: flows by hand, problems that were planted, and Hessians against finite differences."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.meta.gradients import GradientInspection, GradientLimits, GradientManager, HigherOrderGradients


def net(*widths: int, activation: type[nn.Module] = nn.Tanh, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


def kinds(model: nn.Module, **limits: float) -> set[tuple[str, str]]:
    return {(problem.kind, problem.parameter) for problem in GradientManager(GradientLimits(**limits)).detect_gradient_problems(model)}


# -- flow ---------------------------------------------------------------------------------------------------------------
def test_the_flow_by_hand() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    model(torch.tensor([[6.0, 0.0], [2.0, 0.0]])).sum().backward()
    flow = GradientInspection().analyze_gradient_flow(model)
    assert list(flow) == ["weight"]
    one = flow["weight"]
    assert (one.norm, one.weight_norm, one.largest, one.zeros) == (8.0, 5.0, 8.0, 0.5)
    assert one.root_mean_square == pytest.approx(8.0 / math.sqrt(2.0))


def test_without_a_gradient_there_is_nothing_to_see() -> None:
    with pytest.raises(SettingsError, match="no gradient in this model"):
        GradientInspection().detect_gradient_problems(net(2, 3, 1))


# -- problems that were planted ---------------------------------------------------------------------------------------------
def test_a_healthy_net_has_no_problem() -> None:
    model = net(4, 16, 16, 2)
    nn.functional.cross_entropy(model(torch.randn(64, 4)), torch.arange(64) % 2).backward()
    assert GradientInspection().detect_gradient_problems(model) == []


def test_a_deep_net_of_sigmoids_vanishes_at_its_beginning() -> None:
    model = net(4, *[8] * 12, 1, activation=nn.Sigmoid)
    model(torch.randn(32, 4)).square().mean().backward()
    found = kinds(model)
    assert ("vanishing", "0.weight") in found
    assert not any(name == "24.weight" for _, name in found)


def test_large_weights_explode() -> None:
    model = net(4, 8, 8, 1, activation=nn.Identity)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(100.0)
    model(torch.randn(32, 4)).square().sum().backward()
    assert ("exploding", "0.weight") in kinds(model)
    assert not kinds(model, exploding=1e30)


def test_dead_units_are_counted() -> None:
    model = net(4, 8, 2, activation=nn.ReLU)
    with torch.no_grad():
        model[0].bias[:3] = -1e3
    model(torch.rand(32, 4) + 1.0).sum().backward()
    (problem,) = (one for one in GradientInspection().detect_gradient_problems(model) if one.kind == "dead_units")
    still = int((model[0].weight.grad == 0).all(dim=1).sum())
    assert still >= 3
    assert problem.parameter == "0.weight" and problem.value == still / 8
    assert problem.message.startswith(f"{still} of 8 units of 0 got no gradient")


def test_numbers_that_are_none_and_parameters_out_of_reach() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "not": nn.Linear(2, 1)})
    (model["used"](torch.tensor([[float("nan"), 1.0]]))).sum().backward()
    found = kinds(model)
    assert ("not_finite", "used.weight") in found
    assert {("missing", "not.weight"), ("missing", "not.bias")} <= found


# -- second derivatives -----------------------------------------------------------------------------------------------------
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_hessian_times_vector_is_the_finite_difference_of_slopes(seed: int) -> None:
    model = net(3, 6, 1, seed=seed).double()
    x, y = torch.randn(16, 3, dtype=torch.float64), torch.randn(16, 1, dtype=torch.float64)
    weights = list(model.parameters())
    vector = torch.randn(sum(weight.numel() for weight in weights), dtype=torch.float64)

    def loss() -> Tensor:
        return (model(x) - y).square().mean()

    def slopes() -> Tensor:
        return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss(), weights)])

    def shifted(step: float) -> Tensor:
        with torch.no_grad():
            for weight, part in zip(weights, vector.split([weight.numel() for weight in weights]), strict=True):
                weight.add_(part.view_as(weight), alpha=step)
        return slopes()

    product = HigherOrderGradients().compute_hessian_vector_product(loss, weights, vector)
    before = shifted(1e-5)
    after = shifted(-2e-5)
    shifted(1e-5)
    assert isinstance(product, Tensor)
    torch.testing.assert_close(product, (before - after) / 2e-5, rtol=1e-5, atol=1e-5)


def test_of_a_quadratic_it_is_the_matrix_times_the_vector() -> None:
    A = torch.tensor([[2.0, 1.0], [1.0, 5.0]], dtype=torch.float64)
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    linear = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    loss = 0.5 * x @ A @ x + 3.0 * linear[0]
    vector = [torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([7.0], dtype=torch.float64)]
    product = HigherOrderGradients().compute_hessian_vector_product(loss, (x, linear), vector)
    assert isinstance(product, list)
    assert product[0].tolist() == [10.0, 23.0]
    assert product[1].tolist() == [0.0]
    flat = HigherOrderGradients().compute_hessian_vector_product(loss, iter((x, linear)), torch.cat(vector))
    assert isinstance(flat, Tensor) and flat.tolist() == [10.0, 23.0, 0.0]


def test_a_straight_line_has_no_curvature() -> None:
    x = torch.ones(3, requires_grad=True)
    product = HigherOrderGradients().compute_hessian_vector_product(x.sum(), [x], torch.ones(3))
    assert isinstance(product, Tensor) and product.tolist() == [0.0, 0.0, 0.0]


def test_vectors_and_losses_that_do_not_fit_are_told() -> None:
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(SettingsError, match=r"vector has shape \(2,\), the parameters have 3 entries"):
        HigherOrderGradients().compute_hessian_vector_product(x.square().sum(), [x], torch.ones(2))
    with pytest.raises(SettingsError, match=r"the shapes \[\(2,\)\], the parameters \[\(3,\)\]"):
        HigherOrderGradients().compute_hessian_vector_product(x.square().sum(), [x], [torch.ones(2)])
    with pytest.raises(SettingsError, match="one number"):
        HigherOrderGradients().compute_hessian_vector_product(x.square(), [x], torch.ones(3))
