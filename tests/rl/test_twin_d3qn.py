"""Twin D3QN: two critics and the smaller of two targets, which makes it another algorithm than Double DQN under another name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.rl.environments import Walk
from tests.rl.value_learners import MAKERS, begun, some_batch

from tradewind.nets.checkpoint import net_state


def test_two_critics_that_begin_and_stay_apart() -> None:
    agent = begun(MAKERS["twin-d3qn"]())
    weights = [agent.nets[name].advantage.weight for name in ("first", "second")]
    assert not torch.equal(*weights)
    assert all(agent.nets[name].dueling for name in ("first", "second"))
    for seed in range(20):
        agent._update(some_batch(seed=seed))
    assert not torch.equal(*weights)


def test_the_loss_is_that_of_the_smaller_target() -> None:
    agent = begun(MAKERS["twin-d3qn"]())
    for seed in range(5):  # the older critics then differ from those that learn
        agent._update(some_batch(seed=seed))
    batch = some_batch(seed=9)
    with torch.no_grad():
        first, second = (agent.nets[name] for name in ("first", "second"))
        chosen = ((first(batch.following) + second(batch.following)) / 2).argmax(dim=1).numpy()
        older = [agent.targets[name](batch.following).numpy() for name in ("first", "second")]
        told = [net(batch.observations).numpy()[np.arange(32), batch.actions.numpy()] for net in (first, second)]
    smaller = np.minimum(*older)[np.arange(32), chosen]
    target = batch.returns.numpy() + batch.discounts.numpy() * smaller
    misses = [np.abs(values - target) for values in told]
    expected = sum(np.where(miss < 1, miss**2 / 2, miss - 0.5).mean() for miss in misses)
    loss, surprise = agent.loss(batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert surprise.numpy() == pytest.approx((misses[0] + misses[1]) / 2, rel=1e-4, abs=1e-6)
    loss.backward()
    assert not agent.flat_targets.gradient.any()


def test_it_is_not_double_dqn_under_another_name() -> None:
    """The public contest kit's was: its class of this name was a subclass of its Double DQN that changed nothing."""
    twin, double = begun(MAKERS["twin-d3qn"]()), begun(MAKERS["double-dqn"]())
    count = {agent.name: sum(weight.numel() for weight in agent.nets.parameters()) for agent in (twin, double)}
    one_dueling = sum(weight.numel() for weight in begun(MAKERS["d3qn"]()).nets.parameters())
    assert count["twin-d3qn"] == 2 * one_dueling > 1.5 * count["double-dqn"]
    # Given the same dueling critic twice, it aims where D3QN aims; with a second one that hopes for less, lower.
    single = begun(MAKERS["d3qn"]())
    batch = some_batch()
    for nets, source in ((twin.nets, single.nets), (twin.targets, single.targets)):
        for name in ("first", "second"):
            nets[name].load_state_dict(source["critic"].state_dict())
    assert twin.loss(batch)[0].item() == pytest.approx(2 * single.loss(batch)[0].item(), rel=1e-6)
    with torch.no_grad():
        twin.targets["second"].value.bias -= 5.0
    lower = torch.where(batch.discounts > 0, batch.discounts * 5.0, torch.zeros(32))
    with torch.no_grad():
        chosen = twin.nets["first"](batch.observations).gather(1, batch.actions[:, None]).squeeze(1)
        ahead = (
            single.targets["critic"](batch.following).gather(1, single.nets["critic"](batch.following).argmax(1, keepdim=True)).squeeze(1)
        )
    assert torch.allclose(twin.loss(batch)[1], (batch.returns + batch.discounts * ahead - lower - chosen).abs(), atol=1e-5)


def test_its_result_is_another() -> None:
    weights = []
    for kind in ("twin-d3qn", "double-dqn", "d3qn"):
        agent = MAKERS[kind]()
        agent.learn(Walk(8), 400)
        rows = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
        weights.append(agent.conviction(rows).tobytes())
        assert (agent.targets is not agent.nets) and net_state(agent.targets) != net_state(agent.nets)
    assert len(set(weights)) == 3


def test_hopes_less_than_d3qn_where_rewards_are_noise() -> None:
    """Rewards of mean 0 that no action changes: what is hoped for beyond 0 is the bias of the maximum."""
    hopes = {}
    for kind in ("plain-dqn", "d3qn", "twin-d3qn"):
        agent = begun(MAKERS[kind](learning_rate=3e-3, target_every=20, hidden=(32, 32), max_gradient=1e3), actions=8)
        generator = torch.Generator().manual_seed(1)
        pool = some_batch(512, actions=8, seed=2)
        for _ in range(400):
            rows = torch.randint(512, (64,), generator=generator)
            agent._update(
                type(pool)(*(getattr(pool, name)[rows] for name in ("observations", "actions", "returns", "discounts", "following")), rows)
            )
        hopes[kind] = float(agent.values(agent.nets, pool.observations).amax(dim=1).mean())
    assert hopes["twin-d3qn"] < hopes["d3qn"] < hopes["plain-dqn"]
