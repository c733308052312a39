"""Double DQN: its loss by plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.rl.value_learners import MAKERS, begun, some_batch

from tradewind.rl.double_dqn import DoubleDQN, DoubleDQNConfig
from tradewind.rl.value_learner import ValueLearner


def double_loss(agent: ValueLearner, seed: int) -> tuple[float, float]:
    """The loss of an agent with one critic for a batch, by numpy from what its nets say, and what the agent says it is."""
    batch = some_batch(seed=seed)
    rows = np.arange(32)
    with torch.no_grad():
        told = agent.nets["critic"](batch.observations).numpy()[rows, batch.actions.numpy()]
        chosen = agent.nets["critic"](batch.following).numpy().argmax(axis=1)
        judged = agent.targets["critic"](batch.following).numpy()[rows, chosen]
    miss = np.abs(batch.returns.numpy() + batch.discounts.numpy() * judged - told)
    return float(np.where(miss < 1, miss**2 / 2, miss - 0.5).mean()), agent.loss(batch)[0].item()


def test_the_loss_by_numpy() -> None:
    agent = begun(MAKERS["double-dqn"]())
    for seed in range(5):
        agent._update(some_batch(seed=seed))
    expected, told = double_loss(agent, 9)
    assert told == pytest.approx(expected, rel=1e-5)
    assert not agent.nets["critic"].dueling


def test_it_is_made_by_its_config() -> None:
    agent = DoubleDQN(DoubleDQNConfig(hidden=(8,), device="cpu"))
    assert agent.name == "double-dqn"
    assert begun(agent).nets["critic"].width == 8
