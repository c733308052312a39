"""Policies of Stable-Baselines3 and Tianshou: they learn on our environments, act here, become strategies, and are saved as data."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import tradewind as tw
from tradewind import engine
from tradewind.core.errors import MissingExtra, NotFitted, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.data import synthetic
from tradewind.nets.checkpoint import net_state
from tradewind.rl.evaluation import evaluate
from tradewind.rl.foreign import ForeignAgent, stable_baselines, tianshou
from tradewind.rl.grounds import Course, Grounds
from tradewind.rl.trader import Sight
from tradewind.strategies.agent import AgentStrategy, TrainedAgent

SEEN = ("return_1", "return_5", "ema_distance_20")
BARS = synthetic.noise(bars=300, symbols=2, seed=3).market


def grounds(actions: Any = 3) -> Grounds:
    return Grounds(BARS, Sight(SEEN, actions=actions), Course(lanes=4, length=16), 200)


def stable_model(env: Any, seed: int, continuous: bool = False) -> Any:
    library = pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
    return library.PPO("MlpPolicy", stable_baselines(env), n_steps=16, batch_size=16, n_epochs=2, seed=seed, device="cpu")


def tianshou_model(env: Any, seed: int) -> Any:
    pytest.importorskip("tianshou", reason="the extra tianshou is not installed")
    import torch
    from tianshou.algorithm.modelfree.ppo import PPO
    from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.trainer import OnPolicyTrainerParams
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

    torch.manual_seed(seed)
    inputs, actions = env.single_observation_space.shape, int(env.single_action_space.n)
    actor = DiscreteActor(preprocess_net=Net(state_shape=inputs, hidden_sizes=[16]), action_shape=actions)
    critic = DiscreteCritic(preprocess_net=Net(state_shape=inputs, hidden_sizes=[16]))
    policy = DiscreteActorPolicy(actor=actor, action_space=env.single_action_space, observation_space=env.single_observation_space)
    algorithm = PPO(policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=1e-3))

    class Model:
        """What learns: the algorithm, and how it is trained."""

        def __init__(self) -> None:
            self.policy, self.algorithm = policy, algorithm

        def learn(self, steps: int) -> None:
            collector = Collector(algorithm, tianshou(env, seed), VectorReplayBuffer(64 * env.num_envs, env.num_envs))
            algorithm.run_training(
                OnPolicyTrainerParams(
                    training_collector=collector,
                    max_epochs=1,
                    epoch_num_steps=steps,
                    collection_step_num_env_steps=64,
                    batch_size=32,
                    update_step_num_repetitions=1,
                    show_progress=False,
                    verbose=False,
                )
            )

    return Model()


# Importing Tianshou takes twenty seconds.
MAKES = [stable_model, pytest.param(tianshou_model, marks=pytest.mark.slow)]


@pytest.mark.parametrize("make", MAKES)
def test_a_model_trained_elsewhere_acts_and_is_evaluated_here(make: Any) -> None:
    env, (contest, episodes) = grounds().practice(1), grounds().contest(200, 300)
    model = make(env, 1)
    before = net_state(model.policy)
    model.learn(256)
    assert net_state(model.policy) != before
    agent = ForeignAgent(model)
    shown, _ = contest.reset(seed=0)
    acted = agent.act(shown)
    assert acted.shape == (2,) and set(acted.tolist()) <= {0, 1, 2}
    np.testing.assert_array_equal(agent.act(shown), acted)
    assert len({tuple(agent.act(np.tile(shown, (8, 1)), deterministic=False)) for _ in range(8)}) > 1
    judged = evaluate(agent, contest, episodes)
    assert len(judged.returns) == 2 and "sharpe" in judged.metrics


@pytest.mark.parametrize("make", MAKES)
def test_it_becomes_a_strategy_that_decides_bar_by_bar_as_all_at_once(make: Any, tmp_path: Path) -> None:
    ground = grounds()
    agent = ForeignAgent(make=make)
    contest, episodes = ground.contest(200, 300)
    learning = agent.learn(ground.practice(1), 256, evaluate=contest, evaluate_every=128, episodes=episodes)
    assert learning.steps == 256 and len(learning.history) == 2 and learning.best_step in (128, 256)
    strategy = TrainedAgent(trader=ground.trader(agent))
    assert strategy.fit(BARS) is strategy
    whole, stream = engine.backtest(strategy, BARS), engine.run(strategy, BARS)
    np.testing.assert_array_equal(whole.targets, stream.targets)
    # Saved as arrays, and taken back by one that can build the same net.
    save_state(tmp_path / "state", strategy.state())
    reborn = TrainedAgent(trader=ground.trader(ForeignAgent(make=make))).restore(load_state(tmp_path / "state"))
    np.testing.assert_array_equal(engine.targets(reborn, BARS), whole.targets)
    view = tw.View(BARS, int(BARS.known[-1]), tw.Portfolio(np.zeros(2), np.zeros(2), 1.0, 1.0))
    assert strategy.explain(view, 0).values["target"] == pytest.approx(float(strategy.decide(view).weights[0]), nan_ok=True)
    assert strategy.confidence(view).shape == (2,)


def stable_agent() -> ForeignAgent:
    return ForeignAgent(make=stable_model)


def test_it_learns_in_a_walk_forward_too(tmp_path: Path) -> None:
    own = AgentStrategy("tests.rl.test_foreign:stable_agent", features=SEEN, steps=256, lanes=4, length=16)
    one, same = own.fit(BARS[:200]), AgentStrategy("tests.rl.test_foreign:stable_agent", features=SEEN, steps=256, lanes=4, length=16)
    same.fit(BARS[:200])
    assert one.state() == same.state()
    assert one.trader.calibrated.slope == 0.0 and one.learning.best is not None
    result = tw.walk_forward(own, BARS, train=200, test=50, ledger=tmp_path / "ledger.sqlite")
    assert np.isfinite(result.metrics["sharpe"])


def test_continuous_actions_of_stable_baselines() -> None:
    ground = grounds("continuous")
    agent = ForeignAgent(make=stable_model)
    agent.learn(ground.practice(1), 128)
    targets = engine.targets(TrainedAgent(trader=ground.trader(agent)), BARS)
    assert np.nanmax(np.abs(targets)) <= 0.5 and len(np.unique(targets[np.isfinite(targets)])) > 20


def test_the_adapter_tells_ends_and_where_they_led() -> None:
    pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
    env, twin = (grounds().practice(3) for _ in range(2))
    adapter = stable_baselines(env, seed=5)
    np.testing.assert_array_equal(adapter.reset(), twin.reset(seed=5)[0])
    for step in range(1, 20):
        shown, rewards, dones, told = adapter.step(np.full(4, 2))
        seen, earned, terminated, truncated, infos = twin.step(np.full(4, 2))
        np.testing.assert_array_equal(shown, seen)
        np.testing.assert_array_equal(rewards, np.float32(earned))
        np.testing.assert_array_equal(dones, terminated | truncated)
        assert dones.all() == (step == 16)
        for lane in np.flatnonzero(dones):
            np.testing.assert_array_equal(told[lane]["terminal_observation"], infos["final_obs"][lane])
            assert told[lane]["TimeLimit.truncated"] is True
    assert adapter.get_attr("num_envs") == [4] * 4 and adapter.env_is_wrapped(object) == [False] * 4


@pytest.mark.slow
def test_the_tianshou_adapter_tells_ends_and_where_they_led() -> None:
    pytest.importorskip("tianshou", reason="the extra tianshou is not installed")
    env, twin = (grounds().practice(3) for _ in range(2))
    adapter = tianshou(env, seed=5)
    np.testing.assert_array_equal(adapter.reset()[0], twin.reset(seed=5)[0])
    for _ in range(16):
        led, rewards, _, truncated, told = adapter.step(np.full(4, 2), np.arange(4))
        seen, earned, _, _, infos = twin.step(np.full(4, 2))
    assert truncated.all() and len(told) == len(adapter) == 4
    np.testing.assert_array_equal(led, infos["final_obs"])
    np.testing.assert_array_equal(rewards, earned)
    np.testing.assert_array_equal(adapter.reset([1, 3])[0], seen[[1, 3]])
    with pytest.raises(SettingsError, match="all lanes step together"):
        adapter.step(np.array([1]), np.array([0]))


def test_what_is_no_model_is_refused() -> None:
    for model in (3, object(), tw.rl.PPO(tw.rl.PPOConfig(device="cpu"))):
        with pytest.raises(SettingsError, match="is no model that is known here"):
            ForeignAgent(model)
    with pytest.raises(SettingsError, match="a trained model, or a function `make`"):
        ForeignAgent()
    with pytest.raises(NotFitted, match="has no model yet"):
        ForeignAgent(make=stable_model).act(np.zeros((1, 4), np.float32))


def test_weights_without_a_way_to_build_their_net_are_refused() -> None:
    agent = ForeignAgent(make=stable_model)
    agent.learn(grounds().practice(1), 64)
    bare = ForeignAgent(stable_model(grounds().practice(1), 2))
    assert bare.restore(agent.state()).state().arrays.keys() == agent.state().arrays.keys()
    with pytest.raises(SettingsError, match="give make="):
        bare.learn(grounds().practice(1), 64)
    lost = ForeignAgent(make=stable_model)
    lost._make = None
    with pytest.raises(StateError, match="weights alone make no policy"):
        lost.restore(agent.state())
    with pytest.raises(StateError, match="not of a foreign agent"):
        bare.restore(State({"agent": "ppo"}))
    with pytest.raises(StateError, match="does not fit"):
        bare.restore(
            ForeignAgent(stable_model(Grounds(BARS, Sight(SEEN[:1], actions=3), Course(lanes=4, length=16), 200).practice(1), 2)).state()
        )


@pytest.mark.parametrize(
    ("adapt", "package", "extra"), [(stable_baselines, "stable-baselines3", "sb3"), (tianshou, "tianshou", "tianshou")]
)
def test_a_library_that_is_not_there_says_what_to_install(adapt: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.import_module

    def absent(name: str, *more: Any) -> Any:
        if name.startswith(("stable_baselines3", "tianshou")):
            raise ImportError(name)
        return plain(name, *more)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed; run: pip install 'tradewind\[{extra}\]'"):
        adapt(grounds().practice(1))


def test_environments_that_reset_in_a_step_of_their_own_are_refused() -> None:
    env = grounds().practice(1)
    env.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
    with pytest.raises(SettingsError, match="resets itself in the same step"):
        stable_baselines(env)
