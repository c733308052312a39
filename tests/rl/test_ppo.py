"""PPO: its loss by hand and as Stable-Baselines3 has it, what it makes of ends and resets, and whether it learns the obvious."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tests.rl.environments import Walk, counting
from torch import nn

from tradewind.core.errors import SettingsError
from tradewind.core.files import load_state, save_state
from tradewind.nets.device import reproducible
from tradewind.rl.evaluation import evaluate
from tradewind.rl.lanes import Lanes
from tradewind.rl.policies import Categorical, Gaussian
from tradewind.rl.ppo import PPO, Experience, PPOConfig, ppo_losses
from tradewind.rl.spaces import Spaces

SMALL: dict[str, Any] = {"hidden": (16,), "rollout": 64, "batch": 32, "epochs": 2, "device": "cpu"}
BARE: dict[str, Any] = {**SMALL, "normalise_observations": False, "normalise_rewards": False}


class Mirror(gym.Env[Any, Any]):
    """Shows a number and pays for repeating it: the sign of it as a choice, or the number itself as a position in [-2, 2]."""

    def __init__(self, discrete: bool) -> None:
        self.observation_space = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = Discrete(2) if discrete else Box(-2.0, 2.0, (1,), np.float32)
        self.discrete, self.at = discrete, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.at = 0
        return self._shown(), {}

    def step(self, action: Any) -> Any:
        shown = float(self.number[0])
        reward = float(int(action) == (shown > 0)) if self.discrete else -abs(float(action[0]) - shown)
        self.at += 1
        return self._shown(), reward, False, self.at >= 20, {}

    def _shown(self) -> Any:
        self.number = self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)
        return self.number


def mirrors(discrete: bool, n: int = 8) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: Mirror(discrete)] * n)


def gathered(agent: PPO, lanes: Lanes, seed: int = 0) -> Experience:
    """One rollout of `agent`."""
    with reproducible(seed), torch.no_grad():
        agent.settle(lanes.spaces, seed)
        agent.begin(lanes, 1_000, seed)
        return agent._gather(lanes)


# -- the loss ------------------------------------------------------------------------------------------------------------
def scripted(**settings: Any) -> Any:
    """Two choices, four steps: ratios 1.5, .8, .5 and 1.1 over an old chance of a half."""
    chances = torch.tensor([0.75, 0.4, 0.25, 0.55])
    policy = Categorical(torch.stack([chances, 1 - chances], dim=1).log().requires_grad_())
    batch = Experience(
        torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), torch.full((4,), math.log(0.5)),
        torch.tensor([1.0, 1.0, 1.0, 1.0]), torch.tensor([3.0, -1.0, -1.0, -1.0]), torch.tensor([2.0, 0.0, 1.0, 1.5]),
    )  # fmt: skip
    return ppo_losses(policy, torch.tensor([1.5, 0.0, 1.0, 1.1]), batch, PPOConfig(**settings))


def test_the_clipped_loss_by_hand() -> None:
    told = scripted(entropy_weight=0.01)
    # Advantages of mean 0 and deviation 2: 1.5 and -.5 thrice. Least of both: 1.2 * 1.5, -.5 * .8, -.5 * .8 (clipped), -.5 * 1.1.
    policy = -(1.8 - 0.4 - 0.4 - 0.55) / 4
    value = (0.25 + 0.0 + 0.0 + 0.16) / 4
    chances = (0.75, 0.4, 0.25, 0.55)
    entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in chances) / 4
    assert float(told.policy) == pytest.approx(policy, abs=1e-6)
    assert float(told.value) == pytest.approx(value, abs=1e-6)
    assert float(told.entropy) == pytest.approx(entropy, abs=1e-6)
    assert float(told.total.detach()) == pytest.approx(policy + 0.5 * value - 0.01 * entropy, abs=1e-6)
    assert float(told.clipped) == 0.5
    assert float(told.kl) == pytest.approx(sum(2 * p - 1 - math.log(2 * p) for p in chances) / 4, abs=1e-6)


def test_values_are_clipped_where_asked() -> None:
    # Told 1.2, .8, 1 and 1.1, each at most .2 from the old 1.
    assert float(scripted(value_clip=0.2).value) == pytest.approx((0.64 + 0.64 + 0.0 + 0.16) / 4, abs=1e-6)


def test_a_clipped_step_has_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    batch = Experience(
        torch.zeros(2, 1), torch.tensor([0, 0]), torch.tensor([math.log(0.3), math.log(0.5)]),
        torch.zeros(2), torch.tensor([1.0, -1.0]), torch.zeros(2),
    )  # fmt: skip
    ppo_losses(Categorical(logits), torch.zeros(2), batch, PPOConfig()).total.backward()
    assert logits.grad is not None
    # The first is at a ratio of 1.67 and should grow: cut off. The second is at 1 and should shrink.
    assert not logits.grad[0].any() and float(logits.grad[1, 0]) > 0.0


def peer(discrete: bool, batch: Experience, agent: PPO, **settings: Any) -> Any:
    """Stable-Baselines3's PPO with the weights of `agent`, and `batch` in its buffer."""
    baselines = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import DummyVecEnv

    made = DummyVecEnv([lambda: Mirror(discrete)])
    widths = list(agent.config.hidden)
    n = len(batch)
    peer = baselines.PPO(
        "MlpPolicy",
        made,
        n_steps=n,
        batch_size=n,
        n_epochs=1,
        policy_kwargs={"net_arch": widths},
        device="cpu",
        learning_rate=3e-4,
        **settings,
    )
    peer.set_logger(Logger(None, []))
    policy = peer.policy
    parts = {
        "actor": (*[layer for layer in policy.mlp_extractor.policy_net if isinstance(layer, nn.Linear)], policy.action_net),
        "critic": (*[layer for layer in policy.mlp_extractor.value_net if isinstance(layer, nn.Linear)], policy.value_net),
    }
    with torch.no_grad():
        for name, layers in parts.items():
            flat = getattr(agent.net, name).weights
            nn.utils.vector_to_parameters(flat, [tensor for layer in layers for tensor in (layer.weight, layer.bias)])
    buffer = peer.rollout_buffer
    for name, tensor in (
        ("observations", batch.observations), ("log_probs", batch.log_probabilities), ("values", batch.values),
        ("advantages", batch.advantages), ("returns", batch.returns), ("actions", batch.actions),
    ):  # fmt: skip
        theirs = getattr(buffer, name)
        theirs[:] = tensor.numpy().reshape(theirs.shape)
    buffer.full = True
    return peer, lambda what: torch.cat(
        [what(tensor).flatten() for layers in parts.values() for layer in layers for tensor in (layer.weight, layer.bias)]
    )


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("value_clip", [None, 0.1])
def test_one_update_as_stable_baselines3_does_it(discrete: bool, value_clip: float | None) -> None:
    config = PPOConfig(hidden=(32, 16), rollout=96, batch=96, epochs=1, entropy_weight=0.01, value_clip=value_clip, device="cpu")
    agent = PPO(config)
    lanes = Lanes(mirrors(discrete, 1), agent.device, 0)
    batch = gathered(agent, lanes, 5)
    torch.manual_seed(1)
    n = len(batch)
    # Ratios away from 1, so that some are clipped.
    batch = Experience(
        batch.observations, batch.actions, batch.log_probabilities + 0.3 * torch.randn(n), batch.values + 0.2 * torch.randn(n),
        batch.advantages, batch.returns,
    )  # fmt: skip
    theirs, read = peer(discrete, batch, agent, ent_coef=0.01, clip_range_vf=value_clip)

    said, values = agent.net(batch.observations)
    losses = ppo_losses(agent.policy(said), values, batch, config)
    losses.total.backward()
    mine = torch.cat([tower.weights.grad for tower in (agent.net.actor, agent.net.critic)])
    clipper = theirs.max_grad_norm
    theirs.max_grad_norm = 1e9
    saved = {name: tensor.clone() for name, tensor in theirs.policy.state_dict().items()}
    theirs.train()
    told = theirs.logger.name_to_value
    assert 0.0 < float(losses.clipped) < 1.0
    assert float(losses.policy) == pytest.approx(told["train/policy_gradient_loss"], abs=1e-6)
    assert float(losses.value) == pytest.approx(told["train/value_loss"], rel=1e-6, abs=1e-6)
    assert float(losses.entropy) == pytest.approx(-told["train/entropy_loss"], abs=1e-6)
    assert float(losses.kl) == pytest.approx(told["train/approx_kl"], abs=1e-6)
    assert float(losses.clipped) == pytest.approx(told["train/clip_fraction"], abs=1e-6)
    torch.testing.assert_close(mine, read(lambda tensor: tensor.grad), rtol=0, atol=1e-6)
    if agent.net.log_deviation is not None:
        torch.testing.assert_close(agent.net.log_deviation.grad, theirs.policy.log_std.grad, rtol=0, atol=1e-6)

    # And the step itself, gradient cut to length and Adam: the same weights after.
    theirs.policy.load_state_dict(saved)
    theirs.policy.optimizer = type(theirs.policy.optimizer)(theirs.policy.parameters(), lr=3e-4, eps=1e-5)
    theirs.max_grad_norm = clipper
    theirs.train()
    agent._improve(batch)
    after = torch.cat([tower.weights.detach() for tower in (agent.net.actor, agent.net.critic)])
    torch.testing.assert_close(after, read(lambda tensor: tensor.detach()), rtol=0, atol=2e-6)


# -- the rollout ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_advantages_know_ends_cuts_and_resets(mode: AutoresetMode) -> None:
    lengths: Sequence[Sequence[int]] = [(3, 2, 4), (5, 1, 2)]
    config = PPOConfig(**{**BARE, "rollout": 40, "batch": 8, "discount": 0.9, "gae_lambda": 0.8})
    agent = PPO(config)
    lanes = Lanes(counting(lengths, mode), agent.device, 0)
    told = gathered(agent, lanes)
    assert len(told) == lanes.steps and (mode is AutoresetMode.NEXT_STEP) == (lanes.steps < 40)
    for lane, own in enumerate(lengths):
        rows = [row for row in range(len(told)) if int(told.observations[row, 0]) == lane]
        seen = {(int(told.observations[row, 1]), int(told.observations[row, 2])): row for row in rows}
        assert len(seen) == len(rows)  # no observation of a reset step is learned from
        for episode in range(3):
            length = own[episode % len(own)]
            expected = 0.0
            for step in reversed(range(length)):
                last = step == length - 1
                shown = torch.tensor([[lane, episode, step + 1]], dtype=torch.float32)
                after = 0.0 if last and episode % 2 == 0 else float(agent.net.judge(shown).detach())
                row = seen[episode, step]
                expected = 100 * episode + step + 1 + 0.9 * after - float(told.values[row]) + (0.0 if last else 0.9 * 0.8 * expected)
                assert float(told.advantages[row]) == pytest.approx(expected, rel=1e-5)
                assert float(told.returns[row]) == pytest.approx(expected + float(told.values[row]), rel=1e-5)


def test_a_rollout_is_shared_by_the_lanes() -> None:
    for lanes_of, expected in ((4, 64), (7, 63), (100, 100)):
        agent = PPO(PPOConfig(**SMALL))
        lanes = Lanes(Walk(lanes_of), agent.device, 0)
        gathered(agent, lanes)
        assert lanes.steps == expected


def test_chances_and_values_are_those_of_the_policy_that_acted() -> None:
    agent = PPO(PPOConfig(**BARE))
    told = gathered(agent, Lanes(Walk(8), agent.device, 0))
    said, values = agent.net(told.observations)
    torch.testing.assert_close(agent.policy(said).log_probability(told.actions), told.log_probabilities)
    torch.testing.assert_close(values, told.values)


def test_every_step_is_learned_from_once_an_epoch() -> None:
    n = 50
    numbers = torch.arange(n, dtype=torch.float32)
    told = Experience(numbers[:, None], numbers.long(), numbers, numbers, numbers, numbers)
    batches = list(told.shuffled(16))
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    order = torch.cat([batch.returns for batch in batches])
    assert not torch.equal(order, numbers) and torch.equal(order.sort().values, numbers)
    for batch in batches:
        assert torch.equal(batch.observations[:, 0], batch.returns) and torch.equal(batch.actions, batch.returns.long())


# -- learning --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("discrete", "least"), [(True, 19.0), (False, -3.0)])
def test_it_learns_the_obvious(discrete: bool, least: float, half: bool) -> None:
    config = PPOConfig(hidden=(32, 32), rollout=512, batch=64, epochs=6, learning_rate=3e-3, discount=0.5, bfloat16=half, device="cpu")
    agent = PPO(config)
    agent.learn(mirrors(discrete), 6_000, seed=1)
    assert evaluate(agent, mirrors(discrete), 10).mean >= least


def test_same_seed_same_bytes_and_another_others() -> None:
    states = []
    for seed in (3, 3, 4):
        agent = PPO(PPOConfig(**SMALL))
        agent.learn(Walk(), 640, seed=seed)
        states.append(agent.state())
    assert states[0] == states[1] != states[2]


def test_a_run_that_stopped_goes_on_to_the_bit(tmp_path: Path) -> None:
    def stop(line: Any) -> None:
        if line.step >= 384:
            raise KeyboardInterrupt

    ways: dict[str, Any] = {"seed": 3, "checkpoint_every": 128}
    unbroken, halves, again = (PPO(PPOConfig(**SMALL)) for _ in range(3))
    unbroken.learn(Walk(), 768, **ways)
    with pytest.raises(KeyboardInterrupt):
        halves.learn(Walk(), 768, folder=tmp_path, progress=stop, **ways)
    told = again.learn(Walk(), 768, folder=tmp_path, **ways)
    assert told.resumed > 0 and again.state() == unbroken.state()


def test_a_saved_agent_acts_the_same(tmp_path: Path) -> None:
    for discrete in (True, False):
        agent = PPO(PPOConfig(**SMALL))
        agent.learn(mirrors(discrete, 4), 128)
        save_state(tmp_path / str(discrete), agent.state())
        other = PPO(PPOConfig(**SMALL)).restore(load_state(tmp_path / str(discrete)))
        seen = np.random.default_rng(0).uniform(-1, 1, (9, 1)).astype(np.float32)
        assert np.array_equal(agent.act(seen), other.act(seen)) and np.array_equal(agent.conviction(seen), other.conviction(seen))
        assert bool((agent.conviction(seen) >= 0).all())


def test_drawn_actions_differ_and_sure_ones_do_not() -> None:
    agent = PPO(PPOConfig(**SMALL))
    agent.settle(Spaces.of(Box(-1, 1, (2,)), Box(-2.0, 2.0, (1,))), 0)
    seen = torch.zeros(64, 2)
    drawn, sure = agent.act(seen, deterministic=False), agent.act(seen)
    assert len(drawn.unique()) > 10 and len(sure.unique()) == 1
    assert float(drawn.abs().max()) <= 2.0


def advanced(**settings: Any) -> list[dict[str, float]]:
    agent = PPO(PPOConfig(**{**SMALL, **settings}))
    with reproducible(0):
        lanes = Lanes(Walk(), agent.device, 0)
        agent.settle(lanes.spaces, 0)
        agent.begin(lanes, 256, 0)
        return [agent.advance(lanes) for _ in range(4)]


def test_the_learning_rate_falls_to_nothing_or_stays() -> None:
    rates = [told["learning_rate"] for told in advanced()]
    assert rates == pytest.approx([3e-4, 2.25e-4, 1.5e-4, 0.75e-4])
    assert [told["learning_rate"] for told in advanced(anneal=False)] == [3e-4] * 4


def test_epochs_end_early_where_the_policy_went_far() -> None:
    assert all(told["epochs"] < 8 for told in advanced(epochs=8, target_kl=1e-6))
    assert all(told["epochs"] == 8 for told in advanced(epochs=8, target_kl=1e6))


def test_a_value_that_is_right_is_explained() -> None:
    agent = PPO(PPOConfig(**BARE))
    agent.settle(Spaces.of(Box(-1, 1, (1,)), Discrete(2)), 0)
    returns = torch.arange(8.0)
    told = Experience(torch.zeros(8, 1), torch.zeros(8), torch.zeros(8), returns.clone(), torch.zeros(8), returns)
    assert agent._told(told, torch.zeros(5), 1)["explained"] == 1.0


def test_gradients_are_cut_to_length(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[float] = []
    step = torch.optim.Adam.step

    def noted(optimiser: torch.optim.Adam, *rest: Any) -> Any:
        parts = [parameter.grad.norm() for group in optimiser.param_groups for parameter in group["params"]]
        lengths.append(float(torch.stack(parts).norm()))
        return step(optimiser, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    advanced(max_gradient=1e-3)
    assert max(lengths) <= 1.001e-3 and len(lengths) == 4 * 2 * 2


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(SettingsError, match="lower learning_rate"):
        PPO(PPOConfig(**{**SMALL, "learning_rate": 1e30, "epochs": 4})).learn(Walk(), 640)


@pytest.mark.parametrize(
    ("settings_of", "word"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"batch": 9, "rollout": 8}, "more than the rollout 8"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"discount": 1.1}, "discount is 1.1"),
        ({"gae_lambda": -0.1}, "gae_lambda is -0.1"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"entropy_weight": -1.0}, "entropy_weight is -1.0"),
        ({"target_kl": 0.0}, "target_kl is 0.0"),
        ({"value_clip": -1.0}, "value_clip is -1.0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (8, 0)}, "hidden is 0"),
        ({"activation": "gelu"}, "none of tanh, relu"),
        ({"bfloat16": "yes"}, "bfloat16"),
    ],
)
def test_settings_that_cannot_be(settings_of: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        PPOConfig(**settings_of)


def test_the_policy_fits_the_actions() -> None:
    for space, kind in ((Discrete(3), Categorical), (Box(-1, 1, (2,)), Gaussian)):
        agent = PPO(PPOConfig(**SMALL))
        agent.settle(Spaces.of(Box(-1, 1, (2,)), space), 0)  # type: ignore[arg-type]
        assert isinstance(agent.policy(agent.net.actor(torch.zeros(1, 2))), kind)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("CartPole-v1", 475.0), ("Acrobot-v1", -100.0)])
def test_the_classics(name: str, least: float) -> None:
    means = []
    for seed in range(3):
        agent = PPO(PPOConfig(hidden=(64, 64), rollout=1_024, learning_rate=1e-3, device="cpu"))
        agent.learn(gym.make_vec(name, 8, "sync"), 100_000, seed=seed)
        means.append(evaluate(agent, gym.make_vec(name, 10, "sync"), 50, seed=1_000 + seed).mean)
    assert float(np.mean(means)) >= least, means
