"""The inner loop: its steps by hand, what modes and kernels it needs of any module, and the guard beyond the trained steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from tests.meta.learners import CLASSES, INPUTS, classes, numbers, slopes, stack, windows
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.meta.inner_loop import (
    Unrolled,
    adapted_names,
    adapting,
    fast_weights,
    forward_of,
    guarded_weights,
    observe,
    stacked,
    with_weights,
)
from tradewind.meta.maml import MAML, MAMLConfig
from tradewind.meta.tasks import Task, sample_losses


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, CLASSES)

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(data)[0][:, -1])
        return answer


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Conv1d(2, 5, 2), nn.BatchNorm1d(5), nn.Linear(5, CLASSES)

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = self.head(torch.tanh(self.norm(self.body(data.mT))).mean(dim=2))
        return answer


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.TransformerEncoderLayer(2, 1, 6, dropout=0.3, batch_first=True)
        self.head = nn.Linear(2, CLASSES)

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = self.head(self.body(data)[:, -1])
        return answer


class Tied(nn.Module):
    """An encoder and a decoder that are one matrix in two modules, and a buffer."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS, bias=False)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(INPUTS, CLASSES)
        self.register_buffer("scale", torch.tensor(0.7))

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = self.head(self.decoder(torch.tanh(self.encoder(data) * self.scale)))
        return answer


class Choosing(nn.Module):
    """Its way depends on numbers, which torch.func.vmap refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(INPUTS, CLASSES)

    def forward(self, data: Tensor) -> Tensor:
        answer: Tensor = self.head(data if float(data.detach().sum()) > 1e9 else 2 * data)
        return answer


def made(module: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return module().double()


def shaped(module: Callable[[], nn.Module], n: int = 3) -> list[Task]:
    tasks = classes(n)
    return windows(tasks) if module in (Recurrent, Convolution, Attention) else tasks


# -- the steps --------------------------------------------------------------------------------------------------------------
def test_two_steps_of_a_line_by_hand() -> None:
    task = numbers(1)[0]
    x, y = task["support_data"][:, 0], task["support_labels"]
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    adapted = fast_weights(lambda w, data: data * w["w"], {"w": weight}, task["support_data"], y, "mse", 0.1, steps=2)["w"]
    by_hand = weight
    for _ in range(2):
        by_hand = by_hand - 0.1 * (2 * (by_hand * x - y) * x).mean()
    assert float(adapted.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-12)
    assert float(torch.autograd.grad(adapted, weight)[0]) == pytest.approx(float((1 - 0.2 * (x * x).mean()) ** 2), rel=1e-12)


def test_rates_of_their_own_and_what_is_not_used_stays() -> None:
    task = numbers(1)[0]
    weights = {"w": torch.tensor(0.3, dtype=torch.float64), "idle": torch.ones(2, dtype=torch.float64)}
    rates = {"w": torch.tensor(0.05, dtype=torch.float64), "idle": torch.ones(2, dtype=torch.float64)}
    asked = (lambda w, data: data * w["w"], weights, task["support_data"], task["support_labels"], "mse")
    own, same = fast_weights(*asked, rates), fast_weights(*asked, 0.05)
    assert torch.equal(own["w"], same["w"])
    assert torch.equal(own["idle"], weights["idle"])


@pytest.mark.parametrize("module", [Recurrent, Convolution, Attention, Tied, Choosing])
def test_any_module_learns_through_its_inner_steps(module: Callable[[], nn.Module]) -> None:
    model, tasks = made(module), shaped(module)
    learner = MAML(model, MAMLConfig(inner_lr=0.2, num_inner_steps=2), CLASSES)
    before = copy.deepcopy(model)
    told = learner.gradients(tasks)
    left = slopes(model)
    for (name, old), new in zip(before.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(old, new), name  # asking moves nothing
    # The directional derivative along a fixed direction, by finite differences through adapt itself.
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(len(left), generator=generator, dtype=torch.float64)
    losses = []
    for sign in (1, -1):
        moved = copy.deepcopy(before)
        vector = nn.utils.parameters_to_vector(moved.parameters()) + sign * 1e-6 * direction
        nn.utils.vector_to_parameters(vector, moved.parameters())
        other = MAML(moved, learner.config)
        adapted = [other.few_shot_adapt(task["support_data"], task["support_labels"]) for task in tasks]
        losses.append(
            sum(
                float(sample_losses(net(task["query_data"]).detach(), task["query_labels"], "cross_entropy").mean())
                for net, task in zip(adapted, tasks, strict=True)
            )
            / len(tasks)
        )
    assert float(left @ direction) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-5, abs=1e-8)
    assert told["meta_loss"] == pytest.approx(sum(losses) / 2, rel=1e-6)


@pytest.mark.parametrize("module", [Convolution, Attention, Tied])
def test_side_by_side_and_one_by_one_are_the_same(module: Callable[[], nn.Module]) -> None:
    model = made(module)
    group = stacked(shaped(module))[0]
    unrolled = Unrolled(model, adapted_names(model))
    with adapting(model):
        together = unrolled.query_outputs(group, "cross_entropy", 0.2, 3, every=True)
        assert unrolled.side_by_side
        unrolled.side_by_side = False
        alone = unrolled.query_outputs(group, "cross_entropy", 0.2, 3, every=True)
    assert len(together) == len(alone) == 3
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


def test_a_model_that_is_wrong_says_so_itself() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        MAML(made(lambda: nn.Sequential(nn.Linear(INPUTS + 1, CLASSES))), MAMLConfig(low_rank=False)).gradients(classes(2))


# -- models as functions ------------------------------------------------------------------------------------------------------
def test_shared_weights_stay_shared_in_the_copy_and_buffers_survive() -> None:
    model, task = made(Tied), classes(1)[0]
    adapted = MAML(model, MAMLConfig(inner_lr=0.5)).few_shot_adapt(task["support_data"], task["support_labels"])
    assert isinstance(adapted, Tied)
    assert adapted.decoder.weight is adapted.encoder.weight
    assert not torch.equal(adapted.encoder.weight, model.encoder.weight)
    assert torch.equal(adapted.scale, model.scale)


def test_an_adapted_model_shares_no_memory() -> None:
    model, task = made(Convolution), windows(classes(1))[0]
    adapted = MAML(model, MAMLConfig()).few_shot_adapt(task["support_data"], task["support_labels"])
    owned = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert not owned & {tensor.data_ptr() for tensor in adapted.state_dict().values()}
    adapted.register_forward_hook(lambda module, data, outputs: None)
    assert not model._forward_hooks
    copied = with_weights(model, {"head.bias": torch.zeros(CLASSES, dtype=torch.float64)})
    assert not copied.get_parameter("head.bias").any()
    assert all(parameter.requires_grad for parameter in copied.parameters())


def test_a_copy_is_that_of_deepcopy() -> None:
    shared = nn.Linear(2, 2)
    model = nn.ModuleDict({"twice": nn.Sequential(shared, nn.Dropout(0.3), shared), "lstm": nn.LSTM(2, 2), "norm": nn.BatchNorm1d(2)})
    model.notes = ["a list", {"of": 1}]
    model.eval()
    model["lstm"].train()
    copied, expected = with_weights(model, {}), copy.deepcopy(model)
    assert str(copied) == str(expected)
    assert copied.notes == model.notes
    assert copied.notes is not model.notes
    assert [module.training for module in copied.modules()] == [module.training for module in expected.modules()]
    for (name, one), (other_name, other) in zip(copied.state_dict().items(), expected.state_dict().items(), strict=True):
        assert name == other_name
        assert torch.equal(one, other)
    assert copied["twice"][0] is copied["twice"][2]  # type: ignore[index]
    assert {id(module) for module in copied.modules()}.isdisjoint(id(module) for module in model.modules())


def test_a_module_used_twice_is_left_as_it_was() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    weight = layer.weight
    forward_of(model)({"0.weight": torch.zeros(2, 2)}, torch.ones(1, 2))
    assert layer.weight is weight


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (None, ("0.weight", "0.bias", "2.weight", "2.bias")),
        ("head", ("2.weight", "2.bias")),
        ("0", ("0.weight", "0.bias")),
        (("2.bias", "0.weight"), ("0.weight", "2.bias")),
    ],
)
def test_the_names_that_adapt(only: str | tuple[str, ...] | None, names: tuple[str, ...]) -> None:
    assert adapted_names(stack(nn.ReLU()), only) == names


def test_a_bare_layer_is_its_own_head_and_a_frozen_model_cannot_adapt() -> None:
    assert adapted_names(nn.Linear(2, 2), "head") == ("weight", "bias")
    with pytest.raises(SettingsError, match="no parameter that learns"):
        adapted_names(nn.Linear(2, 2).requires_grad_(False))


# -- modes --------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("low_rank", [True, False])
def test_dropout_is_off_while_adapting_and_modes_come_back(low_rank: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, CLASSES)).double()
    model[1].eval()
    learner = MAML(model, MAMLConfig(low_rank=low_rank))
    task = classes(1)[0]
    first, second = ([learner.gradients([task])["meta_loss"], slopes(model), model.zero_grad()] for _ in range(2))
    assert first[0] == second[0]
    assert torch.equal(first[1], second[1])
    adapted = [learner.few_shot_adapt(task["support_data"], task["support_labels"]) for _ in range(2)]
    assert not adapted[0].training
    assert torch.equal(adapted[0](task["query_data"]), adapted[1](task["query_data"]))
    assert [module.training for module in model] == [True, False, True, True]
    assert model.training


def test_batch_norm_never_sees_the_query() -> None:
    tasks, other = windows(classes(3)), windows(classes(3))
    for task in other:
        task["query_data"] = task["query_data"] * 100 + 7  # type: ignore[index]
    states = []
    for batch in (tasks, other):
        model = made(Convolution)
        MAML(model, MAMLConfig()).gradients(batch)
        states.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert int(states[0]["norm.num_batches_tracked"]) == 1  # but the supports it does see
    learner = MAML(made(Convolution), MAMLConfig())
    adapted = learner.few_shot_adapt(tasks[0]["support_data"], tasks[0]["support_labels"])
    whole = adapted(tasks[0]["query_data"])
    alone = torch.cat([adapted(sample[None]) for sample in tasks[0]["query_data"]])
    assert torch.allclose(whole, alone, rtol=1e-12)


def test_statistics_come_from_all_supports_of_a_batch_together() -> None:
    model = nn.Sequential(nn.BatchNorm1d(INPUTS, momentum=1.0), nn.Linear(INPUTS, CLASSES)).double()
    tasks = classes(3)
    observe(model, tasks)
    seen = torch.cat([task["support_data"] for task in tasks])
    assert torch.allclose(model[0].running_mean, seen.mean(dim=0))  # type: ignore[arg-type]
    assert model.training
    model.eval()
    observe(model, classes(2, seed=8))  # a norm in evaluation mode was meant to stay
    assert torch.allclose(model[0].running_mean, seen.mean(dim=0))  # type: ignore[arg-type]


def test_batch_norm_without_statistics_is_refused() -> None:
    model = nn.Sequential(nn.BatchNorm1d(INPUTS, track_running_stats=False), nn.Linear(INPUTS, CLASSES)).double()
    with pytest.raises(SettingsError, match="0 keeps no running statistics; build it with track_running_stats=True"):
        MAML(model, MAMLConfig()).gradients(classes(1))


def test_kernels_are_as_they_were_afterwards() -> None:
    def kernels() -> tuple[bool, ...]:
        backends = (torch.backends.mkldnn, torch.backends.cudnn)
        return *(backend.enabled for backend in backends), torch.backends.mha.get_fastpath_enabled()  # type: ignore[attr-defined]

    before = kernels()
    with pytest.raises(ZeroDivisionError), adapting(made(Recurrent)):
        assert kernels() != before
        raise ZeroDivisionError
    assert kernels() == before


# -- the guard ------------------------------------------------------------------------------------------------------------------
def test_beyond_the_trained_steps_the_support_loss_only_falls() -> None:
    task, model = numbers(1)[0], stack(nn.ReLU(), inputs=1, outputs=1)
    weights = dict(model.named_parameters())

    def loss_after(steps: int, rate: float, trained: int) -> float:
        forward = forward_of(model)
        data, labels = task["support_data"], task["support_labels"]
        adapted = guarded_weights(forward, weights, data, labels, "mse", rate, steps, trained)
        return float(sample_losses(forward(adapted, data), labels, "mse").mean().detach())

    calm = [loss_after(steps, 0.02, 2) for steps in range(12)]
    assert all(later < earlier for earlier, later in pairwise(calm[2:]))  # nothing is held back that helps
    wild = [loss_after(steps, 0.9, 0) for steps in range(12)]
    assert all(later <= earlier for earlier, later in pairwise(wild))
    assert not loss_after(12, 0.9, 12) <= wild[-1]  # without the guard the same rate leads off, here to no number at all


def test_the_guard_ends_where_numbers_end() -> None:
    data, labels = torch.ones(2, 1), torch.zeros(2)
    adapted = guarded_weights(lambda w, x: x * w["w"], {"w": torch.tensor(1e18)}, data, labels, "mse", 1e30, 5, 0)
    assert float(adapted["w"]) == pytest.approx(1e18)


def test_tasks_of_equal_shapes_are_stacked_and_others_stand_apart() -> None:
    groups = stacked([*classes(2), *classes(1, seed=5, support=4), *classes(1, seed=6)])
    assert [len(group["support_data"]) for group in groups] == [3, 1]
    assert groups[0]["query_data"].shape == (3, 9, INPUTS)
