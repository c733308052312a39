"""Controls: each does what its name says, on known answers, and refuses what teaches nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid as Reference
from torch import nn

from tradewind.core.errors import DataError, NotFitted, SettingsError
from tradewind.meta.controls import BaseRate, ForecasterOnSupport, JointConfig, JointTraining, NearestCentroid
from tradewind.meta.synthetic_tasks import RegimeTasks
from tradewind.nets.device import reproducible

TREES: dict[str, Any] = {"trees": 20, "depth": 3, "leaf_rows": 1, "learning_rate": 0.3, "validation": 0.0}


def net(inputs: int = 4, outputs: int = 2) -> nn.Module:
    with reproducible(0):
        return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


def clouds(seed: int = 0, ways: int = 3, shots: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(ways), shots)
    return torch.from_numpy((random.normal(size=(len(labels), 4)) + 6.0 * np.eye(4)[labels]).astype(np.float32)), torch.from_numpy(labels)


def test_the_nearest_centroid_is_that_of_sklearn() -> None:
    data, labels = clouds()
    asked = torch.from_numpy(np.random.default_rng(1).normal(2.0, 3.0, (200, 4)).astype(np.float32))
    told = NearestCentroid(3).few_shot_adapt(data, labels)(asked).argmax(dim=1).numpy()
    np.testing.assert_array_equal(told, Reference().fit(data.numpy(), labels.numpy()).predict(asked.numpy()))


def test_the_base_rate_tells_how_often_classes_came_whatever_is_asked() -> None:
    control = BaseRate(ways=3)
    task = {
        "support_data": torch.zeros(2, 1),
        "support_labels": torch.tensor([0, 1]),
        "query_data": torch.zeros(4, 1),
        "query_labels": torch.tensor([1, 1, 1, 0]),
    }
    with pytest.raises(NotFitted, match="has not seen a task"):
        control.few_shot_adapt(task["support_data"], task["support_labels"])
    assert control.meta_train_step([task, task]) == {"samples": 8.0}
    answers = control.few_shot_adapt(task["support_data"], task["support_labels"])(torch.randn(5, 1))
    shares = answers.softmax(dim=1)
    np.testing.assert_allclose(shares.numpy(), np.tile([0.25, 0.75, 1e-4], (5, 1)) / 1.0001, rtol=1e-4)


def test_the_base_rate_of_numbers_is_their_mean() -> None:
    labels = torch.tensor([[1.0, 4.0], [3.0, 0.0]])
    answers = BaseRate("mse", source="support").few_shot_adapt(torch.zeros(2, 1), labels)(torch.zeros(3, 1))
    torch.testing.assert_close(answers, torch.tensor([[2.0, 2.0]] * 3))
    with pytest.raises(SettingsError, match="needs `ways`"):
        BaseRate()


def test_trees_tell_the_clouds_of_their_support_apart() -> None:
    data, labels = clouds(shots=8)
    asked, wanted = clouds(seed=1, shots=20)
    answers = ForecasterOnSupport("lightgbm", ways=4, **TREES).few_shot_adapt(data, labels)(asked)
    assert answers.shape == (60, 4)
    assert float((answers.argmax(dim=1) == wanted).double().mean()) > 0.9
    assert (answers[:, 3] == answers[0, 3]).all() and float(answers[0, 3].exp()) == pytest.approx(1e-4, rel=1e-3)


def test_trees_learn_one_shot_of_each_class() -> None:
    data, labels = clouds(shots=1)
    answers = ForecasterOnSupport("lightgbm", ways=3, **TREES).few_shot_adapt(data, labels)(data)
    assert answers.argmax(dim=1).tolist() == [0, 1, 2]


def test_numbers_of_several_outputs_have_a_forecaster_each() -> None:
    data = torch.linspace(-1, 1, 40)[:, None]
    labels = torch.cat([data, -2 * data], dim=1)
    answers = ForecasterOnSupport("lightgbm", "mse", **TREES).few_shot_adapt(data, labels)(data)
    assert answers.shape == labels.shape and float((answers - labels).abs().mean()) < 0.2


def test_an_unknown_forecaster_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match="did you mean 'lightgbm'"):
        ForecasterOnSupport("lightgm", ways=2)


def test_from_scratch_learns_its_support_and_leaves_the_net_as_it_is() -> None:
    model = net(outputs=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data, labels = clouds()
    adapted = JointTraining(model, JointConfig(inner_lr=0.05), ways=3).few_shot_adapt(data, labels, num_adaptation_steps=50)
    assert float((adapted(data).argmax(dim=1) == labels).double().mean()) == 1.0
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_pretrained_never_adapts_and_shares_what_was_learned() -> None:
    model = net()
    tuned, fixed = JointTraining(model, ways=2), JointTraining(model, JointConfig(num_inner_steps=0), ways=2)
    tasks = RegimeTasks().sample_batch(np.random.default_rng(0), 4)
    first = tuned.meta_train_step(tasks)["meta_loss"]
    for _ in range(30):
        last = tuned.meta_train_step(tasks)["meta_loss"]
    assert last < first
    task = tasks[0]
    answers = fixed.few_shot_adapt(task["support_data"], task["support_labels"], num_adaptation_steps=10)(task["query_data"])
    torch.testing.assert_close(answers, model(task["query_data"]), rtol=0, atol=0)


def test_jointly_trained_stays_at_chance_where_the_rule_flips() -> None:
    random, control = np.random.default_rng(0), JointTraining(net(), JointConfig(num_inner_steps=0), ways=2)
    tasks = RegimeTasks()
    for _ in range(150):
        control.meta_train_step(tasks.sample_batch(random, 8))
    assert abs(control.meta_validate(tasks.sample_batch(random, 100))["accuracy"] - 0.5) < 0.08


def test_joint_training_goes_on_from_its_state() -> None:
    tasks = RegimeTasks().sample_batch(np.random.default_rng(0), 4)
    one = JointTraining(net(), ways=2)
    one.meta_train_step(tasks)
    other = JointTraining(net(), ways=2).restore(one.state())
    assert one.meta_train_step(tasks) == other.meta_train_step(tasks)


@pytest.mark.parametrize("control", [NearestCentroid(2), BaseRate(ways=2), ForecasterOnSupport("lightgbm", ways=2)])
def test_one_class_teaches_nobody(control: NearestCentroid | BaseRate | ForecasterOnSupport) -> None:
    with pytest.raises(DataError, match="one class teaches nothing"):
        control.few_shot_adapt(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
