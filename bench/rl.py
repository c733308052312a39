"""Speed of agents: environment steps a second, and how fast PPO and the DQN family learn; one JSON line a measurement.

    python bench/rl.py [environment] [ppo] [dqn] [--environments 1024] [--steps 2000]

`environment`: all lanes act at random, the actions drawn beforehand, on 14 features and four account columns of a random walk; beside
gym-anytrading and gym-trading-env with the same 14 features, one environment each, as they come. Peers that are not installed
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
from tradewind.rl.device_env import DeviceBackend
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


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {"environment": environment}
"""What can be measured, by the name it is asked for on the command line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all of them")
    parser.add_argument("--environments", type=int, default=1_024)
    parser.add_argument("--steps", type=int, default=2_000, help="of every environment")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for part in asked.parts or PARTS:
        choose(part, PARTS, "part")(asked)


if __name__ == "__main__":
    main()
