"""The loop: it learns, looks up on schedule without disturbing, keeps the best and not the last, and survives being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from tests.rl.environments import Slowly, Walk
from tests.rl.learners import Linear, LinearConfig
from tests.rl.trading import features_of
from tests.simulate.reference import random_market
from torch import Tensor, nn

from tradewind.core.errors import Corrupt, DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import State
from tradewind.nets.checkpoint import net_state
from tradewind.rl.base import Agent
from tradewind.rl.curve import read_curve
from tradewind.rl.evaluation import evaluate
from tradewind.rl.lanes import Lanes
from tradewind.rl.learning import Learning, Progress, Schedule, learn
from tradewind.rl.registry import agent, agents
from tradewind.rl.spaces import Spaces
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

STEPS = 2_000


def linear(**settings: Any) -> Linear:
    return Linear(LinearConfig(**settings))


def learned(agent: Linear, **settings: Any) -> Learning:
    asked = {"evaluate_every": 500, "episodes": 4, "checkpoint_every": 300, **settings}
    return agent.learn(Walk(), asked.pop("steps", STEPS), **asked)


def without_time(history: tuple[Progress, ...]) -> list[dict[str, Any]]:
    lines = [line.values() for line in history]
    return [{key: value for key, value in line.items() if not key.startswith("seconds") and key != "steps_per_second"} for line in lines]


# -- learning ------------------------------------------------------------------------------------------------------------
def test_an_agent_learns() -> None:
    agent = linear()
    told = agent.learn(Walk(16), 20_000, evaluate=Walk(32), episodes=64, evaluate_every=4_000)
    judged = [line.evaluation.mean for line in told.history if line.evaluation is not None]
    assert len(judged) == 5
    assert told.best is not None
    assert told.best.mean == max(judged)
    assert told.best.mean > 0.6 > 0.2 > evaluate(Still(), Walk(32), 64).mean


class Still:
    def act(self, observations: Any, deterministic: bool = True) -> Any:
        return np.ones(len(observations), dtype=np.int64)


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    one, again, other = linear(), linear(), linear()
    first, second, _ = learned(one, seed=3), learned(again, seed=3), learned(other, seed=4)
    assert one.state() == again.state() != other.state()
    assert without_time(first.history) == without_time(second.history)


def test_evaluating_changes_nothing_but_what_is_kept() -> None:
    alone, watched = linear(), Watched(LinearConfig())
    learned(alone, seed=3)
    told = learned(watched, seed=3, evaluate=Walk(), evaluate_every=100)
    assert sum(line.evaluation is not None for line in told.history) == 20
    assert watched.last == net_state(alone.nets)
    assert [line.mean_return for line in told.history] == [line.mean_return for line in learned(linear(), seed=3).history]


@final
class Watched(Linear):  # type: ignore[misc]
    """Remembers its weights after each piece of steps, which the best ones replace at the end."""

    def advance(self, lanes: Lanes) -> dict[str, float]:
        told = super().advance(lanes)
        self.last = net_state(self.nets)
        return told


def test_the_callers_random_state_is_left_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    learned(linear(), evaluate=Walk())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


# -- the curve and the schedule --------------------------------------------------------------------------------------------
def test_the_schedule_is_kept(tmp_path: Path) -> None:
    heard: list[Progress] = []
    told = learned(linear(), evaluate=Walk(), folder=tmp_path, progress=heard.append)
    # Pieces are 64 steps: what is due at 500 is done at 512.
    assert [line.step for line in told.history if line.evaluation is not None] == [512, 1024, 1536, 2048]
    assert told.history == tuple(heard)
    assert told.steps == 2048
    assert sorted(place.name for place in (tmp_path / "checkpoints").iterdir()) == ["000000001856", "000000002048"]
    assert without_time(read_curve(tmp_path / "curve.jsonl")) == without_time(told.history)
    assert told.episodes == told.history[-1].episodes
    assert all(set(line.metrics) == {"policy_loss", "worth"} and line.steps == STEPS for line in heard)


def test_there_are_some_two_hundred_lines_however_long_the_run() -> None:
    told = linear(piece=1).learn(Walk(), 2_000)
    assert len(told.history) == 200
    assert told.best is None
    assert told.best_step == told.steps == 2_000
    assert told.history[-1].step == 2_000


def test_returns_are_those_of_the_episodes_since_the_line_before() -> None:
    lanes_returns: list[float] = []
    told = linear(piece=50).learn(Walk(), 1_000, progress=lambda line: lanes_returns.append(line.mean_return or 0.0))
    assert [line.step for line in told.history] == [200, 400, 600, 800, 1000]
    assert len(lanes_returns) == 5
    assert all(-1.0 <= value <= 1.0 for value in lanes_returns)
    assert [line.episodes for line in told.history] == sorted(line.episodes for line in told.history)


def test_the_learning_speed_leaves_evaluation_out() -> None:
    class Slow(Walk):
        def step(self, actions: Any) -> Any:
            time.sleep(0.005)
            return super().step(actions)

    told = linear().learn(Walk(), 640, evaluate=Slow(), evaluate_every=320, episodes=4)
    spent = sum(
        (line.step - before) / line.steps_per_second
        for before, line in zip((0, *(h.step for h in told.history)), told.history, strict=False)
    )
    assert spent < told.seconds - 0.1


# -- the best, not the last ------------------------------------------------------------------------------------------------
@final
class Worsening(Linear):  # type: ignore[misc]
    """Pushes upwards at first, and after half of its pieces downwards, whatever it is paid."""

    def advance(self, lanes: Lanes) -> dict[str, float]:
        told = super().advance(lanes)
        with torch.no_grad():
            self.nets["policy"].weight.zero_()
            self.nets["policy"].bias.copy_(torch.tensor([0.0, 0.0, 5.0] if self.pieces < 16 else [5.0, 0.0, 0.0]))
        return told


def test_the_best_weights_by_evaluation_are_kept(tmp_path: Path) -> None:
    agent = Worsening(LinearConfig())
    told = learned(agent, evaluate=Walk(), folder=tmp_path)
    judged = {line.step: line.evaluation.mean for line in told.history if line.evaluation is not None}
    assert judged[512] > 0.0 > judged[2048]
    assert told.best_step == 512
    assert told.best is not None
    assert told.best.mean == judged[512]
    assert agent.nets["policy"].bias.tolist() == [0.0, 0.0, 5.0]
    assert Worsening(LinearConfig()).restore(load_state(tmp_path / "best")).state() == agent.state()


def test_what_is_earned_while_learning_chooses_nothing() -> None:
    # Learning pays in an environment that pushes the other way than the one that judges.
    agent = Worsening(LinearConfig())
    told = learned(agent, evaluate=Walk(drift=-0.1))
    returns = {line.step: line.mean_return for line in told.history if line.mean_return is not None}
    assert np.mean([value for step, value in returns.items() if step <= 1024]) > np.mean([v for step, v in returns.items() if step > 1024])
    assert told.best_step >= 1024
    assert agent.nets["policy"].bias.tolist() == [5.0, 0.0, 0.0]


# -- going on --------------------------------------------------------------------------------------------------------------
SLEEPY = 1_200
CHILD = f"""
import sys
sys.path.insert(0, sys.argv[2])
from tests.rl.environments import Slowly
from tests.rl.learners import Linear, LinearConfig
made = Linear(LinearConfig())
made.learn(Slowly(), {SLEEPY}, seed=3, evaluate=Slowly(), evaluate_every=500, episodes=4, checkpoint_every=100, folder=sys.argv[1])
"""


def test_a_run_that_is_killed_twice_ends_with_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = linear()
    expected = undisturbed.learn(
        Walk(), SLEEPY, seed=3, evaluate=Walk(), evaluate_every=500, episodes=4, checkpoint_every=100, folder=tmp_path / "whole"
    )
    folder, resumed = tmp_path / "killed", []
    for after in (300, 700):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(Path(__file__).parents[2])])
        while len(list(folder.glob("checkpoints/*/manifest.json"))) < 2 or newest(folder) < after:
            assert child.poll() is None, "the child ended before it could be killed"
            time.sleep(0.003)
        child.send_signal(signal.SIGKILL)
        child.wait()
        resumed.append(newest(folder))
    agent = linear()
    told = agent.learn(Slowly(), SLEEPY, seed=3, evaluate=Slowly(), evaluate_every=500, episodes=4, checkpoint_every=100, folder=folder)
    assert 300 <= resumed[0] < resumed[1] == told.resumed < SLEEPY
    assert agent.state() == undisturbed.state()
    assert (told.best, told.best_step, told.episodes) == (expected.best, expected.best_step, expected.episodes)
    assert without_time(told.history) == without_time(expected.history)
    for name in ("best/state.json", "best/arrays.npz", f"checkpoints/{told.steps:012d}/arrays.npz"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def newest(folder: Path) -> int:
    return max((int(place.parent.name) for place in folder.glob("checkpoints/*/manifest.json")), default=0)


@pytest.mark.parametrize("cut", range(64, 640, 128))
def test_a_run_goes_on_from_any_checkpoint_to_the_bit(tmp_path: Path, cut: int) -> None:
    class Stop(Exception):
        pass

    def stop(line: Progress) -> None:
        if line.step >= cut:
            raise Stop

    ways: dict[str, Any] = {"steps": 640, "checkpoint_every": 64, "evaluate_every": 192, "seed": 1}
    whole, halves = linear(), linear()
    expected = learned(whole, evaluate=Walk(), **ways)
    with pytest.raises(Stop):
        learned(halves, evaluate=Walk(), folder=tmp_path, progress=stop, **ways)
    again = linear()
    told = learned(again, evaluate=Walk(), folder=tmp_path, **ways)
    assert told.resumed == cut - 64
    assert again.state() == whole.state()
    assert without_time(told.history) == without_time(expected.history)


def test_a_line_that_a_checkpoint_cut_in_two_is_whole_again(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(line: Progress) -> None:
        if line.step >= 1_100:
            raise Stop

    # A piece is 4 steps, a line 16: the checkpoint at 1,000 stands in the middle of the line that ends at 1,008.
    ways: dict[str, Any] = {"steps": 3_200, "checkpoint_every": 1_000, "seed": 1}
    expected = learned(linear(piece=1), **ways)
    with pytest.raises(Stop):
        learned(linear(piece=1), folder=tmp_path, progress=stop, **ways)
    told = learned(linear(piece=1), folder=tmp_path, **ways)
    assert told.resumed == 1_000
    assert 1_008 in [line.step for line in told.history]
    assert without_time(told.history) == without_time(expected.history)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    one, again = linear(), linear()
    first, second = learned(one, evaluate=Walk(), folder=tmp_path), learned(again, evaluate=Walk(), folder=tmp_path)
    assert second.resumed == second.steps == first.steps
    assert second.history == first.history
    assert one.state() == again.state()


def test_a_run_goes_on_where_the_environment_has_no_state(tmp_path: Path) -> None:
    class Forgetful(Walk):
        restore = None  # type: ignore[assignment]

    class Stop(Exception):
        pass

    def stop(line: Progress) -> None:
        if line.step >= 320:
            raise Stop

    with pytest.raises(Stop):
        linear().learn(Forgetful(), 640, folder=tmp_path, checkpoint_every=64, progress=stop)
    told = linear().learn(Forgetful(), 640, folder=tmp_path, checkpoint_every=64)
    assert told.resumed == 256
    assert told.steps == 640


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"agent": linear(piece=8)}, "config piece: 16 there, 8 here"),
        ({"seed": 9}, "seed: 0 there, 9 here"),
        ({"steps": 700}, "schedule steps: 640 there, 700 here"),
        ({"env": Walk(5)}, "lanes: 4 there, 5 here"),
        ({"evaluate": Walk()}, "evaluate: None there, 'Walk' here"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path: Path, other: dict[str, Any], named: str) -> None:
    linear().learn(Walk(), 640, folder=tmp_path)
    asked = {"agent": linear(), "env": Walk(), "steps": 640, "seed": 0, "evaluate": None, **other}
    agent, env, steps = asked.pop("agent"), asked.pop("env"), asked.pop("steps")
    with pytest.raises(StateError, match=f"holds another run .*{named}.* choose another folder"):
        agent.learn(env, steps, folder=tmp_path, **asked)


def test_a_folder_of_another_market_is_refused(tmp_path: Path) -> None:
    class Elsewhere(Walk):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            return super().reset(seed=None if seed is None else seed + 1)

    Elsewhere.__name__ = "Walk"
    linear().learn(Walk(), 640, folder=tmp_path, evaluate=Walk())
    with pytest.raises(StateError, match=r"run \(first observations: .*what is seen first tells markets apart"):
        linear().learn(Elsewhere(), 640, folder=tmp_path, evaluate=Walk())
    with pytest.raises(StateError, match=r"run \(first observations to evaluate: "):
        linear().learn(Walk(), 640, folder=tmp_path, evaluate=Elsewhere())


def test_an_agent_that_learned_elsewhere_meanwhile_is_refused(tmp_path: Path) -> None:
    agent = linear()
    agent.learn(Walk(), 640, folder=tmp_path)
    with pytest.raises(StateError, match="first weights"):
        agent.learn(Walk(), 640, folder=tmp_path)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    expected = learned(linear(), folder=tmp_path, seed=2)
    last = tmp_path / "checkpoints" / f"{expected.steps:012d}"
    damaged = bytearray((last / "arrays.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (last / "arrays.npz").write_bytes(damaged)
    with pytest.raises(Corrupt, match=rf"arrays.npz.*delete {last} and the run goes on from the checkpoint before it, 000000001856"):
        learned(linear(), folder=tmp_path, seed=2)
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    told = learned(linear(), folder=tmp_path, seed=2)
    assert told.resumed == 1856
    assert without_time(told.history) == without_time(expected.history)


def test_a_checkpoint_that_was_cut_short_is_none(tmp_path: Path) -> None:
    learned(linear(), folder=tmp_path, seed=2)
    (tmp_path / "checkpoints" / "000000002048" / "manifest.json").unlink()
    assert learned(linear(), folder=tmp_path, seed=2).resumed == 1856


# -- every agent in our own market -----------------------------------------------------------------------------------------
SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"hidden": (16, 8), "rollout": 64, "batch": 32, "epochs": 2},
    **{
        name: {"hidden": (16,), "batch": 16, "capacity": 256, "learning_starts": 32}
        for name in ("double-dqn", "d3qn", "twin-d3qn", "rainbow")
    },
}


def trading(bars: int) -> TradingVectorEnv:
    some = random_market(bars, bars, 2, missing=0.02)
    return TradingVectorEnv(some, 4, features=features_of(some), actions="discrete", length=12)


def practised(name: str, last: list[State], **asked: Any) -> tuple[Agent, Learning]:
    """An agent after 640 steps in our environment; `last` gets its weights after each line, which the best replace at the end."""
    made = agent(name, device="cpu", **SMALL[name])
    heard = asked.pop("progress", lambda line: None)

    def progress(line: Progress) -> None:
        last[:] = [net_state(made.nets).nest("norm", net_state(made.norm))]
        heard(line)

    return made, made.learn(trading(80), 640, seed=5, evaluate_every=160, episodes=4, checkpoint_every=128, progress=progress, **asked)


@pytest.mark.parametrize("name", agents())
def test_every_agent_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(line: Progress) -> None:
        if line.step >= 400:
            raise Stop

    whole, expected = practised(name, [], evaluate=trading(60))
    with pytest.raises(Stop):
        practised(name, [], evaluate=trading(60), folder=tmp_path, progress=stop)
    again, told = practised(name, [], evaluate=trading(60), folder=tmp_path)
    assert told.resumed == 384
    assert again.state() == whole.state()
    assert without_time(told.history) == without_time(expected.history)


@pytest.mark.parametrize(
    ("other", "named"), [({"costs": Costs.zero()}, "costs"), ({"reward": "drawdown"}, "reward"), ({"capital": 5e3}, "capital")]
)
def test_a_folder_of_other_costs_or_rewards_is_refused(other: dict[str, Any], named: str, tmp_path: Path) -> None:
    def market(**asked: Any) -> TradingVectorEnv:
        some = random_market(80, 80, 2, missing=0.02)
        return TradingVectorEnv(some, 4, features=features_of(some), actions="discrete", length=12, **asked)

    linear().learn(market(), 640, folder=tmp_path)
    with pytest.raises(StateError, match=f"other {named}"):
        linear().learn(market(**other), 640, folder=tmp_path)


@pytest.mark.parametrize("name", agents())
def test_no_agent_is_disturbed_by_being_judged(name: str) -> None:
    alone: list[State] = []
    watched: list[State] = []
    practised(name, alone)
    _, told = practised(name, watched, evaluate=trading(60))
    assert sum(line.evaluation is not None for line in told.history) == 4
    assert alone == watched


# -- faults ------------------------------------------------------------------------------------------------------------------
@final
class Diverging(Linear):  # type: ignore[misc]
    def advance(self, lanes: Lanes) -> dict[str, float]:
        return {**super().advance(lanes), "policy_loss": float("nan") if lanes.steps >= 128 else 0.0}


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(SettingsError, match="policy_loss is nan after 128 steps; lower learning_rate"):
        Diverging(LinearConfig()).learn(Walk(), 640)


def test_evaluating_in_the_environment_that_is_learned_in_is_refused() -> None:
    env = Walk()
    with pytest.raises(SettingsError, match="evaluate is the environment that is learned in"):
        linear().learn(env, 640, evaluate=env)


@pytest.mark.parametrize("name", ["steps", "evaluate_every", "episodes", "checkpoint_every"])
def test_a_schedule_is_of_whole_numbers(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is 0"):
        Schedule(**{name: 0})
    with pytest.raises(SettingsError, match=f"{name} is 1.5"):
        Schedule(**{name: 1.5})


def test_an_observation_that_is_no_number_stops_the_run() -> None:
    class Broken(Walk):
        def step(self, actions: Any) -> Any:
            told = super().step(actions)
            if self.at.max() > 3:
                self.shown[1, 0] = float("nan")
            return told

    with pytest.raises(DataError, match="environment 1, after 16 steps of all 4: number 0 of the observation is nan"):
        linear().learn(Broken(), 640)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        linear().learn(Walk(), 640, folder=tmp_path / "file")


def test_lines_are_data() -> None:
    told = learned(linear(), evaluate=Walk())
    for line in told.history:
        assert Progress.from_values(json.loads(json.dumps(line.values()))) == line


def test_the_loop_asks_no_more_of_an_agent_than_its_eight_methods(tmp_path: Path) -> None:
    asked: set[str] = set()

    @final
    class Told(Linear):  # type: ignore[misc]
        def put_away(self) -> State:
            asked.add("put_away")
            return super().put_away()

        def take_back(self, state: State) -> None:
            asked.add("take_back")
            super().take_back(state)

        def build(self, spaces: Spaces) -> nn.ModuleDict:
            asked.add("build")
            return super().build(spaces)

        def convictions(self, observations: Tensor) -> Tensor:
            asked.add("convictions")
            return super().convictions(observations)

    for _ in range(2):
        learn(Told(LinearConfig()), Walk(), Schedule(640), folder=tmp_path)
    assert asked == {"put_away", "take_back", "build"}
    assert save_state(tmp_path / "again", load_state(tmp_path / "checkpoints" / "000000000640"))
