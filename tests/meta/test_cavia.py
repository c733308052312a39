"""CAVIA against its algebra, and what is its own: only the context moves."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.seeds import generator
from tradewind.meta.cavia import CAVIA, SPACES, CAVIAConfig, ContextModel
from tradewind.meta.synthetic_tasks import RegimeTasks, Sinusoids
from tradewind.meta.tasks import Task, accuracy, sample_losses


def net(inputs: int, outputs: int, hidden: int = 16) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


def waves(n: int, seed: int = 1, support: int = 6, query: int = 4) -> list[Task]:
    drawn = Sinusoids(support, query).sample_batch(generator(seed), n)
    return [{key: part.double() for key, part in task.items()} for task in drawn]


def slopes(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def line(w: float, v: float) -> nn.Module:
    """y = w x + v c."""
    model = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[w, v]], dtype=torch.float64))
    return model


@pytest.mark.parametrize("first_order", [False, True])
def test_the_meta_gradient_of_a_line_in_closed_form(first_order: bool) -> None:
    # One step from c = 0 leads to c = 2 a v m, m the mean residual of the support; the query's error is e = y - w x - v c.
    w, v, rate = 0.7, -0.4, 0.3
    task = waves(1)[0]
    model = line(w, v)
    told = CAVIA(model, CAVIAConfig(1, rate, num_inner_steps=1, first_order=first_order, loss="mse")).gradients([task])
    m, x = (task["support_labels"] - w * task["support_data"]).mean(), task["query_data"]
    c = 2 * rate * v * m
    e = task["query_labels"] - w * x - v * c
    through_w = 0.0 if first_order else v * 2 * rate * v * -task["support_data"].mean()
    through_v = 0.0 if first_order else v * 2 * rate * m
    expected = torch.stack([(-2 * e * (x + through_w)).mean(), (-2 * e * (c + through_v)).mean()])
    assert torch.allclose(slopes(model), expected, rtol=1e-10, atol=1e-12)
    assert told["meta_loss"] == pytest.approx(float((e * e).mean()), rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 6), steps=st.integers(1, 3), first_order=st.booleans())
def test_a_batch_is_the_mean_of_its_tasks(seed: int, n: int, steps: int, first_order: bool) -> None:
    config = CAVIAConfig(3, 0.5, num_inner_steps=steps, first_order=first_order, loss="mse")
    tasks = waves(n, seed) + waves(1, seed + 1, support=9, query=3)
    each, losses = [], []
    for task in tasks:
        model = net(4, 1).double()
        losses.append(CAVIA(model, config).gradients([task])["meta_loss"])
        each.append(slopes(model))
    model = net(4, 1).double()
    told = CAVIA(model, config).gradients(tasks)
    assert torch.allclose(slopes(model), torch.stack(each).mean(dim=0), rtol=1e-9, atol=1e-11)
    assert told["meta_loss"] == pytest.approx(float(np.mean(losses)), rel=1e-10)


def test_adapting_moves_the_context_and_nothing_else() -> None:
    model, task = line(0.7, -0.4), waves(1)[0]
    learner = CAVIA(model, CAVIAConfig(1, 0.3, num_inner_steps=2, loss="mse"))
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    assert isinstance(adapted, ContextModel) and not adapted.training
    # c goes to (1 - 2 a v^2) c + 2 a v m a step.
    m, c = float((task["support_labels"] - 0.7 * task["support_data"]).mean()), 0.0
    for _ in range(2):
        c = (1 - 2 * 0.3 * 0.16) * c + 2 * 0.3 * -0.4 * m
    assert adapted.context.tolist() == pytest.approx([c], rel=1e-12)
    assert torch.equal(next(adapted.parameters()), next(model.parameters()))
    assert next(adapted.parameters()).data_ptr() != next(model.parameters()).data_ptr()
    with torch.no_grad():
        answers = adapted(task["query_data"])
    assert torch.allclose(answers, 0.7 * task["query_data"] - 0.4 * c)


def test_no_step_is_the_context_of_no_task() -> None:
    learner, task = CAVIA(net(5, 1).double(), CAVIAConfig(4, loss="mse")), waves(1)[0]
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"], 0)
    nothing = torch.cat([task["query_data"], torch.zeros(4, 4).double()], dim=1)
    with torch.no_grad():
        assert torch.equal(adapted(task["query_data"]), learner.model(nothing))


def test_steps_beyond_the_trained_ones_never_raise_the_support_loss() -> None:
    task = waves(1)[0]
    learner = CAVIA(line(0.7, -3.0), CAVIAConfig(1, 0.2, num_inner_steps=1, loss="mse"))

    def loss(steps: int) -> float:
        adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"], steps)
        with torch.no_grad():
            return float(sample_losses(adapted(task["support_data"]), task["support_labels"], "mse").mean())

    # This rate overshoots more with every step: 1 - 2 a v^2 is -2.6.
    assert loss(0) < loss(1) == loss(2) == loss(20)


class Windowed(nn.Module):
    """(sample, row, column) -> logits."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(columns, 6, batch_first=True), nn.Linear(6 * rows, 2)

    def forward(self, data: Tensor) -> Any:
        return self.head(self.lstm(data)[0].flatten(1))


def test_every_row_of_a_window_carries_the_context() -> None:
    torch.manual_seed(0)
    drawn = RegimeTasks(8, 5, features=6).sample_batch(generator(2), 3)
    tasks = [{key: part.reshape(len(part), 2, 3) if key.endswith("data") else part for key, part in task.items()} for task in drawn]
    learner = CAVIA(Windowed(2, 5), CAVIAConfig(2), ways=2)
    assert np.isfinite(learner.meta_train_step(tasks)["meta_loss"])
    adapted = learner.few_shot_adapt(tasks[0]["support_data"], tasks[0]["support_labels"])
    assert isinstance(adapted, ContextModel)
    told = torch.cat([tasks[0]["query_data"], adapted.context.expand(5, 2, 2)], dim=2)
    with torch.no_grad():
        assert torch.equal(adapted(tasks[0]["query_data"]), adapted.net(told))


def test_a_restored_learner_adapts_to_the_same_bits() -> None:
    config, source = CAVIAConfig(4), RegimeTasks()
    learner = CAVIA(net(8, 2), config, ways=2)
    for seed in range(3):
        learner.meta_train_step(source.sample_batch(generator(seed), 4))
    torch.manual_seed(8)
    other = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    again = CAVIA(other, config, ways=2).restore(learner.state())
    task = source.sample_task(generator(9))
    with torch.no_grad():
        first, second = (one.few_shot_adapt(task["support_data"], task["support_labels"])(task["query_data"]) for one in (learner, again))
    assert torch.equal(first, second)
    for one in (learner, again):
        one.meta_train_step([task])
    assert all(torch.equal(one, two) for one, two in zip(learner.model.parameters(), again.model.parameters(), strict=True))


def test_dropout_is_off_and_batch_norm_sees_supports_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
    learner, task = CAVIA(model), RegimeTasks().sample_task(generator(1))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    learner.gradients([{**task, "query_data": task["query_data"] + 100.0}])
    assert 0 < norm.running_mean.abs().max() < 1.0
    assert model.training
    model.eval()
    assert learner.gradients([task])["meta_loss"] == learner.gradients([task])["meta_loss"]
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    with torch.no_grad():
        together, alone = adapted(task["query_data"]), torch.cat([adapted(sample[None]) for sample in task["query_data"]])
    assert torch.allclose(together, alone, atol=1e-6)


def test_a_model_without_room_for_the_context_says_so() -> None:
    task = RegimeTasks().sample_task(generator(0))
    with pytest.raises(SettingsError, match="build it for 8 inputs"):
        CAVIA(net(4, 2)).meta_train_step([task])
    with pytest.raises(SettingsError, match="build it for 8 inputs"):
        CAVIA(net(4, 2)).few_shot_adapt(task["support_data"], task["support_labels"])


def test_bad_input_and_settings_are_refused() -> None:
    learner, task = CAVIA(net(8, 2), ways=2), RegimeTasks().sample_task(generator(0))
    with pytest.raises(DataError, match="class"):
        learner.few_shot_adapt(task["support_data"], torch.ones(10, dtype=torch.int64))
    with pytest.raises(DataError, match="beyond the 2 classes"):
        learner.meta_train_step([{**task, "support_labels": torch.arange(10) % 3}])
    for wrong in ({"context_size": 0}, {"inner_lr": -1.0}, {"num_inner_steps": 0}, {"clip": -1.0}, {"loss": "mae"}):
        with pytest.raises(SettingsError):
            CAVIAConfig(**wrong)  # type: ignore[arg-type]
    assert SPACES.keys() <= {field.name for field in fields(CAVIAConfig)}


def test_the_context_learns_to_hold_the_regime() -> None:
    learner, source = CAVIA(net(8, 2, 32), CAVIAConfig(outer_lr=0.01), ways=2), RegimeTasks(10, 20, agreement=1.0)
    for step in range(150):
        learner.meta_train_step(source.sample_batch(generator(1, step), 16))
    judged = source.sample_batch(generator(2), 40)
    assert learner.meta_validate(judged)["accuracy"] > 0.9
    hits = []
    for task in judged:
        untold = learner.few_shot_adapt(task["support_data"], task["support_labels"], 0)
        with torch.no_grad():
            hits.append(accuracy(untold(task["query_data"]), task["query_labels"]))
    assert 0.25 < np.mean(hits) < 0.75  # without a context it is one regime or the other
