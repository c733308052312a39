"""D3QN: the loss of Double DQN on a dueling net."""

from __future__ import annotations

import pytest
import torch
from tests.rl.test_double_dqn import double_loss
from tests.rl.value_learners import MAKERS, begun, some_batch

from tradewind.rl.d3qn import D3QN, D3QNConfig


def test_the_loss_by_numpy() -> None:
    agent = begun(MAKERS["d3qn"]())
    for seed in range(5):
        agent._update(some_batch(seed=seed))
    expected, told = double_loss(agent, 9)
    assert told == pytest.approx(expected, rel=1e-5)


def test_both_streams_learn() -> None:
    agent = begun(MAKERS["d3qn"]())
    critic = agent.nets["critic"]
    assert critic.dueling
    before = {name: weight.clone() for name, weight in critic.named_parameters()}
    agent._update(some_batch())
    assert all(not torch.equal(weight, before[name]) for name, weight in critic.named_parameters())


def test_it_is_made_by_its_config() -> None:
    agent = begun(D3QN(D3QNConfig(hidden=(24, 8), device="cpu")))
    assert agent.name == "d3qn"
    assert agent.nets["critic"].width == 4
