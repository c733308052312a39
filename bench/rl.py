"""Speed of agents: environment steps a second, and how fast PPO and the DQN family learn; one JSON line a measurement.

    python bench/rl.py [environment] [ppo] [learning] [dqn] [--environments 1024] [--steps 2000] [--rounds 4] [--seeds 0,1,2]

`environment`: all lanes act at random, the actions drawn beforehand, on 14 features and four account columns of a random walk; beside
gym-anytrading and gym-trading-env with the same 14 features, one environment each, as they come. `ppo`: from environment to
updated nets of 256-256-128, 10 epochs over rollouts of 16,384, observations and rewards normalised, beside Stable-Baselines3's PPO under
the same settings, on our lanes and on single environments in its DummyVecEnv; all take turns. `learning`: what both earn in another
planted market (r2 .2) after equal steps, beside its oracle. Peers that are not installed
(`pip install 'tradewind[bench]'`) are left out and said to be. Speed counts seconds of the processor, the best of several rounds: on one
thread those are the seconds of an idle machine, whatever else is running; seconds of the clock stand beside them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.clock import MINUTE, SystemClock
from tradewind.core.market import Market
from tradewind.core.settings import choose
from tradewind.core.types import Array, Features
from tradewind.data.synthetic import planted
from tradewind.rl.device_env import DeviceBackend
from tradewind.rl.evaluation import evaluate
from tradewind.rl.lanes import Lanes
from tradewind.rl.ppo import PPO, PPOConfig
from tradewind.rl.registry import agent
from tradewind.rl.trading_env import TradingEnv
from tradewind.rl.trading_vector_env import TradingVectorEnv

CLOCK: Final = SystemClock()
FEATURES: Final = 14
WANTED: Final = {"environment": 10_000_000, "gpu": 2_500}
"""Steps a second: what the numba environment is to reach on one core, and what the GPU guide claims for all of PPO."""


def report(name: str, **figures: float | int | str | None) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def best(work: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Seconds of the processor of the fastest of several calls, the first not counted, and seconds of the clock of the fastest."""
    work()
    busy, passed = [], []
    for _ in range(rounds):
        start, began = CLOCK.monotonic(), time.process_time()
        work()
        busy.append(time.process_time() - began)
        passed.append(CLOCK.monotonic() - start)
    return min(busy), min(passed)


def speed(name: str, subject: str, steps: int, work: Callable[[], object], rounds: int = 5, **more: float | int | str) -> float:
    """Measure and report the steps a second of `work`, which takes `steps` of them. Returns the seconds of the processor of one call."""
    busy, passed = best(work, rounds)
    report(name, of=subject, steps=steps, steps_per_cpu_second=round(steps / busy), steps_per_second=round(steps / passed), **more)
    return busy


def walk_market(bars: int, symbols: int = 4, seed: int = 0) -> Market:
    """Random walks of .1 % a bar."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 1e-3, (bars, symbols)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    time_ = np.arange(bars) * MINUTE
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    names = tuple(f"WALK-{i + 1}" for i in range(symbols))
    return Market(names, "1m", time_, time_ + MINUTE, opened, high, low, close, np.ones_like(close))


def columns(market: Market, seed: int = 1) -> Features:
    """FEATURES columns of standard normal numbers: what they say is nothing to the speed."""
    values = np.random.default_rng(seed).standard_normal((*market.close.shape, FEATURES))
    names = tuple(f"column_{i}" for i in range(FEATURES))
    return Features(names, values, 0, market.open_time, market.known, market.symbols)


# -- environment --------------------------------------------------------------------------------------------------------
def environment(asked: argparse.Namespace) -> None:
    """Ours, compiled and in torch operations, and the peers, all in the same market; ours once more in one that no cache holds."""
    market = walk_market(20_000, 1)
    for actions in ("continuous", "discrete"):
        ours(market, "numba", actions, asked.environments, asked.steps)
    ours(market, "numba, tensors", "continuous", asked.environments, asked.steps)
    ours(market, "torch operations on the CPU", "continuous", asked.environments, asked.steps // 20)
    if torch.cuda.is_available():
        for lanes in (asked.environments, 64 * asked.environments):
            ours(market, "torch operations on the GPU", "continuous", lanes, asked.steps)
    else:
        report("environment", of="tradewind, torch operations on the GPU", left_out="no CUDA device here", wanted=WANTED["gpu"])
    peer("gym-anytrading", "gym_anytrading", any_trading, market)
    peer("gym-trading-env", "gym_trading_env", trading_env, market)
    ours(walk_market(100_000, 10), "numba", "continuous", asked.environments, asked.steps)


def ours(market: Market, how: str, actions: str, lanes: int, steps: int) -> None:
    """All environments step together; their observations are there after each step, as an agent would need them."""
    device = "cuda" if how.endswith("GPU") else None if how == "numba" else "cpu"
    env = TradingVectorEnv(market, lanes, features=columns(market), actions=actions, seed=1, device=device)
    if how.endswith("on the CPU"):
        env.backend = DeviceBackend(env.arena, lanes, torch.device("cpu"))
    drawn: list[Any] = [_drawn(actions, lanes, seed) for seed in range(16)]
    if device is not None:
        drawn = [torch.as_tensor(one, device=device) for one in drawn]
    env.reset(seed=1)

    def work() -> None:
        for t in range(steps):
            env.step(drawn[t % 16])
        if device == "cuda":
            torch.cuda.synchronize()

    told: dict[str, float | int | str] = {
        "actions": actions,
        "environments": lanes,
        "inputs": env.arena.width,
        "symbols": len(market.symbols),
        "bars": len(market),
    }
    wanted = WANTED["gpu" if device == "cuda" else "environment"]
    speed("environment", f"tradewind, {how}", steps * lanes, work, 5, **told, wanted=wanted)


def _drawn(actions: str, lanes: int, seed: int) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    if actions == "discrete":
        return random.integers(0, 3, lanes)
    return random.uniform(-1, 1, (lanes, 1)).astype(np.float32)


def peer(name: str, module: str, build: Callable[[Market, Mapping[str, Array]], Any], market: Market) -> None:
    """One of their environments, stepped from the beginning of the history to its end."""
    with warnings.catch_warnings():  # one of them turns every warning of the process into an error
        try:
            importlib.import_module(module)
        except ImportError as missing:
            report("environment", of=name, left_out=str(missing))
            return
        values = columns(market).values[:, 0]
        env = build(market, {f"feature_{i}": values[:, i] for i in range(FEATURES)})
        drawn = np.random.default_rng(1).integers(0, env.action_space.n, len(market)).tolist()
        taken = 0

        def work() -> None:
            nonlocal taken
            env.reset()
            taken = 0
            while True:
                _, _, over, cut, _ = env.step(drawn[taken])
                taken += 1
                if over or cut:
                    return

        work()
        speed("environment", name, taken, work, 3, actions="discrete")


def any_trading(market: Market, features: Mapping[str, Array]) -> Any:
    """gym-anytrading's StocksEnv with our columns as its signal, window 1."""
    import pandas
    from gym_anytrading.envs import StocksEnv

    signal = np.column_stack(list(features.values())).astype(np.float32)

    class WithColumns(StocksEnv):  # type: ignore[misc]
        def _process_data(self) -> tuple[NDArray[Any], NDArray[Any]]:  # its documented way of giving other features
            return self.df["Close"].to_numpy(np.float32), signal

    return WithColumns(pandas.DataFrame({"Close": market.close[:, 0]}), 1, (1, len(market)))


def trading_env(market: Market, features: Mapping[str, Array]) -> Any:
    """gym-trading-env's TradingEnv with our columns, short, flat and long, and a fee."""
    import pandas
    from gym_trading_env.environments import TradingEnv

    prices = {name: getattr(market, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    frame = pandas.DataFrame({**prices, **features}, index=pandas.to_datetime(market.open_time))
    return TradingEnv(frame, positions=[-1, 0, 1], trading_fees=0.001)


# -- ppo ----------------------------------------------------------------------------------------------------------------
ROLLOUT: Final = 16_384
EPOCHS: Final = 10
HIDDEN: Final = (256, 256, 128)
BASELINES: Final = "Stable-Baselines3"


def ppo(asked: argparse.Namespace) -> None:
    """Ours and theirs by turns, a rollout each; ratios are of the medians of seconds of the processor."""
    market = walk_market(20_000, 4)
    for lanes, batch in ((asked.environments, 4_096), (8, 4_096), (8, 64)):
        contenders = {
            "tradewind, bfloat16": _our_rollouts(_trader(market, lanes), batch, True),
            "tradewind, float32": _our_rollouts(_trader(market, lanes), batch, False),
        }
        try:
            contenders[BASELINES] = _their_rollouts(_as_theirs(_trader(market, lanes)), batch)
            if lanes == 8:
                contenders[f"{BASELINES}, DummyVecEnv"] = _their_rollouts(_one_by_one(market, lanes), batch)
        except ImportError as missing:
            report("ppo", of=BASELINES, left_out=str(missing))
        _by_turns(contenders, asked.rounds, environments=lanes, batch=batch, epochs=EPOCHS)


def _by_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, **told: int) -> None:
    """Whoever shares the machine slows all of them alike."""
    busy: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, work in contenders.items():
            began = time.process_time()
            work()
            if turn:  # the first compiles and allocates
                busy[name].append(time.process_time() - began)
    middle = {name: float(np.median(seconds)) for name, seconds in busy.items()}
    for name, seconds in busy.items():
        ratios = {f"times_{peer}": middle[peer] / middle[name] for peer in middle if peer.startswith(BASELINES)}
        speeds = {"steps_per_cpu_second": round(ROLLOUT / middle[name]), "fastest": round(ROLLOUT / min(seconds))}
        report("ppo", of=name, **told, rounds=rounds, **speeds, **ratios)


def _trader(market: Market, lanes: int) -> TradingVectorEnv:
    return TradingVectorEnv(market, lanes, features=columns(market))


def _ours(batch: int, half: bool) -> PPO:
    # Their learning rate does not fall by default.
    return PPO(PPOConfig(hidden=HIDDEN, rollout=ROLLOUT, batch=batch, epochs=EPOCHS, anneal=False, bfloat16=half, device="cpu"))


def _our_rollouts(env: TradingVectorEnv, batch: int, half: bool) -> Callable[[], object]:
    agent = _ours(batch, half)
    lanes = Lanes(env, agent.device, 0)
    agent.settle(lanes.spaces, 0)
    agent.begin(lanes, 1_000_000, 0)
    return lambda: agent.advance(lanes)


def _theirs(env: Any, batch: int, seed: int = 0) -> Any:
    from stable_baselines3 import PPO as THEIRS

    steps, widths = ROLLOUT // env.num_envs, {"net_arch": list(HIDDEN)}
    return THEIRS("MlpPolicy", env, n_steps=steps, batch_size=batch, n_epochs=EPOCHS, policy_kwargs=widths, seed=seed, device="cpu")


def _their_rollouts(env: Any, batch: int) -> Callable[[], object]:
    model = _theirs(env, batch)
    return lambda: model.learn(ROLLOUT, reset_num_timesteps=False)


def _one_by_one(market: Market, lanes: int) -> Any:
    """Single environments, one after the other, as people put them together."""
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    def maker(seed: int) -> Callable[[], TradingEnv]:
        return lambda: TradingEnv(market, features=columns(market), seed=seed)

    return VecNormalize(DummyVecEnv([maker(seed) for seed in range(lanes)]), gamma=0.99)


def _as_theirs(env: TradingVectorEnv) -> Any:
    """Our lanes as Stable-Baselines3 wants environments, with its normalisation."""
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize

    class Adapter(VecEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
            self.nothing: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]

        def reset(self) -> Any:
            return env.reset(seed=0)[0].copy()

        def step_async(self, actions: Any) -> None:
            self.actions = actions

        def step_wait(self) -> Any:
            seen, rewards, terminated, truncated, infos = env.step(self.actions)
            over, told = terminated | truncated, self.nothing
            if over.any():
                told = [{} for _ in range(env.num_envs)]
                for lane in np.flatnonzero(over):
                    told[lane] = {"terminal_observation": infos["final_obs"][lane].copy(), "TimeLimit.truncated": bool(truncated[lane])}
            return seen.copy(), rewards.copy(), over.copy(), told

        def close(self) -> None:
            env.close()

        def get_attr(self, name: str, indices: Any = None) -> list[Any]:
            return [None] * env.num_envs

        def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError(name)

        def env_method(self, name: str, *rest: Any, indices: Any = None, **more: Any) -> list[Any]:
            raise NotImplementedError(name)

        def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:
            return [False] * env.num_envs

    return VecNormalize(Adapter(), gamma=0.99)


# -- learning ------------------------------------------------------------------------------------------------------------
LOOKS: Final = 6
"""Rollouts to learn from, with a look at the other market after each."""


def learning(asked: argparse.Namespace) -> None:
    """What the policies earn in a market of another seed, net of costs, as a share of the oracle's Sharpe ratio, by rollouts learned."""
    shares: dict[str, list[list[float]]] = {}
    for seed in asked.seeds:
        learned, other = (planted(r2=0.2, bars=bars, symbols=4, slippage_bps=0, seed=2 * seed + k) for k, bars in ((1, 20_000), (2, 5_000)))
        judge, best_possible = TradingVectorEnv(other.market, 4, length=None), other.oracle.realised
        courses = {
            "tradewind, bfloat16": _our_course(_ours(4_096, True)),
            "tradewind, float32": _our_course(_ours(4_096, False)),
            BASELINES: _their_course,
        }
        for name, course in courses.items():
            began = time.process_time()
            try:
                sharpes = course(TradingVectorEnv(learned.market, asked.environments, seed=seed), judge, seed)
            except ImportError as missing:
                report("learning", of=name, left_out=str(missing))
                continue
            told = [round(sharpe / best_possible, 3) for sharpe in sharpes]
            shares.setdefault(name, []).append(told)
            report("learning", of=name, seed=seed, oracle=best_possible, shares=str(told), cpu_seconds=time.process_time() - began)
    for name, of_seeds in shares.items():
        for look in range(LOOKS):
            told = [row[look] for row in of_seeds]
            # Student's t of 97.5 % with one degree of freedom less than seeds.
            reach = float(np.std(told, ddof=1)) / len(told) ** 0.5 * STUDENT[len(told) - 1] if len(told) > 1 else None
            report("learning", of=name, steps=(look + 1) * ROLLOUT, seeds=len(told), share=float(np.mean(told)), interval_half=reach)


STUDENT: Final = (0.0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
Course = Callable[[TradingVectorEnv, TradingVectorEnv, int], list[float]]


def _our_course(agent: PPO) -> Course:
    def course(env: TradingVectorEnv, judge: TradingVectorEnv, seed: int) -> list[float]:
        told = agent.learn(env, LOOKS * ROLLOUT, seed=seed, evaluate=judge, evaluate_every=ROLLOUT, episodes=4)
        return [line.evaluation.metrics["sharpe"] for line in told.history if line.evaluation is not None]

    return course


def _their_course(env: TradingVectorEnv, judge: TradingVectorEnv, seed: int) -> list[float]:
    theirs = _as_theirs(env)
    model = _theirs(theirs, 4_096, seed)

    class Actor:
        def act(self, observations: Any, deterministic: bool = True) -> Any:
            return model.predict(theirs.normalize_obs(np.asarray(observations)), deterministic=deterministic)[0]

    sharpes = []
    for _ in range(LOOKS):
        model.learn(ROLLOUT, reset_num_timesteps=False)
        sharpes.append(evaluate(Actor(), judge, 4).metrics["sharpe"])
    return sharpes


# -- dqn ----------------------------------------------------------------------------------------------------------------
UPDATES: Final = 256
STEPS: Final = 4_096
FAMILY: Final = ("double-dqn", "d3qn", "twin-d3qn", "rainbow")


def dqn(asked: argparse.Namespace) -> None:
    """Updates alone at several widths, then steps from environment to updated nets; ratios are of the medians of processor seconds.

    Batches of 128, observations of 18 numbers, 3 actions. Stable-Baselines3's DQN has neither of double, dueling, priorities, n steps and
    distributions; double alone is a forward pass more than it makes.
    """
    market = walk_market(20_000, 4)
    for width in (64, 128, 256):
        contenders = {name: _our_updates(name, market, width) for name in FAMILY}
        contenders |= {f"{name}, bfloat16": _our_updates(name, market, width, True) for name in ("double-dqn", "d3qn")}
        _beside_theirs(contenders, lambda width=width: _their_updates(market, width))
        _take_turns(contenders, asked.rounds, UPDATES, what="updates", hidden=f"{width}-{width}", batch=128)
    contenders = {name: _our_steps(name, market) for name in FAMILY}
    _beside_theirs(contenders, lambda: _their_steps(market))
    _take_turns(contenders, asked.rounds, STEPS, what="steps", hidden="128-128", batch=128, environments=16, steps_an_update=4)


def _beside_theirs(contenders: dict[str, Callable[[], object]], build: Callable[[], Callable[[], object]]) -> None:
    try:
        contenders[BASELINES] = build()
    except ImportError as missing:
        report("dqn", of=BASELINES, left_out=str(missing))


def _take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, count: int, what: str, **told: int | str) -> None:
    busy: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, work in contenders.items():
            began = time.process_time()
            work()
            if turn:
                busy[name].append(time.process_time() - began)
    middle = {name: float(np.median(seconds)) for name, seconds in busy.items()}
    for name, seconds in busy.items():
        ratio = {"times_theirs": middle[BASELINES] / middle[name]} if BASELINES in middle else {}
        speeds = {f"{what}_per_cpu_second": round(count / middle[name]), "fastest": round(count / min(seconds))}
        report("dqn", of=name, what=what, **told, rounds=rounds, **speeds, **ratio)


def _chooser(market: Market, lanes: int) -> TradingVectorEnv:
    return TradingVectorEnv(market, lanes, features=columns(market), actions="discrete")


def _begun(name: str, market: Market, **settings: Any) -> tuple[Any, Lanes]:
    ours = agent(name, **{"batch": 128, "train_every": 4, "learning_starts": 1_000, "device": "cpu", **settings})
    lanes = Lanes(_chooser(market, 16), ours.device, 0)
    ours.settle(lanes.spaces, 0)
    ours.begin(lanes, 1_000_000, 0)
    return ours, lanes


def _our_updates(name: str, market: Market, width: int, half: bool = False) -> Callable[[], object]:
    ours, lanes = _begun(name, market, hidden=(width, width), bfloat16=half)
    while lanes.steps < 2_000:
        ours.advance(lanes)
    return lambda: ours.improve(UPDATES)


def _our_steps(name: str, market: Market) -> Callable[[], object]:
    ours, lanes = _begun(name, market)

    def work() -> None:
        until = lanes.steps + STEPS
        while lanes.steps < until:
            ours.advance(lanes)

    return work


def _their_dqn(env: Any, width: int) -> Any:
    from stable_baselines3 import DQN

    settings = {"batch_size": 128, "learning_starts": 1_000, "buffer_size": 100_000, "train_freq": 1, "gradient_steps": 4}
    return DQN("MlpPolicy", env, policy_kwargs={"net_arch": [width, width]}, seed=0, device="cpu", **settings)


def _their_updates(market: Market, width: int) -> Callable[[], object]:
    model = _their_dqn(_as_theirs(_chooser(market, 16)), width)
    model.learn(2_000)
    return lambda: model.train(UPDATES, 128)


def _their_steps(market: Market) -> Callable[[], object]:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    def maker(seed: int) -> Callable[[], TradingEnv]:
        return lambda: TradingEnv(market, features=columns(market), actions="discrete", seed=seed)

    model = _their_dqn(VecNormalize(DummyVecEnv([maker(seed) for seed in range(16)]), gamma=0.99), 128)
    return lambda: model.learn(STEPS, reset_num_timesteps=False)


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {
    "environment": environment,
    "ppo": ppo,
    "learning": learning,
    "dqn": dqn,
}
"""What can be measured, by the name it is asked for on the command line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all of them")
    parser.add_argument("--environments", type=int, default=1_024)
    parser.add_argument("--steps", type=int, default=2_000, help="of every environment")
    parser.add_argument("--rounds", type=int, default=4, help="rollouts of every PPO, after a first one")
    parser.add_argument("--seeds", type=lambda told: [int(seed) for seed in told.split(",")], default=[0, 1, 2], help="of learning: 0,1,2")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for part in asked.parts or PARTS:
        choose(part, PARTS, "part")(asked)


if __name__ == "__main__":
    main()
