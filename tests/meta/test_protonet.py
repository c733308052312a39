"""Prototypical networks: a linear classifier, a nearest centroid, and what supports may look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid
from torch import nn

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.meta.protonet import ProtoNetConfig, PrototypeClassifier, PrototypicalNetworks, prototype_logits, prototypes
from tradewind.meta.synthetic_tasks import RegimeTasks
from tradewind.meta.tasks import Task

SMALL = ProtoNetConfig(embedding_dim=16, hidden=32)


def samples(seed: int, n: int, classes: int, inputs: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (n - classes,), generator=generator)])
    return torch.randn(n, inputs, generator=generator, dtype=torch.float64), labels


def task(seed: int, n: int = 12, classes: int = 3) -> Task:
    data, labels = samples(seed, 2 * n, classes)
    data = data.float()
    return {"support_data": data[:n], "support_labels": labels[:n], "query_data": data[n:], "query_labels": labels[n:]}


# -- exact --------------------------------------------------------------------------------------------------------------
def test_a_prototype_is_the_mean_of_its_class() -> None:
    data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]])
    means, present = prototypes(data, torch.tensor([2, 2, 0]), 4)
    assert means.tolist() == [[10.0, 20.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]
    assert present.tolist() == [True, False, True, False]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), n=st.integers(6, 30))
def test_squared_euclid_is_the_linear_classifier_of_twice_the_prototypes(seed: int, classes: int, n: int) -> None:
    data, labels = samples(seed, n, classes)
    query, _ = samples(seed + 1, 20, classes)
    means, present = prototypes(data, labels, classes)
    linear = query @ (2.0 * means).T - means.square().sum(dim=1)
    ours = prototype_logits(query, means, present, "squared_euclidean", 1.0)
    torch.testing.assert_close(torch.softmax(ours, dim=1), torch.softmax(linear, dim=1), rtol=1e-10, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), n=st.integers(6, 30))
def test_without_an_embedding_it_is_the_nearest_centroid(seed: int, classes: int, n: int) -> None:
    data, labels = samples(seed, n, classes)
    query, _ = samples(seed + 1, 50, classes)
    adapted = PrototypicalNetworks(Same(), ways=classes).few_shot_adapt(data, labels)
    theirs = NearestCentroid().fit(data.numpy(), labels.numpy()).predict(query.numpy())
    assert np.array_equal(adapted(query).argmax(dim=1).numpy(), theirs)


def test_cosine_by_hand() -> None:
    means = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    logits = prototype_logits(torch.tensor([[2.0, 0.0]], dtype=torch.float64), means, torch.tensor([True, True]), "cosine", 0.5)
    torch.testing.assert_close(logits, torch.tensor([[-(1 - 0.6) / 0.5, -1 / 0.5]], dtype=torch.float64))


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
def test_the_meta_gradient_is_that_of_the_query_loss(distance: str) -> None:
    torch.manual_seed(0)
    net = nn.Linear(5, 3).double()
    learner = PrototypicalNetworks(net, ProtoNetConfig(distance=distance, temperature=0.7))  # type: ignore[arg-type]
    one = {name: part.double() if part.is_floating_point() else part for name, part in task(3).items()}

    def query_loss(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        support, query = (one[f"{part}_data"] @ weight.T + bias for part in ("support", "query"))
        means = torch.stack([support[one["support_labels"] == label].mean(dim=0) for label in range(3)])
        apart = torch.cdist(query, means).square()
        if distance == "cosine":
            apart = 1 - (query @ means.T) / query.norm(dim=1)[:, None] / means.norm(dim=1)
        return nn.functional.cross_entropy(-apart / 0.7, one["query_labels"])

    told = learner.gradients([one])
    weight, bias = (part.detach().clone().requires_grad_() for part in net.parameters())
    loss = query_loss(weight, bias)
    loss.backward()
    assert told["meta_loss"] == pytest.approx(loss.item(), rel=1e-12)
    for ours, wanted in zip(net.parameters(), (weight, bias), strict=True):
        torch.testing.assert_close(ours.grad, wanted.grad, rtol=1e-9, atol=1e-12)


# -- supports as they come ------------------------------------------------------------------------------------------------
def test_a_class_that_the_support_lacks_is_all_but_impossible() -> None:
    learner = PrototypicalNetworks(5, SMALL, ways=4)
    data = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    adapted = learner.few_shot_adapt(data, torch.tensor([0, 0, 0, 0, 0, 2]))
    chances = torch.softmax(adapted(data), dim=1)
    assert chances.shape == (6, 4)
    assert bool((chances[:, [1, 3]] < 2e-4).all()) and bool((chances[:, [1, 3]] > 0).all())


def test_a_query_of_a_class_that_its_support_lacks_is_learned_from_without_harm() -> None:
    learner = PrototypicalNetworks(5, ProtoNetConfig(embedding_dim=16, hidden=32, distance="cosine"), ways=4)
    odd = dict(task(0))
    odd["query_labels"] = torch.full_like(odd["query_labels"], 3)
    told = learner.meta_train_step([odd, task(1)])
    assert np.isfinite(told["meta_loss"])
    assert all(bool(torch.isfinite(weight).all()) for weight in learner.model.parameters())


def test_more_ways_than_were_trained_are_fine() -> None:
    learner = PrototypicalNetworks(5, SMALL)
    learner.meta_train_step([task(0, classes=2)])
    data, labels = samples(1, 30, 7)
    assert learner.few_shot_adapt(data.float(), labels)(data.float()).shape == (30, 7)


def test_a_query_of_a_class_that_nobody_answers_is_told() -> None:
    odd = {**task(0), "query_labels": torch.full((12,), 5)}
    with pytest.raises(DataError, match="class 5, 3 classes are answered; say by `ways`"):
        PrototypicalNetworks(5, SMALL).meta_validate([odd])


def test_samples_may_have_any_shape() -> None:
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6, 8))
    data = torch.randn(10, 2, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10) % 2
    windows: Task = {"support_data": data, "support_labels": labels, "query_data": data, "query_labels": labels}
    learner = PrototypicalNetworks(net)
    assert np.isfinite(learner.meta_train_step([windows])["meta_loss"])
    assert PrototypicalNetworks(16, SMALL).few_shot_adapt(data, labels)(data).shape == (10, 2)


# -- modes and independence -----------------------------------------------------------------------------------------------
def test_batch_norm_never_sees_the_query() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    one, other = task(0), dict(task(0))
    other["query_data"] = 100.0 * other["query_data"]
    statistics = []
    for batch in (one, other):
        learner = PrototypicalNetworks(PrototypicalNetworks(net).few_shot_adapt(one["support_data"], one["support_labels"]).net)  # type: ignore[arg-type]
        learner.meta_train_step([batch])
        statistics.append(learner.model[1].running_mean.clone())  # type: ignore[index]
    assert torch.equal(*statistics)
    assert not torch.equal(statistics[0], net[1].running_mean)  # type: ignore[arg-type]
    adapted = PrototypicalNetworks(net).few_shot_adapt(one["support_data"], one["support_labels"])
    together, alone = adapted(one["query_data"]), torch.cat([adapted(row[None]) for row in one["query_data"]])
    torch.testing.assert_close(together, alone)


def test_dropout_is_off_while_adapting_and_on_for_queries_of_meta_training() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.Linear(64, 4))
    learner = PrototypicalNetworks(net)
    one = task(0)
    first, second = (learner.few_shot_adapt(one["support_data"], one["support_labels"])(one["query_data"]) for _ in range(2))
    assert torch.equal(first, second)
    told = learner.gradients([one])["meta_loss"]
    assert told == learner.gradients([one])["meta_loss"]
    assert told != pytest.approx(learner.meta_validate([one])["loss"], rel=1e-6)


def test_an_adapted_model_is_independent() -> None:
    learner = PrototypicalNetworks(5, SMALL)
    one = task(0)
    adapted = learner.few_shot_adapt(one["support_data"], one["support_labels"])
    before = adapted(one["query_data"])
    weights = [weight.clone() for weight in learner.model.parameters()]
    learner.meta_train_step([one])
    assert torch.equal(adapted(one["query_data"]), before)
    assert not torch.equal(weights[0], next(iter(learner.model.parameters())))
    assert isinstance(adapted, PrototypeClassifier) and not adapted.training


def test_the_state_goes_through_a_file_and_goes_on_to_the_bit(tmp_path: Path) -> None:
    batches = [[task(10 * i + j) for j in range(3)] for i in range(4)]
    learner = PrototypicalNetworks(5, SMALL)
    for batch in batches[:2]:
        learner.meta_train_step(batch)
    folder = save_state(f"{tmp_path}/learner", learner.state())
    restored = PrototypicalNetworks(5, ProtoNetConfig(embedding_dim=16, hidden=32, seed=9)).restore(load_state(folder))
    for batch in batches[2:]:
        assert learner.meta_train_step(batch) == restored.meta_train_step(batch)
    one = batches[0][0]
    answers = [each.few_shot_adapt(one["support_data"], one["support_labels"])(one["query_data"]) for each in (learner, restored)]
    assert torch.equal(*answers)
    with pytest.raises(StateError, match="of 'protonet'"):
        restored.restore(type(folder_state := learner.state())({**folder_state.values, "learner": "maml"}, folder_state.arrays))


# -- what it learns ---------------------------------------------------------------------------------------------------------
def test_it_learns_the_rule_that_flips() -> None:
    tasks, random = RegimeTasks(), np.random.default_rng(0)
    learner = PrototypicalNetworks(4, ProtoNetConfig(embedding_dim=16, hidden=32))
    before = learner.meta_validate(tasks.sample_batch(random, 200))["accuracy"]
    for _ in range(250):
        learner.meta_train_step(tasks.sample_batch(random, 8))
    told = learner.meta_validate(tasks.sample_batch(random, 200))
    assert before < 0.75
    assert told["accuracy"] > 0.82


# -- faults -------------------------------------------------------------------------------------------------------------------
def test_numbers_are_refused() -> None:
    with pytest.raises(SettingsError, match="prototypes are of classes"):
        ProtoNetConfig(loss="mse")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"distance": "manhattan"}, {"temperature": 0.0}, {"embedding_dim": 0}, {"num_classes": 1}, {"outer_lr": -1.0}, {"clip": -1.0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ProtoNetConfig(**wrong)  # type: ignore[arg-type]


class Same(nn.Module):
    """No embedding at all."""

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return data
