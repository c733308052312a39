"""What all meta-learners have from their base: checks, steps, validation and states, shown on an algorithm of one's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import pytest
import torch
from tests.meta.learners import CLASSES, classes, numbers, stack
from torch import Tensor, nn

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.meta.base import MetaLearner
from tradewind.meta.maml import MAML, MAMLConfig
from tradewind.meta.tasks import LossName, Task, accuracy, sample_losses


@final
@dataclass(frozen=True)
class JointConfig:
    loss: LossName = "cross_entropy"
    outer_lr: float = 0.05
    num_inner_steps: int = 1
    clip: float = 0.0


@final
class Joint(MetaLearner):
    """Trains on all samples of all tasks and does not adapt: the shortest algorithm there is."""

    name: ClassVar[str] = "joint"

    def learned(self) -> nn.Module:
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        losses = [sample_losses(self.model(task["query_data"]), task["query_labels"], self.config.loss).mean() for task in tasks]
        loss = torch.stack(losses).mean()
        loss.backward()
        return {"meta_loss": float(loss.detach())}

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        return copy.deepcopy(self.model)


def joint(loss: LossName = "cross_entropy", clip: float = 0.0, seed: int = 0) -> Joint:
    if loss == "mse":
        return Joint(stack(nn.Tanh(), inputs=1, outputs=1, seed=seed), JointConfig("mse", clip=clip))
    return Joint(stack(nn.Tanh(), seed=seed), JointConfig(clip=clip), CLASSES)


def test_an_algorithm_of_ones_own_is_three_methods() -> None:
    learner, batch = joint(), classes(4)
    first = learner.meta_train_step(batch)["meta_loss"]
    for _ in range(30):
        last = learner.meta_train_step(batch)["meta_loss"]
    assert last < first
    assert learner.iterations == 31


def test_validation_is_the_mean_over_tasks_with_its_standard_error_and_learns_nothing() -> None:
    learner, tasks = joint(), classes(5)
    before = learner.state()
    told = learner.meta_validate(tasks)
    assert learner.state() == before
    with torch.no_grad():
        answers = [learner.model(task["query_data"]) for task in tasks]
    losses = torch.tensor([float(sample_losses(a, t["query_labels"], "cross_entropy").mean()) for a, t in zip(answers, tasks, strict=True)])
    hits = torch.tensor([accuracy(a, t["query_labels"]) for a, t in zip(answers, tasks, strict=True)])
    for key, values in (("loss", losses), ("accuracy", hits)):
        assert told[key] == pytest.approx(float(values.mean()), rel=1e-6)
        assert told[f"{key}_error"] == pytest.approx(float(values.std()) / math.sqrt(5), rel=1e-5)


def test_validation_of_one_task_has_no_error_and_of_numbers_no_accuracy() -> None:
    told = joint("mse").meta_validate(numbers(1))
    assert math.isnan(told["loss_error"])
    assert set(told) == {"loss", "loss_error"}
    with pytest.raises(SettingsError, match="no task to validate on"):
        joint().meta_validate([])


def test_the_adapted_model_is_in_evaluation_mode_and_the_learner_as_it_was() -> None:
    learner, task = joint(), classes(1)[0]
    before = learner.state()
    adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"])
    assert not adapted.training
    assert learner.model.training
    assert learner.state() == before


def test_clipping_bounds_the_meta_gradient() -> None:
    learner = joint(clip=1e-3)
    learner.meta_train_step(classes(2))
    norm = torch.cat([p.grad.flatten() for p in learner.model.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_a_state_on_disk_continues_as_if_nothing_had_been(tmp_path: object) -> None:
    learner = joint()
    for seed in range(3):
        learner.meta_train_step(classes(2, seed=seed))
    save_state(str(tmp_path), learner.state())
    other = joint(seed=4).restore(load_state(str(tmp_path)))
    assert other.iterations == 3
    assert other.meta_train_step(classes(2, seed=9)) == learner.meta_train_step(classes(2, seed=9))
    assert other.state() == learner.state()


def test_states_of_others_are_refused() -> None:
    state = joint().state()
    with pytest.raises(StateError, match="state of 'joint', not of 'maml'"):
        MAML(stack(nn.Tanh()), MAMLConfig()).restore(state)
    wider = Joint(stack(nn.Tanh(), hidden=13), JointConfig())
    with pytest.raises(StateError, match=r"weight '0\.bias' has shape \(12,\), expected \(13,\)"):
        wider.restore(state)


def test_bad_tasks_are_refused_before_anything_moves() -> None:
    learner = joint()
    before = learner.state()
    one_class = {**classes(1)[0]}
    one_class["support_labels"] = torch.ones_like(one_class["support_labels"])
    for wrong in ([], [one_class]):
        with pytest.raises(DataError):
            learner.meta_train_step(wrong)
    with pytest.raises(DataError, match="one class teaches nothing"):
        learner.few_shot_adapt(one_class["support_data"], one_class["support_labels"])
    with pytest.raises(DataError):
        learner.meta_validate([one_class])
    for steps in (-1, 1.5):
        with pytest.raises(SettingsError, match="num_adaptation_steps"):
            learner.few_shot_adapt(*(classes(1)[0][key] for key in ("support_data", "support_labels")), steps)  # type: ignore[arg-type]
    assert learner.state() == before


def test_a_loss_that_is_no_number_any_more_stops_before_the_step() -> None:
    learner = MAML(stack(nn.ReLU(), inputs=1, outputs=1), MAMLConfig(inner_lr=1e6, num_inner_steps=30, loss="mse"))
    weights = [parameter.detach().clone() for parameter in learner.model.parameters()]
    with pytest.raises(SettingsError, match=r"the meta loss is .* at iteration 0; lower inner_lr or outer_lr"):
        learner.meta_train_step(numbers(2))
    assert all(torch.equal(old, new) for old, new in zip(weights, learner.model.parameters(), strict=True))
    assert learner.iterations == 0
