"""The meta-optimiser: schedules by hand, accumulation that changes nothing, a rate that finds itself, and going on to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tradewind.core.errors import SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.meta.optimizer import MetaOptimizer, MetaOptimizerConfig
from tradewind.meta.protonet import ProtoNetConfig, PrototypicalNetworks
from tradewind.meta.registry import learner as make_learner
from tradewind.meta.registry import learners, perceptron
from tradewind.meta.synthetic_tasks import RegimeTasks
from tradewind.meta.tasks import Task

Config = MetaOptimizerConfig


def batches(n: int, tasks: int = 6) -> list[list[Task]]:
    random = np.random.default_rng(0)
    return [RegimeTasks().sample_batch(random, tasks) for _ in range(n)]


def learner(config: MetaOptimizerConfig | None = None) -> PrototypicalNetworks:
    made = PrototypicalNetworks(4, ProtoNetConfig(embedding_dim=8, hidden=8))
    return made if config is None else made.optimise(config)


def rates(config: MetaOptimizerConfig, losses: Sequence[float]) -> list[float]:
    """The rate of each step, for losses told one by one."""
    weight = nn.Parameter(torch.ones(1))
    optimiser = MetaOptimizer([weight], config)
    told = []
    for loss in losses:
        weight.grad = torch.ones(1)
        told.append(optimiser.rate)
        optimiser.step(loss)
    return told


# -- schedules ----------------------------------------------------------------------------------------------------------
def test_schedules_by_hand() -> None:
    def of(count: int, **settings: object) -> list[float]:
        return rates(Config(learning_rate=1.0, **settings), [0.0] * count)  # type: ignore[arg-type]

    assert of(3) == [1.0, 1.0, 1.0]
    assert of(6, schedule="step", schedule_steps=2, decay=0.5) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    cosine = [0.2 + 0.8 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(5)] + [0.2, 0.2]
    assert of(7, schedule="cosine", schedule_steps=4, decay=0.2) == pytest.approx(cosine)
    assert of(5, warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_plateau_is_two_windows_of_which_the_later_is_no_lower() -> None:
    config = Config(learning_rate=1.0, schedule="plateau", schedule_steps=2, decay=0.1)
    assert rates(config, [4.0, 4.0, 3.0, 4.0, 5.0, 2.0, 1.0, 1.0, 1.0]) == pytest.approx([1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1])


# -- one descent --------------------------------------------------------------------------------------------------------
def test_the_default_is_plain_adam() -> None:
    ours, theirs = learner(), learner()
    adam = torch.optim.Adam(theirs.model.parameters(), lr=theirs.config.outer_lr)
    for batch in batches(4):
        ours.meta_train_step(batch)
        adam.zero_grad()
        theirs.gradients(batch)
        nn.utils.clip_grad_norm_(theirs.model.parameters(), theirs.config.clip)
        adam.step()
    assert all(torch.equal(*pair) for pair in zip(ours.model.parameters(), theirs.model.parameters(), strict=True))


def test_clipping_bounds_the_step() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimiser = MetaOptimizer([weight], Config("sgd", learning_rate=1.0, clip=1.0))
    weight.grad = torch.tensor([30.0, 40.0])
    optimiser.step(0.0)
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.6, -0.8]))
    weight.grad = torch.tensor([30.0, 40.0])
    MetaOptimizer([weight], Config("sgd", learning_rate=1.0, clip=0.0)).step(0.0)
    torch.testing.assert_close(weight.detach(), torch.tensor([-30.6, -40.8]))


@pytest.mark.parametrize("accumulation", [2, 4, 6, 50])
def test_a_batch_in_parts_is_the_batch(accumulation: int) -> None:
    (batch,) = batches(1)
    whole, parts = learner(), learner(Config(accumulation=accumulation))
    told = [each.optimiser.gather(each.gradients, batch) for each in (whole, parts)]
    assert told[1] == pytest.approx(told[0], rel=1e-6)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)


def test_parts_are_counted_by_their_tasks() -> None:
    seen: list[int] = []
    weight = nn.Parameter(torch.zeros(1))

    def gradients(tasks: Sequence[Task]) -> dict[str, float]:
        seen.append(len(tasks))
        weight.grad = torch.tensor([float(len(tasks))])
        return {"meta_loss": float(len(tasks))}

    told = MetaOptimizer([weight], Config(accumulation=2)).gather(gradients, batches(1, 5)[0])
    assert sorted(seen) == [2, 3]
    assert told["meta_loss"] == pytest.approx((2 * 2 + 3 * 3) / 5)
    assert weight.grad is not None and float(weight.grad) == pytest.approx(13 / 5)


# -- the adaptive rate ----------------------------------------------------------------------------------------------------
def test_the_adaptive_rate_follows_the_cosine_by_hand() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimiser = MetaOptimizer([weight], Config("adaptive", learning_rate=0.1, adaptation=0.05, clip=0.0))
    weight.grad = torch.tensor([1.0, 2.0])
    optimiser.step(0.0)
    assert optimiser.rate == 0.1
    # Adam's first direction is the gradient over its size, entry by entry, times .1 / sqrt(.001): (1, 1) in direction.
    weight.grad = torch.tensor([3.0, -1.0])
    optimiser.step(0.0)
    assert optimiser.rate == pytest.approx(0.1 * (1 + 0.05 * (3 - 1) / math.sqrt(10 * 2)), rel=1e-5)


def test_a_rate_that_is_far_too_small_grows_and_gets_there() -> None:
    ends = {}
    for kind in ("adam", "adaptive"):
        weight = nn.Parameter(torch.tensor([5.0]))
        optimiser = MetaOptimizer([weight], Config(kind, learning_rate=1e-3, adaptation=0.05))  # type: ignore[arg-type]
        for _ in range(300):
            weight.grad = 2.0 * weight.detach()
            optimiser.step(0.0)
        ends[kind] = abs(float(weight.detach()))
    assert ends["adam"] > 4.0
    assert ends["adaptive"] < 0.5


def test_a_rate_that_oscillates_shrinks_within_its_range() -> None:
    weight = nn.Parameter(torch.tensor([5.0]))
    optimiser = MetaOptimizer([weight], Config("adaptive", learning_rate=1.0, adaptation=0.9))
    for step in range(60):
        weight.grad = torch.tensor([1.0 if step % 2 else -1.0])
        optimiser.step(0.0)
    assert 0.01 * (1 - 1e-9) <= optimiser.rate < 1.0


# -- with every learner ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", learners())
@pytest.mark.parametrize(
    "config",
    [
        Config("adaptive", schedule="cosine", schedule_steps=4, accumulation=2),
        Config("sgd", momentum=0.9, schedule="plateau", schedule_steps=2),
        Config(bfloat16=True, warmup=3),
    ],
    ids=["adaptive", "sgd", "bfloat16"],
)
def test_every_learner_takes_it_and_goes_on_from_a_file_to_the_bit(tmp_path: Path, name: str, config: MetaOptimizerConfig) -> None:
    def make() -> object:
        torch.manual_seed(0)
        return make_learner(name, perceptron(name, 4, 2, (8, 8), **sizes), 2, **sizes).optimise(config)

    sizes = {"width": 8, "heads": 2} if name == "xtrend" else {}
    first, rest = batches(3, 4), batches(5, 4)[3:]
    through, again = make(), make()
    for batch in first:
        assert math.isfinite(through.meta_train_step(batch)["meta_loss"])  # type: ignore[attr-defined]
    again.restore(load_state(save_state(tmp_path / "learner", through.state())))  # type: ignore[attr-defined]
    for batch in rest:
        through.meta_train_step(batch)  # type: ignore[attr-defined]
        again.meta_train_step(batch)  # type: ignore[attr-defined]
    assert through.state() == again.state()  # type: ignore[attr-defined]


def test_bfloat16_is_what_it_says() -> None:
    (batch,) = batches(1)
    exact, rough = learner(), learner(Config(bfloat16=True))
    losses = [each.optimiser.gather(each.gradients, batch)["meta_loss"] for each in (exact, rough)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert all(weight.dtype == torch.float32 for weight in rough.model.parameters())


# -- faults ---------------------------------------------------------------------------------------------------------------
def test_a_state_of_other_settings_is_refused() -> None:
    with pytest.raises(StateError, match="other settings: schedule, decay"):
        learner(Config(schedule="step", decay=0.5)).restore(learner().state())


def test_nothing_to_learn_is_told() -> None:
    with pytest.raises(SettingsError, match="no parameter to meta-train"):
        PrototypicalNetworks(nn.Flatten()).meta_train_step(batches(1)[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer_type": "lion"}, {"schedule": "linear"}, {"momentum": 0.9}, {"accumulation": 0}, {"bfloat16": "yes"}, {"decay": 1.0},
        {"learning_rate": 0.0}, {"adaptation": 1.0}, {"clip": -1.0}, {"warmup": -1},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        MetaOptimizerConfig(**wrong)  # type: ignore[arg-type]
