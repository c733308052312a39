"""Rainbow: its loss by hand, each part with its switch, and with all of them off Double DQN to the bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tests.rl.environments import Walk
from tests.rl.value_learners import MAKERS, OneState, begun, some_batch
from torch import Tensor

from tradewind.core.errors import SettingsError
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.nets.noisy import NoisyLinear
from tradewind.nets.q_network import QNetwork
from tradewind.rl.lanes import Lanes
from tradewind.rl.prioritised import PrioritisedReplay
from tradewind.rl.rainbow import Rainbow, RainbowConfig
from tradewind.rl.replay import UniformReplay

OFF: dict[str, Any] = {"double": False, "dueling": False, "prioritised": False, "n_step": 1, "atoms": 1, "noisy": False}
BLIND: dict[str, Any] = {"epsilon_start": 1.0, "epsilon_end": 0.05, "exploration": 0.2, "target_every": 250}


def rainbow(**settings: Any) -> Rainbow:
    made = MAKERS["rainbow"](**settings)
    assert isinstance(made, Rainbow)
    return made


# -- the parts, one by one -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parts", "twin"), [({}, "plain-dqn"), ({"double": True}, "double-dqn"), ({"double": True, "dueling": True}, "d3qn")]
)
def test_what_is_left_is_the_simpler_agent_to_the_bit(parts: dict[str, bool], twin: str) -> None:
    mine, theirs = rainbow(**{**OFF, **BLIND, **parts}), MAKERS[twin](n_step=1, **BLIND)
    start = net_state(begun(mine, 2, 3).nets)
    lived: list[list[dict[str, float]]] = []
    for agent in (mine, theirs):
        with reproducible(0):
            lanes = Lanes(Walk(8), agent.device, 0)
            agent.settle(lanes.spaces, 0)
            load_net(agent.nets, start)
            agent.begin(lanes, 1_000, 0)
            torch.manual_seed(0)
            lived.append([agent.advance(lanes) for _ in range(10)])
    assert lived[0] == lived[1] and mine.updates > 100
    assert net_state(mine.nets) == net_state(theirs.nets)
    with torch.no_grad():
        for agent in (mine, theirs):
            agent.flat_targets.weights.mul_(-0.5)
    (loss, surprise), (their_loss, their_surprise) = (agent.loss(some_batch(64, 2, 3)) for agent in (mine, theirs))
    assert torch.equal(loss, their_loss) and torch.equal(surprise, their_surprise)


@pytest.mark.parametrize("part", ["double", "dueling", "prioritised", "n_step", "atoms", "noisy"])
def test_every_part_makes_a_difference(part: str) -> None:
    off = {part: 1 if part in ("n_step", "atoms") else False, **BLIND}
    whole, less = rainbow(**BLIND), rainbow(**off)
    for agent in (whole, less):
        agent.learn(Walk(8), 400, seed=3)
    assert net_state(whole.nets) != net_state(less.nets)


def test_the_parts_are_built_where_they_are_wanted() -> None:
    agent, bare = begun(rainbow()), begun(rainbow(**OFF, **BLIND))
    assert isinstance(agent, Rainbow) and isinstance(bare, Rainbow)
    assert isinstance(agent.replay, PrioritisedReplay) and isinstance(bare.replay, UniformReplay)
    (net, plain) = (part.nets["critic"] for part in (agent, bare))
    assert isinstance(net, QNetwork) and isinstance(plain, QNetwork)
    assert net.dueling and net.atoms == 51 and len(net.noisy) == 3 and not plain.noisy and not plain.dueling
    assert sum(isinstance(layer, NoisyLinear) for layer in agent.targets.modules()) == 3
    assert plain.atoms == 1


# -- the loss --------------------------------------------------------------------------------------------------------------
def _by_hand(agent: Rainbow, row: int, double: bool) -> tuple[Tensor, Tensor]:
    """Cross-entropy and KL divergence of one row, atom by atom."""
    batch, support = some_batch(8), agent.support.tolist()
    older = torch.softmax(agent.targets["critic"](batch.following[row : row + 1])[0], dim=1)
    newer = torch.softmax(agent.nets["critic"](batch.following[row : row + 1])[0], dim=1)
    chosen = int(((newer if double else older) * agent.support).sum(dim=1).argmax())
    target, step = torch.zeros(len(support)), support[1] - support[0]
    for atom, mass in zip(support, older[chosen], strict=True):
        moved = min(max(float(batch.returns[row]) + float(batch.discounts[row]) * atom, support[0]), support[-1])
        for place in range(len(support)):
            target[place] += mass * max(0.0, 1.0 - abs(moved - support[place]) / step)
    logits = agent.nets["critic"](batch.observations[row : row + 1])[0, int(batch.actions[row])]
    cross = -(target * torch.log_softmax(logits, dim=0)).sum()
    return cross, cross + torch.xlogy(target, target).sum()


@pytest.mark.parametrize("double", [True, False])
def test_the_loss_by_hand(double: bool) -> None:
    agent = begun(rainbow(noisy=False, double=double, atoms=7, v_min=-3.0, v_max=3.0, **BLIND))
    assert isinstance(agent, Rainbow)
    with torch.no_grad():
        agent.flat_targets.weights.mul_(-1.5)
        losses, surprises = zip(*(_by_hand(agent, row, double) for row in range(8)), strict=True)
    batch = some_batch(8)
    loss, surprise = agent.loss(batch)
    assert float(loss.detach()) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)
    assert torch.allclose(surprise, torch.stack(surprises), atol=1e-5)
    # Weights weigh: beta .4 at first, 1 at the end of the run.
    weights = torch.linspace(0.1, 1.0, 8)
    for agent.progress, power in ((0.0, 0.4), (0.5, 0.7), (1.0, 1.0)):
        weighed, _ = agent.loss(dataclasses.replace(batch, weights=weights))
        assert float(weighed.detach()) == pytest.approx(float((torch.stack(losses) * weights**power).mean()), rel=1e-5)


def test_a_distribution_that_is_right_does_not_surprise() -> None:
    agent = begun(rainbow(noisy=False, atoms=5, v_min=-2.0, v_max=2.0, **BLIND))
    assert isinstance(agent, Rainbow)
    batch = some_batch(16)
    likely = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1])
    for net in (agent.nets, agent.targets):
        critic = net["critic"]
        assert isinstance(critic, QNetwork) and isinstance(critic.value, torch.nn.Linear)
        with torch.no_grad():
            for weight in critic.parameters():
                weight.zero_()
            critic.value.bias.copy_(likely.log())
    # With no reward and a discount of 1 the target is the distribution itself.
    batch = dataclasses.replace(batch, returns=torch.zeros(16), discounts=torch.ones(16))
    loss, surprise = agent.loss(batch)
    assert float(loss.detach()) == pytest.approx(float(-(likely * likely.log()).sum()), rel=1e-5)
    assert float(surprise.max()) < 1e-6


def test_the_log_says_how_much_stands_at_the_edge() -> None:
    inside, beyond = (begun(rainbow(noisy=False, v_min=-reach, v_max=reach, **BLIND)) for reach in (50.0, 0.5))
    inside.loss(some_batch(64)), beyond.loss(some_batch(64))
    assert float(inside.notes["at_edge"]) < 0.05 < 0.5 < float(beyond.notes["at_edge"])
    agent = rainbow()
    assert 0.0 <= agent.learn(Walk(8), 200).history[-1].metrics["at_edge"] <= 1.0


def test_returns_beyond_the_support_count_as_its_end() -> None:
    settings = {"discount": 0.5, "normalise_observations": False, "normalise_rewards": False, "learning_rate": 1e-2, "target_every": 20}
    agent = rainbow(v_min=-0.5, v_max=0.5, **{**BLIND, **settings})
    agent.learn(OneState(True), 1_500)
    agent.conviction(np.ones((1, 1), dtype=np.float32))
    # Actions earn 0 and 1; the second is believed to earn .5 at most.
    assert agent.values(agent.nets, torch.ones(1, 1))[0].tolist() == pytest.approx([0.0, 0.5], abs=0.03)


# -- noise -----------------------------------------------------------------------------------------------------------------
def test_acting_for_good_is_without_noise_and_exploring_is_not() -> None:
    agent = begun(rainbow(sigma=3.0))
    rows = torch.randn(1, 4).expand(400, 4)
    best = [agent.choose(rows, deterministic=True) for _ in range(2)]
    assert torch.equal(*best) and len(set(best[0].tolist())) == 1
    tried = agent.choose(rows, deterministic=False)
    # Every lane has noise of its own.
    assert 0.05 < float(tried.double().mean()) < 0.95
    assert agent.epsilon == 0.0
    assert torch.equal(agent.choose(rows, deterministic=True), best[0])


@pytest.mark.parametrize("hold", [1, 4, 50])
def test_a_lane_keeps_its_noise_for_a_while(hold: int) -> None:
    agent = begun(rainbow(hold=hold))
    rows = torch.randn(1_000, 4)
    agent.choose(rows, deterministic=False)
    before = agent.kept["noise"]
    # Learning and acting for good have noise of their own or none, and leave that of the lanes alone.
    agent.loss(some_batch())
    agent.choose(rows, deterministic=True)
    assert agent.kept["noise"] is before
    agent.choose(rows, deterministic=False)
    kept = (agent.kept["noise"] == before).all(dim=1)
    assert float(kept.double().mean()) == pytest.approx(1 - 1 / hold, abs=0.04)
    changed = agent.kept["noise"][~kept]
    assert len(changed) > 0 and bool((changed != before[~kept]).all()) and len(changed.unique(dim=0)) == len(changed)


def test_held_noise_is_what_is_acted_by() -> None:
    agent = begun(rainbow(sigma=3.0, hold=10**9))
    rows = torch.randn(1, 4).expand(400, 4)
    tried = [agent.choose(rows, deterministic=False) for _ in range(3)]
    assert torch.equal(tried[0], tried[1]) and torch.equal(tried[0], tried[2]) and len(set(tried[0].tolist())) == 2


def test_held_noise_goes_with_a_run_that_is_interrupted_and_not_with_the_next() -> None:
    agent, other = begun(rainbow()), begun(rainbow(), seed=1)
    agent.choose(torch.randn(6, 4), deterministic=False)
    state = agent.put_away()
    other.take_back(state)
    assert torch.equal(other.kept["noise"], agent.kept["noise"]) and len(other.kept["noise"]) == 6
    other.begin(Lanes(Walk(8), other.device, 0), 100, 0)
    assert not other.kept


def test_every_pass_of_the_loss_has_new_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, heard = begun(rainbow()), []
    forward = NoisyLinear.forward

    def listening(layer: NoisyLinear, values: Tensor) -> Tensor:
        assert layer.noise is not None and len(layer.noise[0]) == 1
        heard.append((layer.weight.shape, layer.noise[0].sum().item()))
        return forward(layer, values)

    monkeypatch.setattr(NoisyLinear, "forward", listening)
    agent.loss(some_batch())
    agent.loss(some_batch())
    assert len(heard) == 2 * 3 * 3 and len({noise for _, noise in heard}) == len(heard)


def test_evaluating_in_between_changes_nothing() -> None:
    alone, judged = rainbow(), rainbow()
    alone.learn(Walk(8), 600, seed=1)
    judged.learn(Walk(8), 600, seed=1, evaluate=Walk(4), evaluate_every=100, episodes=4)
    again = rainbow()
    learning = again.learn(Walk(8), 600, seed=1, evaluate=Walk(4), evaluate_every=600, episodes=4)
    assert learning.best_step == learning.steps and net_state(again.nets) == net_state(alone.nets)


# -- settings --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"v_min": 1.0, "v_max": 1.0}, "v_min"), ({"v_min": float("-inf")}, "v_min"), ({"atoms": 0}, "atoms"), ({"alpha": 1.5}, "alpha"),
        ({"beta": -0.1}, "beta"), ({"sigma": 0.0}, "sigma"), ({"noisy": False}, "epsilon_end"), ({"hold": 0}, "hold"),
        ({"batch": 0}, "batch"), ({"double": 1}, "double"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        RainbowConfig(**wrong)
