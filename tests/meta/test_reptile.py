"""Reptile against its definition: joint descent for one step, interpolation for any number, and the same whichever way tasks are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.seeds import generator
from tradewind.meta.cavia import CAVIA
from tradewind.meta.reptile import SPACES, Reptile, ReptileConfig
from tradewind.meta.synthetic_tasks import SINUSOIDS, RegimeTasks, Sinusoids
from tradewind.meta.tasks import Task, sample_losses


def net(inputs: int = 1, outputs: int = 1, hidden: int = 8) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


def waves(n: int, seed: int = 1, support: int = 6, query: int = 4) -> list[Task]:
    return list(Sinusoids(support, query).sample_batch(generator(seed), n))


def exact(tasks: Sequence[Task]) -> list[Task]:
    return [{key: part.double() if part.is_floating_point() else part for key, part in task.items()} for task in tasks]


def vector(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def slopes(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


class Stubborn(nn.Module):
    """A model whose way depends on numbers, which `torch.func.vmap` cannot run."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, data: Tensor) -> Any:
        return self.net(data) if float(data.abs().sum()) >= 0 else data


@pytest.mark.parametrize("made", [net, Stubborn])
@pytest.mark.parametrize("n", [1, 4])
def test_one_inner_step_is_the_direction_of_joint_training(n: int, made: Callable[[], nn.Module]) -> None:
    model, tasks = made().double(), exact(waves(n))
    learner = Reptile(model, ReptileConfig(inner_lr=0.03, num_inner_steps=1, loss="mse"))
    parts = [[torch.cat([task[f"support_{part}"], task[f"query_{part}"]]) for part in ("data", "labels")] for task in tasks]
    joint = torch.stack([sample_losses(model(data), labels, "mse").mean() for data, labels in parts]).mean()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(joint, list(model.parameters()))])
    learner.gradients(tasks)
    assert torch.allclose(slopes(model), 0.03 * expected, rtol=1e-10, atol=1e-14)


def test_the_line_through_the_origin_in_closed_form() -> None:
    # For y = wx each step takes w to a w + b with a = 1 - 2 lr mean(x^2) and b = 2 lr mean(xy).
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(0.5)
    task = exact(waves(1))[0]
    x, y = (torch.cat([task[f"support_{part}"], task[f"query_{part}"]]) for part in ("data", "labels"))
    led = torch.tensor(0.5).double()
    for _ in range(3):
        led = (1 - 0.02 * (x * x).mean()) * led + 0.02 * (x * y).mean()
    learner = Reptile(model, ReptileConfig(inner_lr=0.01, outer_lr=0.25, num_inner_steps=3, loss="mse"))
    told = learner.meta_train_step([task])
    assert float(model.weight.detach()) == pytest.approx(float(0.5 + 0.25 * (led - 0.5)), rel=1e-12)
    assert told["meta_loss"] == pytest.approx(float((task["query_labels"] - led * task["query_data"]).square().mean()), rel=1e-12)
    assert learner.iterations == 1


def test_the_support_alone_is_learned_where_told_so() -> None:
    model = net()
    learner = Reptile(model, ReptileConfig(learn_from="support", num_inner_steps=2, loss="mse"))
    task = waves(1)[0]
    learner.gradients([task])
    first = slopes(model)
    learner.gradients([{**task, "query_labels": task["query_labels"] + 5.0}])
    assert torch.equal(slopes(model), first)
    assert first.abs().max() > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 5), steps=st.integers(1, 4), batch=st.integers(0, 12))
def test_side_by_side_is_one_after_the_other(seed: int, n: int, steps: int, batch: int) -> None:
    tasks, found = exact(waves(n, seed)), []
    for made in (net, Stubborn):
        model = made().double()
        told = Reptile(model, ReptileConfig(0.02, 0.1, steps, batch, loss="mse")).gradients(tasks)
        found.append((slopes(model), told["meta_loss"]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-9, atol=1e-13)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-9)


def test_a_recurrent_net_is_learned_too() -> None:
    drawn = RegimeTasks(6, 4, features=6).sample_batch(generator(2), 3)
    tasks = [{key: part.reshape(len(part), 2, 3) if key.endswith("data") else part for key, part in task.items()} for task in drawn]
    torch.manual_seed(0)
    model = Recurrent()
    learner = Reptile(model, ReptileConfig(num_inner_steps=2), ways=2)
    before = vector(model)
    assert np.isfinite(learner.meta_train_step(tasks)["meta_loss"])
    assert not torch.equal(vector(model), before)
    assert learner.few_shot_adapt(tasks[0]["support_data"], tasks[0]["support_labels"])(tasks[0]["query_data"]).shape == (4, 2)


def test_tasks_of_several_shapes_count_alike() -> None:
    small, large = waves(1)[0], waves(1, seed=2, support=9, query=7)[0]
    each = []
    for task in (small, large):
        model = net()
        Reptile(model, ReptileConfig(loss="mse")).gradients([task])
        each.append(slopes(model))
    model = net()
    Reptile(model, ReptileConfig(loss="mse")).gradients([small, large])
    assert torch.allclose(slopes(model), (each[0] + each[1]) / 2, atol=1e-7)


class Recurrent(nn.Module):
    """(sample, row, column) -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, data: Tensor) -> Any:
        return self.head(self.lstm(data)[0][:, -1])


class Recorder(nn.Module):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.asked = net(), list[Tensor]()

    def forward(self, data: Tensor) -> Any:
        self.asked.append(data.detach().clone())
        return self.net(data)


def test_every_sample_is_seen_before_one_is_seen_again() -> None:
    model, task = Recorder(), waves(1, support=6, query=4)[0]
    Reptile(model, ReptileConfig(num_inner_steps=4, inner_batch=5, loss="mse")).gradients([task])
    everything = torch.cat([task["support_data"], task["query_data"]]).flatten().sort().values
    batches = model.asked[:4]
    assert all(len(batch) == 5 for batch in batches)
    for epoch in (batches[:2], batches[2:]):
        assert torch.equal(torch.cat(epoch).flatten().sort().values, everything)
    assert not torch.equal(batches[0], batches[2])


def test_a_restored_learner_goes_on_as_if_it_had_never_stopped() -> None:
    config = ReptileConfig(inner_batch=3, anneal_over=10, loss="mse")
    whole, half = Reptile(net(), config), Reptile(net(), config)
    batches = [waves(2, seed) for seed in range(6)]
    for tasks in batches:
        whole.meta_train_step(tasks)
    for tasks in batches[:3]:
        half.meta_train_step(tasks)
    torch.manual_seed(9)
    again = Reptile(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), config).restore(half.state())
    for tasks in batches[3:]:
        again.meta_train_step(tasks)
    assert torch.equal(vector(whole.model), vector(again.model))
    assert again.iterations == 6
    with pytest.raises(StateError, match="reptile"):
        CAVIA(net()).restore(whole.state())


def test_the_step_shrinks_evenly_to_nothing() -> None:
    learner = Reptile(net(), ReptileConfig(outer_lr=0.4, anneal_over=4, loss="mse"))
    rates = []
    for seed in range(6):
        learner.meta_train_step(waves(1, seed))
        rates.append(learner.optimiser.rate)
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])


class Breaking(nn.Module):
    """Answers twice, then no more."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.left = net(), 2

    def forward(self, data: Tensor) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError("no more")
        return self.net(data)


def test_the_weights_are_put_back_when_the_model_breaks() -> None:
    model = Breaking()
    before = vector(model)
    with pytest.raises(ValueError, match="no more"):
        Reptile(model, ReptileConfig(loss="mse")).meta_train_step(waves(1))
    assert torch.equal(vector(model), before)


def test_adapting_leaves_the_learner_as_it_is() -> None:
    learner, task = Reptile(net(), ReptileConfig(loss="mse")), waves(1)[0]
    before = vector(learner.model)
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    assert torch.equal(vector(learner.model), before)
    assert not torch.equal(vector(adapted), before)
    assert not adapted.training and learner.model.training


def test_steps_beyond_the_trained_ones_never_raise_the_support_loss() -> None:
    learner, task = Reptile(net(), ReptileConfig(inner_lr=0.9, num_inner_steps=1, loss="mse")), waves(1)[0]

    def loss(steps: int) -> float:
        adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"], steps)
        with torch.no_grad():
            return float(sample_losses(adapted(task["support_data"]), task["support_labels"], "mse").mean())

    losses = [loss(steps) for steps in (1, 2, 5, 50)]
    assert np.all(np.diff(losses) <= 0)
    unguarded = Reptile(net(), ReptileConfig(inner_lr=0.9, num_inner_steps=50, loss="mse"))
    adapted = unguarded.few_shot_adapt(task["support_data"], task["support_labels"])
    with torch.no_grad():
        diverged = float(sample_losses(adapted(task["support_data"]), task["support_labels"], "mse").mean())
    assert not diverged <= losses[-1]  # without the guard this rate does not settle


def test_dropout_is_off_and_batch_norm_sees_supports_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
    learner = Reptile(model, ReptileConfig(num_inner_steps=2))
    task = RegimeTasks(6, 6).sample_task(generator(1))
    first, second = (learner.gradients([task])["meta_loss"] for _ in range(2))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    assert first != second  # the running statistics moved between them
    kept = norm.running_mean.clone()
    other = Reptile(model, ReptileConfig(num_inner_steps=2))
    other.gradients([{**task, "query_data": task["query_data"] + 100.0}])
    moved = norm.running_mean - kept
    assert moved.abs().max() < 1.0  # a query a hundred away has not been seen
    model.eval()
    assert learner.gradients([task])["meta_loss"] == learner.gradients([task])["meta_loss"]


def test_frozen_parameters_stay() -> None:
    model = net()
    assert isinstance(model, nn.Sequential)
    first = model[0]
    assert isinstance(first, nn.Linear)
    first.weight.requires_grad_(False)
    before = first.weight.clone()
    learner = Reptile(model, ReptileConfig(loss="mse"))
    learner.meta_train_step(waves(3))
    assert torch.equal(first.weight, before)
    with torch.no_grad():
        assert learner.few_shot_adapt(*(waves(1)[0][key] for key in ("support_data", "support_labels"))) is not model


def test_bad_input_and_settings_are_refused() -> None:
    learner = Reptile(net(4, 2), ways=2)
    task = RegimeTasks().sample_task(generator(0))
    with pytest.raises(DataError, match="class"):
        learner.meta_train_step([{**task, "support_labels": torch.zeros(10, dtype=torch.int64)}])
    with pytest.raises(DataError, match="nan"):
        learner.few_shot_adapt(task["support_data"] * float("nan"), task["support_labels"])
    for wrong in ({"num_inner_steps": 0}, {"inner_batch": -1}, {"learn_from": "query"}, {"inner_lr": 0.0}, {"loss": "mae"}):
        with pytest.raises(SettingsError):
            ReptileConfig(**wrong)  # type: ignore[arg-type]
    assert SPACES.keys() <= {field.name for field in fields(ReptileConfig)}


def test_it_learns_to_learn_waves() -> None:
    torch.manual_seed(0)
    learner = Reptile(nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1)), ReptileConfig(0.02, 0.5, 8, loss="mse"))
    judged = SINUSOIDS.sample_batch(generator(99), 30)
    before = learner.meta_validate(judged)["loss"]
    for step in range(60):
        learner.meta_train_step(SINUSOIDS.sample_batch(generator(1, step), 10))
    assert learner.meta_validate(judged)["loss"] < 0.8 * before
