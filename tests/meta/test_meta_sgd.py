"""Meta-SGD: MAML where its rates are equal and frozen, its own where they learn, and guarded where it would diverge."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.meta.learners import CLASSES, classes, numbers, slopes, stack, windows
from tests.meta.test_inner_loop import Convolution, Recurrent, made
from torch import nn

from tradewind.core.errors import SettingsError
from tradewind.core.files import load_state, save_state
from tradewind.meta.maml import MAML, MAMLConfig
from tradewind.meta.meta_sgd import MetaSGD, MetaSGDConfig
from tradewind.meta.tasks import sample_losses


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("low_rank", [False, True])
def test_equal_frozen_rates_are_maml(dtype: torch.dtype, low_rank: bool) -> None:
    theirs, ours = stack(nn.ReLU()).to(dtype), stack(nn.ReLU()).to(dtype)
    maml = MAML(theirs, MAMLConfig(inner_lr=0.1, num_inner_steps=3, low_rank=low_rank))
    meta_sgd = MetaSGD(ours, MetaSGDConfig(inner_lr=0.1, num_inner_steps=3, learn_rates=False))
    for number in range(4):
        batch = classes(3, seed=number, dtype=dtype)
        told, expected = meta_sgd.meta_train_step(batch), maml.meta_train_step(batch)
        if not low_rank:
            assert {key: told[key] for key in expected} == expected
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other) if not low_rank else torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_rate_in_closed_form() -> None:
    # One step of y = w x: w' = w - a g, so the query's loss has the slope -g dL/dw' by a.
    task = numbers(1)[0]
    model = nn.Linear(1, 1, bias=False).double()
    learner = MetaSGD(model, MetaSGDConfig(inner_lr=0.1, num_inner_steps=1, lr_regularization=0.0, loss="mse"))
    learner.gradients([task])
    w, x, y = float(model.weight.detach()), task["support_data"][:, 0], task["support_labels"]
    g = float((2 * (w * x - y) * x).mean())
    query, answer = task["query_data"][:, 0], task["query_labels"]
    by_adapted = float((2 * ((w - 0.1 * g) * query - answer) * query).mean())
    rate = learner.rates["weight"]
    assert rate.grad is not None
    assert float(rate.grad) == pytest.approx(-g * by_adapted, rel=1e-10)
    assert float(slopes(model)) == pytest.approx((1 - 0.2 * float((x * x).mean())) * by_adapted, rel=1e-10)


def test_regularisation_pulls_the_rates_to_where_they_began() -> None:
    learner = MetaSGD(stack(nn.ReLU()), MetaSGDConfig(inner_lr=0.1, lr_regularization=0.5))
    with torch.no_grad():
        for rate in learner.rates.values():
            rate.add_(0.02)
    batch = classes(2)
    learner.gradients(batch)
    pulled = torch.cat([rate.grad.flatten() for rate in learner.rates.values() if rate.grad is not None])
    learner.learned().zero_grad()
    plain = MetaSGD(learner.model, MetaSGDConfig(inner_lr=0.1, lr_regularization=0.0))
    with torch.no_grad():
        for rate in plain.rates.values():
            rate.add_(0.02)
    plain.gradients(batch)
    free = torch.cat([rate.grad.flatten() for rate in plain.rates.values() if rate.grad is not None])
    expected = torch.full_like(free, 0.5 * 2 * (0.02 / 0.1) / 0.1 / len(free))
    assert torch.allclose(pulled - free, expected, rtol=1e-8, atol=1e-14)


def test_learned_rates_move_and_beat_frozen_ones_where_one_input_matters() -> None:
    def batch(seed: int) -> list[dict[str, torch.Tensor]]:
        # Tasks differ in the weight of the first of six inputs alone: a rate for each weight can say so, one rate for all cannot.
        generator = torch.Generator().manual_seed(seed)
        made = []
        for _ in range(8):
            data, slope = torch.randn(18, 6, generator=generator), torch.randn(1, generator=generator)
            labels = slope * data[:, 0] + 0.5 * torch.randn(18, generator=generator)
            made.append({"support_data": data[:4], "support_labels": labels[:4], "query_data": data[4:], "query_labels": labels[4:]})
        return made

    told = {}
    for learns in (True, False):
        torch.manual_seed(0)
        config = MetaSGDConfig(inner_lr=0.05, outer_lr=0.01, num_inner_steps=2, learn_rates=learns, loss="mse")
        learner = MetaSGD(nn.Linear(6, 1), config)
        for number in range(150):
            learner.meta_train_step(batch(number))
        told[learns] = learner.meta_validate([task for seed in range(1000, 1025) for task in batch(seed)])
        if learns:
            rates = learner.rates["weight"][0].detach()
            assert float(rates[0]) > 2 * float(rates[1:].abs().max())
    assert told[True]["loss"] + 3 * told[True]["loss_error"] < told[False]["loss"]


def test_more_steps_than_trained_do_not_diverge() -> None:
    task = numbers(1)[0]
    rate = 1.6 / float((2 * task["support_data"] ** 2).mean())  # a step goes .6 beyond the minimum, but from far that is a gain
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).double()

    def loss_after(steps: int, trained: int) -> float:
        learner = MetaSGD(model, MetaSGDConfig(inner_lr=rate, num_inner_steps=trained, loss="mse"))
        adapted = learner.few_shot_adapt(task["support_data"], task["support_labels"], steps)
        return float(sample_losses(adapted(task["support_data"]).detach(), task["support_labels"], "mse").mean())

    guarded = [loss_after(steps, 1) for steps in (1, 2, 5, 20)]
    assert guarded == sorted(guarded, reverse=True)
    assert not loss_after(20, 20) < 100 * guarded[-1]


@pytest.mark.parametrize("module", [Recurrent, Convolution])
def test_any_module_has_a_rate_for_each_weight(module: type[nn.Module]) -> None:
    model = made(module)
    learner = MetaSGD(model, MetaSGDConfig(num_inner_steps=2), CLASSES)
    told = learner.meta_train_step(windows(classes(3)))
    assert told["mean_rate"] == pytest.approx(0.01)
    assert {name: rate.shape for name, rate in learner.rates.items()} == {name: part.shape for name, part in model.named_parameters()}
    assert all(bool((rate != 0.01).any()) for rate in learner.rates.values())


def test_a_state_on_disk_goes_on_to_the_bit(tmp_path: Any) -> None:
    learner = MetaSGD(stack(nn.ReLU()), MetaSGDConfig(num_inner_steps=2))
    for number in range(3):
        learner.meta_train_step(classes(2, seed=number))
    save_state(tmp_path, learner.state())
    other = MetaSGD(stack(nn.ReLU(), seed=7), MetaSGDConfig(num_inner_steps=2)).restore(load_state(tmp_path))
    batch = classes(2, seed=11)
    assert learner.meta_train_step(batch) == other.meta_train_step(batch)
    assert all(torch.equal(rate, other.rates[name]) for name, rate in learner.rates.items())


@pytest.mark.parametrize("wrong", [{"inner_lr": -1.0}, {"lr_regularization": -0.1}, {"num_inner_steps": 1.5}, {"loss": "mae"}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        MetaSGDConfig(**wrong)
