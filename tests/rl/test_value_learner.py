"""What value learners share: the same step as Stable-Baselines3's, memory of what happened alone, and a run that goes on to the bit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tests.rl.environments import Walk, counting
from tests.rl.value_learners import MAKERS, OneState, PlainDQN, begun, some_batch

from tradewind.core.errors import SettingsError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.rl.evaluation import evaluate
from tradewind.rl.lanes import Lanes
from tradewind.rl.spaces import Spaces
from tradewind.rl.value_learner import ValueLearner

KINDS = sorted(MAKERS)


# -- beside Stable-Baselines3 --------------------------------------------------------------------------------------------
def test_the_step_of_plain_dqn_is_that_of_stable_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    sb3 = pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
    from stable_baselines3.dqn import dqn as theirs_module

    policy = {"net_arch": [16, 16]}
    theirs = sb3.DQN("MlpPolicy", "CartPole-v1", policy_kwargs=policy, learning_rate=1e-3, max_grad_norm=0.5, device="cpu", seed=0)
    theirs._logger = SimpleNamespace(record=lambda *_, **__: None)
    ours = MAKERS["plain-dqn"](learning_rate=1e-3, max_gradient=0.5, normalise_observations=False, normalise_rewards=False)
    begun(ours)
    for mine, (net, older) in {"nets": (ours.nets, theirs.q_net), "targets": (ours.targets, theirs.q_net_target)}.items():
        told = list(older.parameters())
        with torch.no_grad():
            # Their older net is made to differ, as it does between two copies.
            for weight in told if mine == "targets" else ():
                weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(7))
            for weight, source in zip(net["critic"].parameters(), told, strict=True):
                weight.copy_(source)
    batch = some_batch()
    over = (batch.discounts == 0).float()[:, None]
    columns = {"observations": batch.observations, "next_observations": batch.following, "actions": batch.actions[:, None], "dones": over}
    sample = SimpleNamespace(**columns, rewards=batch.returns[:, None], discounts=None)
    monkeypatch.setattr(theirs.replay_buffer, "sample", lambda *_, **__: sample)
    heard: dict[str, torch.Tensor] = {}

    def listening(values: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        heard.update(values=values.detach(), target=target.detach(), loss=torch.nn.functional.smooth_l1_loss(values, target))
        return heard["loss"]

    monkeypatch.setattr(theirs_module, "F", SimpleNamespace(smooth_l1_loss=listening))
    loss, surprise = ours.loss(batch)
    theirs.train(1, 32)
    assert loss.item() == pytest.approx(heard["loss"].item(), abs=1e-7)
    assert torch.allclose(surprise, (heard["target"] - heard["values"]).abs().squeeze(1), atol=1e-6)
    ours._update(batch)
    for weight, source in zip(ours.nets["critic"].parameters(), theirs.q_net.parameters(), strict=True):
        assert torch.allclose(weight, source, atol=1e-6)


# -- what is learned -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rainbow"])  # which has a test of its own
def test_an_agent_learns_to_walk(kind: str) -> None:
    agent = MAKERS[kind](learning_rate=2e-3, target_every=50, exploration=0.5, discount=0.9)
    agent.learn(Walk(16), 4_000)
    # Always to the right earns .89, to the left the same below 0, and standing still 0.
    assert evaluate(agent, Walk(32), 512).mean > 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("terminates", [True, False])
def test_an_end_by_the_clock_is_bootstrapped_and_one_of_the_task_is_not(kind: str, n_step: int, terminates: bool) -> None:
    # The better action earns 1: that is all where the episode terminates, and 1 / (1 - .5) where it goes on.
    settings = {"discount": 0.5, "normalise_observations": False, "normalise_rewards": False, "learning_rate": 1e-2, "target_every": 20}
    # Drawn blindly now and then, also where noise explores: what is never tried is never known.
    agent = MAKERS[kind](n_step=n_step, epsilon_start=1.0, epsilon_end=0.05, **settings)
    agent.learn(OneState(terminates), 2_000)
    gap = agent.conviction(np.ones((1, 1), dtype=np.float32))  # asked first: noise is silent from then on
    values = agent.values(agent.nets, torch.ones(1, 1)).detach()[0]
    assert values.tolist() == pytest.approx([0.0, 1.0] if terminates else [1.0, 2.0], abs=0.05)
    assert gap == pytest.approx(float(values[1] - values[0]), abs=1e-5)


def test_convictions_are_in_the_unit_of_rewards() -> None:
    small, large = (MAKERS["d3qn"](learning_rate=3e-3, normalise_observations=False) for _ in range(2))
    for agent, unit in ((small, 1e-4), (large, 1e3)):
        agent.learn(_Paid(unit), 2_000)
        assert agent.conviction(np.ones((1, 1), dtype=np.float32))[0] / unit == pytest.approx(1.0, abs=0.1)


class _Paid(OneState):
    """Rewards in another unit."""

    def __init__(self, unit: float) -> None:
        super().__init__(terminates=True)
        self.unit = unit

    def step(self, actions: Any) -> Any:
        shown, rewards, *rest = super().step(actions)
        return shown, rewards * self.unit, *rest


# -- what is remembered ----------------------------------------------------------------------------------------------------
def _remembered(mode: AutoresetMode, n_step: int, steps: int) -> set[tuple[float, ...]]:
    lengths = [[3, 1, 4], [2, 5], [1, 6]]
    agent = MAKERS["plain-dqn"](n_step=n_step, epsilon_end=1.0, normalise_observations=False, learning_starts=10_000)
    agent.learn(counting(lengths, mode), steps)
    memory = agent.replay.state().arrays
    columns = [memory[name].reshape(len(agent.replay), -1) for name in ("observations", "returns", "discounts", "following")]
    return {tuple(row) for row in np.concatenate(columns, axis=1).tolist() if row[1] < 12}


@pytest.mark.parametrize("n_step", [1, 3])
def test_memory_holds_what_happened_and_nothing_else(n_step: int) -> None:
    told = {mode: _remembered(mode, n_step, 250) for mode in AutoresetMode}
    same = told[AutoresetMode.SAME_STEP]
    assert same == told[AutoresetMode.NEXT_STEP] == told[AutoresetMode.DISABLED]
    for lane, episode, at, earned, rest, *led_to in same:
        length = [[3, 1, 4], [2, 5], [1, 6]][int(lane)][int(episode) % (3 if lane == 0 else 2)]
        taken = int(min(n_step, length - at))
        assert earned == pytest.approx(sum(0.99**k * (100 * episode + at + 1 + k) for k in range(taken)), rel=1e-6)
        assert led_to == [lane, episode, at + taken]
        # Every other episode is truncated, and then what follows its end counts.
        assert rest == pytest.approx(0.0 if episode % 2 == 0 and at + taken == length else 0.99**taken)


@pytest.mark.parametrize(("lanes", "train_every"), [(1, 4), (5, 4), (64, 3)])
def test_updates_keep_pace_with_steps(lanes: int, train_every: int) -> None:
    agent = MAKERS["d3qn"](train_every=train_every, n_step=1, learning_starts=100)
    learning = agent.learn(Walk(lanes), 400)
    begins = -(-100 // lanes) * lanes  # the first step after which enough is remembered
    assert agent.updates == (learning.steps - max(begins - lanes, 0)) // train_every


def test_exploration_falls_over_its_share_of_the_run() -> None:
    agent = MAKERS["d3qn"](epsilon_start=0.9, epsilon_end=0.1, exploration=0.5, learning_starts=10_000)
    told = [(line.step, line.metrics["epsilon"]) for line in agent.learn(Walk(64), 6_400).history]
    # A line tells the mean over what it sums up, here one step of all lanes: epsilon as it was before that step.
    for step, epsilon in told:
        assert epsilon == pytest.approx(max(0.1, 0.9 - 0.8 * (step - 64) / 3_200))
    agent.epsilon = 0.5
    with reproducible(0):
        rows = torch.zeros(20_000, 2)
        best = agent.choose(rows, deterministic=True)[0]
        other = (agent.choose(rows, deterministic=False) != best).double().mean()
    assert float(other) == pytest.approx(0.5 * 2 / 3, abs=0.02)


def test_the_older_net_moves_on_schedule() -> None:
    copied, blended = begun(MAKERS["d3qn"](target_every=3)), begun(MAKERS["d3qn"](target_every=1, target_rate=0.25))
    start = copied.flat_targets.weights.clone()
    before = blended.flat_targets.weights.clone()
    for update in range(1, 7):
        batch = some_batch(seed=update)
        copied._update(batch)
        assert torch.equal(copied.flat_targets.weights, copied.flat.weights) == (update % 3 == 0)
        assert torch.equal(copied.flat_targets.weights, start) == (update < 3)
        blended._update(batch)
        before = before + 0.25 * (blended.flat.weights - before)
        assert torch.allclose(blended.flat_targets.weights, before, atol=1e-6)


# -- as data -------------------------------------------------------------------------------------------------------------
def _standing(agent: ValueLearner, lanes: Lanes) -> State:
    told = State({"random": torch.get_rng_state().tolist()}).nest("agent", agent.put_away()).nest("lanes", lanes.state())
    return told.nest("nets", net_state(agent.nets)).nest("norm", net_state(agent.norm))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    def fresh() -> tuple[ValueLearner, Lanes]:
        agent = MAKERS[kind](n_step=3, target_every=7)
        lanes = Lanes(Walk(5), agent.device, 0)
        agent.settle(lanes.spaces, 0)
        agent.begin(lanes, 1_000, 0)
        return agent, lanes

    with reproducible(0):
        agent, lanes = fresh()
        for _ in range(4):
            agent.advance(lanes)
        save_state(tmp_path / "half", _standing(agent, lanes))
        expected = [agent.advance(lanes) for _ in range(3)]
        end = _standing(agent, lanes)
    with reproducible(1):
        again, lanes = fresh()
        half = load_state(tmp_path / "half")
        load_net(again.nets, half.child("nets"))
        load_net(again.norm, half.child("norm"))
        again.take_back(half.child("agent"))
        lanes.restore(half.child("lanes"))
        torch.set_rng_state(torch.tensor(half.values["random"], dtype=torch.uint8))
        assert [again.advance(lanes) for _ in range(3)] == expected
        assert _standing(again, lanes) == end


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plain-dqn"])
def test_same_seed_same_weights_and_a_restored_agent_acts_alike(kind: str) -> None:
    agents = [MAKERS[kind]() for _ in range(3)]
    for agent, seed in zip(agents, (0, 0, 1), strict=True):
        agent.learn(Walk(8), 600, seed=seed)
    assert net_state(agents[0].nets) == net_state(agents[1].nets)
    assert net_state(agents[0].nets) != net_state(agents[2].nets)
    restored = MAKERS[kind]().restore(agents[0].state())
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert np.array_equal(agents[0].act(rows), restored.act(rows))
    assert agents[0].conviction(rows).tobytes() == restored.conviction(rows).tobytes()
    assert (agents[0].conviction(rows) >= 0).all()
    assert evaluate(restored, Walk(8), 16) == evaluate(agents[0], Walk(8), 16)


# -- other ways to compute -----------------------------------------------------------------------------------------------
def test_bfloat16_learns_nearly_the_same_step() -> None:
    exact, half = begun(MAKERS["twin-d3qn"]()), begun(MAKERS["twin-d3qn"](bfloat16=True))
    batch = some_batch()
    told = [float(agent._update(batch)) for agent in (exact, half)]
    assert told[0] != told[1]
    assert told[0] == pytest.approx(told[1], rel=0.02)
    assert half.flat.weights.dtype == torch.float32


@pytest.mark.slow
def test_a_compiled_loss_is_the_loss() -> None:
    plain, compiled = begun(MAKERS["d3qn"]()), begun(MAKERS["d3qn"](compile=True))
    for seed in range(3):
        batch = some_batch(seed=seed)
        assert float(plain._update(batch)) == pytest.approx(float(compiled._update(batch)), rel=1e-5)
    assert torch.allclose(plain.flat.weights, compiled.flat.weights, atol=1e-5)


# -- faults ----------------------------------------------------------------------------------------------------------------
def test_what_cannot_be_is_told() -> None:
    box = Box(-1.0, 1.0, (2,), np.float32)
    agent = MAKERS["d3qn"]()
    with pytest.raises(SettingsError, match="d3qn chooses among a few actions, and this environment's are 2 continuous ones"):
        agent.settle(Spaces.of(box, box), 0)
    with pytest.raises(SettingsError, match="one action alone"):
        agent.settle(Spaces.of(box, gym.spaces.Discrete(1)), 0)
    impossible: dict[str, tuple[Any, str]] = {
        "hidden": ((), "hidden is empty"),
        "batch": (200_000, "batch 200000 is more than the 100000"),
        "train_every": (0, "train_every is 0"),
        "discount": (1.5, "discount is 1.5"),
        "epsilon_end": (2.0, "epsilon_end is 2.0"),
        "epsilon_start": (0.01, "epsilon_end is above epsilon_start"),
        "learning_rate": (-1.0, "learning_rate is -1.0"),
        "target_rate": (0.0, "target_rate is 0.0"),
        "bfloat16": ("always", "bfloat16 is 'always'"),
    }
    for name, (value, message) in impossible.items():
        with pytest.raises(SettingsError, match=message):
            MAKERS["d3qn"](**{name: value})


def test_any_environment_of_gymnasium_will_do() -> None:
    env = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 3, autoreset_mode=AutoresetMode.NEXT_STEP)
    agent = MAKERS["twin-d3qn"]()
    told = agent.learn(env, 400)
    assert isinstance(agent, ValueLearner)
    assert not isinstance(agent, PlainDQN)
    assert told.episodes > 5
    assert agent.act(np.zeros((3, 4), dtype=np.float32)).shape == (3,)
