"""MAML against its algebra and finite differences, its two ways against each other, and what its switches leave alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.meta.learners import CLASSES, INPUTS, classes, numbers, slopes, stack, windows
from torch import Tensor, nn
from torch.func import functional_call

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.meta.low_rank import plain_stack
from tradewind.meta.maml import MAML, MAMLConfig
from tradewind.meta.meta_sgd import MetaSGD
from tradewind.meta.optimizer import MetaOptimizerConfig
from tradewind.meta.tasks import sample_losses
from tradewind.nets.mlp import MLP, MLPSizes

WAYS: list[dict[str, Any]] = [{"low_rank": True}, {"low_rank": False}]


def line(slope: float) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.fill_(slope)
    return model


# -- the algebra --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
@given(slope=st.floats(-3, 3), rate=st.floats(0.01, 0.4), seed=st.integers(0, 1000), first_order=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_meta_gradient_of_a_line_in_closed_form(way: dict[str, Any], slope: float, rate: float, seed: int, first_order: bool) -> None:
    task = numbers(1, seed=seed)[0]
    model = line(slope)
    config = MAMLConfig(inner_lr=rate, num_inner_steps=1, loss="mse", first_order=first_order, **way)
    MAML(model, config).gradients([task])
    x, y = task["support_data"][:, 0], task["support_labels"]
    adapted = slope - rate * float((2 * (slope * x - y) * x).mean())
    query, answer = task["query_data"][:, 0], task["query_labels"]
    by_adapted = float((2 * (adapted * query - answer) * query).mean())
    bracket = 1.0 if first_order else 1 - 2 * rate * float((x * x).mean())
    assert float(slopes(model)) == pytest.approx(bracket * by_adapted, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("extra", [{}, {"multi_step_loss": True}, {"anil": "head"}])
def test_the_whole_meta_loss_against_finite_differences(way: dict[str, Any], extra: dict[str, Any]) -> None:
    tasks = classes(3)
    model = stack(nn.Tanh(), hidden=5)
    learner = MAML(model, MAMLConfig(inner_lr=0.3, num_inner_steps=3, **way, **extra))

    def meta_loss(*weights: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)
        model.zero_grad()
        loss = learner.gradients(tasks)["meta_loss"]
        return Told.apply(torch.tensor(loss, dtype=torch.float64), *weights)  # type: ignore[no-any-return]

    class Told(torch.autograd.Function):
        """The meta-loss, and the gradient that the learner left for it."""

        @staticmethod
        def forward(ctx: Any, loss: Tensor, *weights: Tensor) -> Tensor:
            ctx.left = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
            return loss

        @staticmethod
        def backward(ctx: Any, *above: Tensor) -> Any:
            return (None, *(above[0] * slope for slope in ctx.left))

    start = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    assert torch.autograd.gradcheck(meta_loss, start, eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("way", WAYS)
def test_the_first_order_gradient_is_that_of_the_query_at_the_adapted_weights(way: dict[str, Any]) -> None:
    tasks = classes(2)
    model = stack(nn.Tanh())
    learner = MAML(model, MAMLConfig(inner_lr=0.2, num_inner_steps=4, first_order=True, **way))
    learner.gradients(tasks)
    expected = torch.zeros_like(slopes(model))
    for task in tasks:
        adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
        sample_losses(adapted(task["query_data"]), task["query_labels"], "cross_entropy").mean().backward()
        expected += slopes(adapted) / len(tasks)
    assert torch.allclose(slopes(model), expected, rtol=1e-9, atol=1e-12)


def test_the_multi_step_loss_weighs_all_steps_alike_at_first_and_the_last_alone_in_the_end() -> None:
    tasks = classes(2)
    learner = MAML(stack(nn.ReLU()), MAMLConfig(inner_lr=0.2, num_inner_steps=4, multi_step_loss=True, multi_step_iterations=10))
    at_first = learner.gradients(tasks)
    by_steps = [MAML(stack(nn.ReLU()), MAMLConfig(inner_lr=0.2, num_inner_steps=k)).gradients(tasks)["meta_loss"] for k in range(1, 5)]
    assert at_first["meta_loss"] == pytest.approx(sum(by_steps) / 4, rel=1e-9)
    learner.iterations = 5
    assert learner.gradients(tasks)["meta_loss"] == pytest.approx(sum(by_steps[:3]) / 8 + by_steps[3] * 5 / 8, rel=1e-9)
    learner.iterations = 10
    assert learner.gradients(tasks)["meta_loss"] == pytest.approx(by_steps[3], rel=1e-9)


# -- the two ways ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU])
@pytest.mark.parametrize("hidden", [5, 40])  # own weights for all layers; outer products for the layer between the hidden ones
@pytest.mark.parametrize("extra", [{}, {"first_order": True}, {"multi_step_loss": True}, {"anil": "head"}, {"anil": ("2", "4")}])
def test_low_rank_is_the_same_as_unrolled(activation: type[nn.Module], hidden: int, extra: dict[str, Any]) -> None:
    tasks = [*classes(3), *classes(2, seed=1, support=5)]
    told = []
    for low_rank in (True, False):
        model = stack(activation(), activation(), hidden=hidden)
        learner = MAML(model, MAMLConfig(inner_lr=0.3, low_rank=low_rank, **extra), CLASSES)
        metrics = learner.gradients(tasks)
        adapted = learner.few_shot_adapt(tasks[0]["support_data"], tasks[0]["support_labels"])
        told.append((metrics, slopes(model), nn.utils.parameters_to_vector(adapted.parameters())))
    assert told[0][0] == pytest.approx(told[1][0], rel=1e-10)
    assert torch.allclose(told[0][1], told[1][1], rtol=1e-9, atol=1e-12)
    assert torch.allclose(told[0][2], told[1][2], rtol=1e-9, atol=1e-12)


def test_low_rank_is_the_same_in_single_precision_for_numbers_without_biases_and_in_the_house_net() -> None:
    torch.manual_seed(0)
    bare = nn.Sequential(
        nn.Linear(8, 64, bias=False), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 64, bias=False), nn.Linear(64, 1, bias=False)
    )
    house = MLP(2, 1, MLPSizes(window=4, hidden=64))
    tasks = [{key: part.float() for key, part in task.items()} for task in numbers(4, inputs=8)]
    for model, batch in ((bare, tasks), (house, windows(tasks))):
        assert plain_stack(model, [name for name, _ in model.named_parameters()]) is not None
        both = []
        for low_rank in (True, False):
            copied = copy.deepcopy(model)
            MAML(copied, MAMLConfig(loss="mse", low_rank=low_rank)).gradients(batch)
            both.append(slopes(copied))
        assert float((both[0] - both[1]).abs().max()) < 1e-5 * float(both[1].abs().max())


class Squared(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values * values


def shared_layers() -> nn.Sequential:
    layer = nn.Linear(INPUTS, INPUTS)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(INPUTS, CLASSES))


def hooked() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(INPUTS, CLASSES))
    model[0].register_forward_hook(lambda module, data, outputs: outputs * 2)
    return model


def partly_frozen() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(INPUTS, CLASSES))
    model[0].bias.requires_grad_(False)
    return model


def asked(model: nn.Module, weights: dict[str, Tensor], data: Tensor) -> Tensor:
    return functional_call(model, weights, (data,), tie_weights=False)


@pytest.mark.parametrize(
    "make",
    [
        shared_layers,
        hooked,
        partly_frozen,
        lambda: nn.Sequential(nn.Linear(INPUTS, 6), Squared(), nn.Linear(6, CLASSES)),
        lambda: nn.Sequential(nn.Linear(INPUTS, 6), nn.Tanh(), nn.Tanh(), nn.Linear(6, CLASSES)),
        lambda: nn.Sequential(nn.Linear(INPUTS, 6), nn.LayerNorm(6), nn.Linear(6, CLASSES)),
        lambda: nn.Sequential(nn.Linear(INPUTS, 6), nn.LeakyReLU(inplace=True), nn.Linear(6, CLASSES)),
        lambda: nn.Linear(INPUTS, CLASSES),
    ],
)
def test_what_is_no_plain_stack_goes_the_general_way(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = make().double()
    assert plain_stack(model, [name for name, parameter in model.named_parameters() if parameter.requires_grad]) is None
    tasks = classes(3)
    learner = MAML(model, MAMLConfig(inner_lr=0.1, num_inner_steps=2))
    learner.gradients(tasks)
    together = slopes(model)
    expected = torch.zeros_like(together)
    for task in tasks:  # the same by hand, one task after the other
        weights = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        start = weights
        for _ in range(2):
            loss = sample_losses(asked(model, weights, task["support_data"]), task["support_labels"], "cross_entropy").mean()
            steps = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {name: weight - 0.1 * step for (name, weight), step in zip(weights.items(), steps, strict=True)}
        loss = sample_losses(asked(model, weights, task["query_data"]), task["query_labels"], "cross_entropy").mean()
        expected += torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, list(start.values()))]) / len(tasks)
    assert torch.allclose(together, expected, rtol=1e-9, atol=1e-12)


def test_samples_of_several_rows_reach_a_stack_without_flattening_as_torch_means_it() -> None:
    tasks = [{key: part.reshape(len(part), 2, 2) if "data" in key else part for key, part in task.items()} for task in numbers(2, inputs=4)]
    for task in tasks:
        task["support_labels"], task["query_labels"] = (
            task["support_data"].sum(dim=2, keepdim=True),
            task["query_data"].sum(dim=2, keepdim=True),
        )
    both = []
    for low_rank in (True, False):
        model = stack(nn.Tanh(), inputs=2, outputs=1)
        MAML(model, MAMLConfig(loss="mse", low_rank=low_rank)).gradients(tasks)
        both.append(slopes(model))
    assert torch.equal(*both)


def test_under_bfloat16_what_was_learned_is_not_rounded_away() -> None:
    tasks = classes(4, dtype=torch.float32)
    both = []
    for low_rank in (True, False):
        model = stack(nn.ReLU()).float()
        learner = MAML(model, MAMLConfig(inner_lr=1e-4, low_rank=low_rank)).optimise(MetaOptimizerConfig(bfloat16=True))
        both.append(learner.meta_train_step(tasks))
    assert both[0] == both[1]


# -- what adapts and what does not ------------------------------------------------------------------------------------------
def test_anil_leaves_the_body_and_meta_learns_it() -> None:
    task = classes(1)[0]
    model = stack(nn.ReLU(), nn.ReLU())
    learner = MAML(model, MAMLConfig(inner_lr=0.5, anil="head"))
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    for (name, before), after in zip(model.named_parameters(), adapted.parameters(), strict=True):
        assert torch.equal(before, after) is (not name.startswith("4."))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    learner.meta_train_step([task])
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_frozen_parameters_stay() -> None:
    task = classes(1)[0]
    model = stack(nn.ReLU(), nn.ReLU())
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    learner = MAML(model, MAMLConfig(inner_lr=0.5))
    learner.meta_train_step([task])
    assert torch.equal(model[0].weight, before)
    assert torch.equal(learner.few_shot_adapt(task["support_data"], task["support_labels"])[0].weight, before)  # type: ignore[index]


def test_no_step_at_all_is_the_model_itself() -> None:
    task = classes(1)[0]
    model = stack(nn.ReLU())
    adapted = MAML(model, MAMLConfig()).few_shot_adapt(task["support_data"], task["support_labels"], 0)
    for before, after in zip(model.parameters(), adapted.parameters(), strict=True):
        assert torch.equal(before, after)
        assert before.data_ptr() != after.data_ptr()


# -- learning, kept and continued ---------------------------------------------------------------------------------------------
def test_it_learns_to_adapt_what_no_single_net_can_answer() -> None:
    learner = MAML(stack(nn.ReLU(), hidden=16).float(), MAMLConfig(inner_lr=0.4, outer_lr=0.01, num_inner_steps=3), CLASSES)
    unseen = classes(60, seed=99, support=12, query=20, dtype=torch.float32)
    before = learner.meta_validate(unseen)["accuracy"]
    for number in range(150):
        learner.meta_train_step(classes(8, seed=number, support=12, query=20, dtype=torch.float32))
    after = learner.meta_validate(unseen)["accuracy"]
    model = learner.model.eval()
    unadapted = sum(float((model(t["query_data"]).argmax(dim=1) == t["query_labels"]).double().mean()) for t in unseen) / len(unseen)
    assert after > before + 0.1
    assert after > unadapted + 0.2


@pytest.mark.parametrize("way", WAYS)
def test_a_restored_learner_goes_on_to_the_bit(way: dict[str, Any]) -> None:
    learner = MAML(stack(nn.ReLU()), MAMLConfig(**way))
    for number in range(3):
        learner.meta_train_step(classes(2, seed=number))
    other = MAML(stack(nn.ReLU(), seed=5), MAMLConfig(**way)).restore(learner.state())
    task = classes(1, seed=9)[0]
    assert learner.meta_train_step([task]) == other.meta_train_step([task])
    adapted = [one.few_shot_adapt(task["support_data"], task["support_labels"])(task["query_data"]) for one in (learner, other)]
    assert torch.equal(*adapted)
    with pytest.raises(StateError, match="not of 'meta-sgd'"):
        MetaSGD(stack(nn.ReLU())).restore(learner.state())


# -- faults -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"inner_lr": 0.0}, "inner_lr"),
        ({"outer_lr": -1.0}, "outer_lr"),
        ({"num_inner_steps": 0}, "num_inner_steps"),
        ({"multi_step_iterations": 0}, "multi_step_iterations"),
        ({"clip": -1.0}, "clip"),
        ({"loss": "hinge"}, "none of cross_entropy, mse"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        MAMLConfig(**wrong)


def test_a_head_that_is_not_there_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match=r"no parameter '2\.wieght' to adapt; did you mean '2\.weight'"):
        MAML(stack(nn.ReLU()), MAMLConfig(anil="2.wieght"))


@pytest.mark.parametrize("way", WAYS)
def test_a_model_with_too_few_outputs_is_told_so(way: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="2 classes"):
        MAML(stack(nn.ReLU(), outputs=2), MAMLConfig(**way)).meta_train_step(classes(2))
    with pytest.raises(DataError, match="beyond the 2 classes"):
        MAML(stack(nn.ReLU(), outputs=2), MAMLConfig(**way), ways=2).meta_train_step(classes(2))
    with pytest.raises(DataError, match="build it for as many outputs"):
        MAML(stack(nn.ReLU(), inputs=1), MAMLConfig(loss="mse", **way)).meta_train_step(numbers(2))
