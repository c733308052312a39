"""Matching networks: attention by hand, kernel-weighted means, and embeddings in the light of the whole support."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.errors import SettingsError
from tradewind.core.files import load_state, save_state
from tradewind.meta.matching import MatchingConfig, MatchingNetworks, matched
from tradewind.meta.synthetic_tasks import RegimeTasks
from tradewind.meta.tasks import Task

SMALL = MatchingConfig(embedding_dim=8, hidden=16)
PLAIN = MatchingConfig(embedding_dim=8, hidden=16, full_context=False, temperature=1.0)


def task(seed: int, n: int = 12, classes: int = 3) -> Task:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (2 * n - classes,), generator=generator)])
    data = torch.randn(2 * n, 5, generator=generator)
    return {"support_data": data[:n], "support_labels": labels[:n], "query_data": data[n:], "query_labels": labels[n:]}


def numbers(seed: int, outputs: int | None = None) -> Task:
    one = dict(task(seed))
    for part in ("support", "query"):
        answer = one[f"{part}_data"].sum(dim=1)
        one[f"{part}_labels"] = answer if outputs is None else answer[:, None].repeat(1, outputs)
    return one


# -- exact --------------------------------------------------------------------------------------------------------------
def test_one_shot_is_the_softmax_of_cosines_by_hand() -> None:
    support, labels = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]), torch.tensor([1, 0, 2])
    query = torch.tensor([[1.0, 0.0]])
    adapted = MatchingNetworks(Same(), PLAIN).few_shot_adapt(support, labels)
    e = [math.exp(0.6), math.exp(0.0), math.exp(-1.0)]
    wanted = torch.tensor([[e[1], e[0], e[2]]]) / sum(e)
    torch.testing.assert_close(torch.softmax(adapted(query), dim=1), wanted)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4), n=st.integers(5, 20))
def test_several_shots_add_up_and_their_order_is_all_one(seed: int, classes: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    keys, asked = (torch.randn(rows, 6, generator=generator, dtype=torch.float64) for rows in (n, 9))
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (n - classes,), generator=generator)])
    ours = torch.softmax(matched(asked, keys, labels, classes, 0.3), dim=1)
    shares = torch.softmax(functional.cosine_similarity(asked[:, None], keys[None], dim=2) / 0.3, dim=1)
    torch.testing.assert_close(ours, shares @ functional.one_hot(labels, classes).double())
    order = torch.randperm(n, generator=generator)
    torch.testing.assert_close(torch.softmax(matched(asked, keys[order], labels[order], classes, 0.3), dim=1), ours)


@pytest.mark.parametrize("outputs", [None, 3])
def test_numbers_are_the_kernels_mean_of_the_supports(outputs: int | None) -> None:
    one = numbers(0, outputs)
    plain = MatchingConfig(full_context=False, temperature=0.2, loss="mse")
    adapted = MatchingNetworks(Same(), plain).few_shot_adapt(one["support_data"], one["support_labels"])
    cosines = functional.cosine_similarity(one["query_data"][:, None], one["support_data"][None], dim=2)
    wanted = torch.softmax(cosines / 0.2, dim=1) @ one["support_labels"]
    assert adapted(one["query_data"]).shape == one["query_labels"].shape
    torch.testing.assert_close(adapted(one["query_data"]), wanted)
    near = MatchingNetworks(Same(), MatchingConfig(full_context=False, temperature=1e-4, loss="mse"))
    again = near.few_shot_adapt(one["support_data"], one["support_labels"])(one["support_data"])
    torch.testing.assert_close(again, one["support_labels"])


def test_full_context_embeds_as_the_paper_writes_it() -> None:
    learner = MatchingNetworks(Same(), MatchingConfig(embedding_dim=5, read_steps=2))
    one = task(0)
    context = learner.parts["context"]
    both, cell = context.both_ways, context.reader  # type: ignore[union-attr]
    support, query = one["support_data"], one["query_data"][:1]
    with torch.no_grad():
        forward, backward = (
            run_lstm(rows, *(getattr(both, f"{name}_l0{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
            for rows, end in ((support, ""), (support.flip(0), "_reverse"))
        )
        keys = support + forward + backward.flip(0)
        hidden, state = query, torch.zeros_like(query)
        for _ in range(2):
            read = torch.softmax(hidden @ keys.T, dim=1) @ keys
            gates = torch.cat([query, read], dim=1) @ cell.weight_ih.T + cell.bias_ih + hidden @ cell.weight_hh.T + cell.bias_hh
            hidden, state = lstm_step(gates, state)
            hidden = hidden + query
        wanted = matched(hidden, keys, one["support_labels"], 3, 0.1)
        ours = learner.few_shot_adapt(support, one["support_labels"])(query)
    torch.testing.assert_close(ours, wanted)


def run_lstm(rows: Tensor, inputs: Tensor, recurrent: Tensor, bias: Tensor, more: Tensor) -> Tensor:
    hidden = state = torch.zeros(1, recurrent.shape[1])
    answers = []
    for row in rows:
        hidden, state = lstm_step(row[None] @ inputs.T + bias + hidden @ recurrent.T + more, state)
        answers.append(hidden)
    return torch.cat(answers)


def lstm_step(gates: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, new, out = gates.chunk(4, dim=1)
    state = torch.sigmoid(forget) * state + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(state), state


# -- supports as they come ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", [SMALL, PLAIN])
def test_unequal_and_absent_classes(config: MatchingConfig) -> None:
    learner = MatchingNetworks(5, config, ways=4)
    odd = dict(task(0))
    odd["support_labels"] = torch.tensor([0] * 11 + [2])
    chances = torch.softmax(learner.few_shot_adapt(odd["support_data"], odd["support_labels"])(odd["query_data"]), dim=1)
    assert bool((chances[:, [1, 3]] < 2e-4).all()) and bool((chances[:, [1, 3]] > 0).all())
    told = learner.meta_train_step([odd, task(1)])
    assert np.isfinite(told["meta_loss"])
    assert all(bool(torch.isfinite(weight).all()) for weight in learner.learned().parameters())


def test_more_ways_than_were_trained_are_fine() -> None:
    learner = MatchingNetworks(5, SMALL)
    learner.meta_train_step([task(0, classes=2)])
    one = task(1, n=20, classes=7)
    assert learner.few_shot_adapt(one["support_data"], one["support_labels"])(one["query_data"]).shape == (20, 7)


def test_a_query_is_answered_by_itself() -> None:
    """What else is asked at the same time changes nothing: the context is the support's alone."""
    one = task(0)
    adapted = MatchingNetworks(5, SMALL).few_shot_adapt(one["support_data"], one["support_labels"])
    alone = torch.cat([adapted(row[None]) for row in one["query_data"]])
    torch.testing.assert_close(adapted(one["query_data"]), alone)


def test_the_net_must_answer_the_width_of_the_context() -> None:
    learner = MatchingNetworks(nn.Linear(5, 3), SMALL)
    with pytest.raises(SettingsError, match=r"embeds samples as \(3,\), embedding_dim is 8"):
        learner.meta_train_step([task(0)])


# -- learning and state ---------------------------------------------------------------------------------------------------
def test_everything_that_is_learned_has_a_gradient() -> None:
    learner = MatchingNetworks(5, SMALL)
    learner.gradients([task(0), task(1, n=7)])
    still = [name for name, weight in learner.learned().named_parameters() if weight.grad is None or not bool(weight.grad.any())]
    assert still == []


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_state_goes_through_a_file_and_goes_on_to_the_bit(tmp_path: Path, loss: str) -> None:
    make = task if loss == "cross_entropy" else numbers
    batches = [[make(10 * i + j) for j in range(3)] for i in range(4)]
    config = MatchingConfig(embedding_dim=8, hidden=16, loss=loss)  # type: ignore[arg-type]
    learner = MatchingNetworks(5, config)
    for batch in batches[:2]:
        learner.meta_train_step(batch)
    restored = MatchingNetworks(5, config).restore(load_state(save_state(tmp_path / "learner", learner.state())))
    for batch in batches[2:]:
        assert learner.meta_train_step(batch) == restored.meta_train_step(batch)
    one = batches[0][0]
    answers = [each.few_shot_adapt(one["support_data"], one["support_labels"])(one["query_data"]) for each in (learner, restored)]
    assert torch.equal(*answers)
    before = answers[0]
    adapted = learner.few_shot_adapt(one["support_data"], one["support_labels"])
    learner.meta_train_step(batches[1])
    assert torch.equal(adapted(one["query_data"]), before)


def test_the_seed_makes_the_weights_whatever_the_random_state() -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(MatchingNetworks(5, SMALL).state())
    assert states[0] == states[1]
    assert states[0] != MatchingNetworks(5, MatchingConfig(embedding_dim=8, hidden=16, seed=1)).state()


@pytest.mark.parametrize("full_context", [False, True])
def test_it_learns_the_rule_that_flips(full_context: bool) -> None:
    tasks, random = RegimeTasks(), np.random.default_rng(0)
    learner = MatchingNetworks(4, MatchingConfig(embedding_dim=8, hidden=32, full_context=full_context))
    before = learner.meta_validate(tasks.sample_batch(random, 200))["accuracy"]
    for _ in range(250):
        learner.meta_train_step(tasks.sample_batch(random, 8))
    told = learner.meta_validate(tasks.sample_batch(random, 200))
    assert before < 0.74
    assert told["accuracy"] > 0.78


@pytest.mark.parametrize("wrong", [{"read_steps": 0}, {"temperature": -1.0}, {"loss": "hinge"}, {"num_classes": 1}, {"hidden": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        MatchingConfig(**wrong)  # type: ignore[arg-type]


class Same(nn.Module):
    """No embedding at all."""

    def forward(self, data: Tensor) -> Tensor:
        return data
