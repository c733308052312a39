"""`KnownOptimum`: a trading problem so small that its best policy can be computed, which tells how good an agent is, and whether it cheats.

A signal x follows x' = p x + sqrt(1 - p^2) eps with standard normal eps, and a position a in [-1, 1] earns s a x - c |a - a before|: de
Lataillade, Deremble, Potters, Bouchaud 2012, "Optimal trading with linear costs", https://arxiv.org/abs/1203.5957. Since gain and cost are
linear, every position is a mixture of -1 and 1 that each turn at the same signal: the best policy holds what it has until x reaches `turn`
on the other side, and no number of levels between -1 and 1 earns more. `solve` finds it by relative value iteration (White 1963,
https://doi.org/10.1016/0022-247X(63)90017-9) on a grid of the signal.

An environment step costs 15 ns a lane, `solve` .1 s or less for p up to .95, more as p nears 1. Fails to tell anything of real
markets: here the signal is seen, stationary and true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import acos, ceil, pi, sqrt
from typing import Any, Final, Self, final

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.rl.evaluation import Actor

__all__ = ["Judgement", "KnownOptimum", "Optimum", "judge", "optimal_gain", "sign_gain", "solve"]

ACTIONS: Final = ("discrete", "continuous")
REACH: Final = 6.0
"""Signals beyond so many deviations do not matter: they come once in a billion steps."""
FINEST: Final = 0.015
"""Grid step of the signal: the error of the gain, a square of it, is then under 1e-6 at s = .1."""
SETTLED: Final = 100
"""Steps until the beginning is forgotten."""
CLOSE: Final = 1e-9
"""Value iteration ends when its bounds of the gain are so close, in units of s."""


@final
@dataclass(frozen=True)
class Optimum:
    """The best that can be had: `gain` per step, by turning long at signals of `turn` and more, short at -`turn` and less, else keeping.

    Where turning costs so much that no signal is worth it, `turn` is 6, the edge of the grid.
    """

    gain: float
    turn: float


@final
@dataclass(frozen=True)
class Judgement:
    """How close to the best a policy comes: its `gain` per step, as a `share` of the optimal one, and the standard `error` of the gain.

    A gain above the optimum by more than a few errors is no skill: somebody saw the future, or the environment pays what was not earned.
    """

    gain: float
    share: float
    error: float


@lru_cache(maxsize=64)
def solve(cost: float = 0.10, persistence: float = 0.9, strength: float = 0.1, levels: tuple[float, ...] = (-1.0, 0.0, 1.0)) -> Optimum:
    """The policy of the highest mean reward per step in the long run, and that mean: .06402 at the default settings, turning at .436.

    `levels`: the positions it may choose from. Raises SettingsError for settings that cannot be.
    """
    _check(cost, persistence, strength)
    signals, chances, _ = _grid(persistence)
    worth = np.zeros((len(signals), len(levels)))
    bounds = (-np.inf, np.inf)
    while not bounds[1] - bounds[0] <= CLOSE * strength:
        kept, best = _improve(worth, signals, chances, cost, strength, np.array(levels))
        change = best - worth
        bounds = (float(change.min()), float(change.max()))
        worth = best - best[len(signals) // 2, 0]
    # What turning from the lowest to the highest position gains grows with the signal; it pays from where it is the cost of turning.
    turn = np.interp(cost * (levels[-1] - levels[0]), kept[:, -1] - kept[:, 0], signals)
    return Optimum(sum(bounds) / 2, float(turn))


def optimal_gain(cost: float = 0.10, persistence: float = 0.9, strength: float = 0.1, length: int | None = None) -> float:
    """The highest expected reward per step: in the long run, or over an episode of `length` steps that begins without a position.

    No policy has more. The last steps need not think of the future, so the mean differs from the long run's by about 1/length.
    """
    if length is None:
        return solve(cost, persistence, strength).gain
    _check(cost, persistence, strength)
    whole(length=length)
    signals, chances, often = _grid(persistence)
    levels = np.array([-1.0, 0.0, 1.0])
    worth = np.zeros((len(signals), 3))
    for _ in range(length):
        _, worth = _improve(worth, signals, chances, cost, strength, levels)
    return float(often @ worth[:, 1]) / length


def sign_gain(cost: float = 0.10, persistence: float = 0.9, strength: float = 0.1) -> float:
    """What the sign of the signal earns per step, whatever turning costs: s sqrt(2 / pi) - 2 c arccos(p) / pi, .05108 by default."""
    _check(cost, persistence, strength)
    return strength * sqrt(2 / pi) - 2 * cost * acos(persistence) / pi


def _improve(worth: Array, signals: Array, chances: Array, cost: float, strength: float, levels: Array) -> tuple[Array, Array]:
    """One step of value iteration: what each level is worth once held, and what it is worth to come from each, both (signal, level)."""
    held = strength * signals[:, None] * levels + chances @ worth
    turning = cost * np.abs(levels[:, None] - levels)
    return held, (held[:, None, :] - turning).max(axis=2)


def _grid(persistence: float) -> tuple[Array, Array, Array]:
    """Signals, the chances (signal, next signal) of going from one to another, and how often each is met in the long run."""
    noise = sqrt(1 - persistence**2)
    half = ceil(REACH / min(FINEST, noise / 8))
    signals = np.linspace(-REACH, REACH, 2 * half + 1)
    chances = np.exp(-0.5 * ((signals - persistence * signals[:, None]) / noise) ** 2)
    often = np.exp(-0.5 * signals**2)
    return signals, chances / chances.sum(axis=1, keepdims=True), often / often.sum()


def _check(cost: float, persistence: float, strength: float) -> None:
    number(positive=False, cost=cost)
    number(strength=strength)
    fraction(zero=True, persistence=persistence)


@final
class KnownOptimum(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """The trading problem as a Gymnasium VectorEnv: observed are the signal and the position held, (lane, 2) float32.

    `actions`: "discrete", 0, 1 and 2 for the positions -1, 0 and 1, or "continuous", a position in [-1, 1]. An episode begins with a signal
    from its long-run distribution and no position, and is truncated after `length` steps (None: never); the next begins in the same step
    (SAME_STEP, the last observation in `infos["final_obs"]`). Rewards are float64. `state()` and `restore()` resume it exactly.
    """

    observation_names: Final = ("signal", "position")

    def __init__(
        self,
        num_envs: int = 16,
        cost: float = 0.10,
        persistence: float = 0.9,
        strength: float = 0.1,
        length: int | None = 256,
        actions: str = "discrete",
        seed: int = 0,
    ) -> None:
        _check(cost, persistence, strength)
        whole(num_envs=num_envs, length=1 if length is None else length)
        require(actions in ACTIONS, f"actions is {actions!r}; it is one of {', '.join(ACTIONS)}")
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs, self.length, self.discrete = int(num_envs), length, actions == "discrete"
        self.cost, self.persistence, self.strength = float(cost), float(persistence), float(strength)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.single_action_space = spaces.Discrete(3) if self.discrete else spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._random = np.random.default_rng(derive(seed, "known optimum"))
        self._age, self._signal, self._position = 0, np.zeros(self.num_envs), np.zeros(self.num_envs)
        self._begin()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """New episodes in all lanes; with a `seed` always the same ones."""
        super().reset(seed=seed)
        if seed is not None:
            self._random = np.random.default_rng(derive(seed, "known optimum"))
        self._begin()
        return self._observations(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take the positions that `actions` (lane,), or (lane, 1), ask for, and live one step. Raises DataError, naming the lane."""
        wanted = self._positions(actions)
        rewards = self.strength * wanted * self._signal - self.cost * np.abs(wanted - self._position)
        shocks = self._random.standard_normal(self.num_envs)
        self._signal = self.persistence * self._signal + sqrt(1 - self.persistence**2) * shocks
        self._position = wanted
        self._age += 1
        over = self._age == self.length
        infos: dict[str, Any] = {}
        if over:
            infos = {"final_obs": self._observations(), "_final_obs": np.ones(self.num_envs, dtype=bool)}
            self._begin()
        return self._observations(), rewards, np.zeros(self.num_envs, dtype=bool), np.full(self.num_envs, over), infos

    def endless(self, seed: int = 0) -> KnownOptimum:
        """Another environment of the same settings whose episodes never end."""
        kind = "discrete" if self.discrete else "continuous"
        return KnownOptimum(self.num_envs, self.cost, self.persistence, self.strength, None, kind, seed)

    def best(self, observations: ArrayLike) -> NDArray[Any]:
        """What the best policy of the long run does on `observations` (lane, 2), as actions of this environment."""
        turn = solve(self.cost, self.persistence, self.strength).turn
        signal, position = np.asarray(observations, dtype=np.float64).T
        held = np.where(signal >= turn, 1.0, np.where(signal <= -turn, -1.0, position))
        return held.astype(np.int64) + 1 if self.discrete else held[:, None].astype(np.float32)

    def state(self) -> State:
        """Everything that the next steps depend on, as data."""
        values: Mapping[str, Any] = {"environment": "known optimum", "age": self._age, "generator": self._random.bit_generator.state}
        return State(values, {"signal": self._signal.copy(), "position": self._position.copy()})

    def restore(self, state: State) -> Self:
        """Stand where `state` was taken. Raises StateError when it is of another environment or number of lanes."""
        found = np.shape(state.arrays.get("signal", ()))
        if state.values.get("environment") != "known optimum" or found != (self.num_envs,):
            raise StateError(f"this is no state of a KnownOptimum of {self.num_envs} environments: its signals have shape {found}")
        self._age, self._random.bit_generator.state = int(state.values["age"]), dict(state.values["generator"])
        self._signal, self._position = state.arrays["signal"].copy(), state.arrays["position"].copy()
        return self

    def _begin(self) -> None:
        self._age = 0
        self._signal, self._position = self._random.standard_normal(self.num_envs), np.zeros(self.num_envs)

    def _observations(self) -> NDArray[np.float32]:
        return np.stack([self._signal, self._position], axis=1).astype(np.float32)

    def _positions(self, actions: NDArray[Any]) -> Array:
        given = np.asarray(actions)
        expected = (self.num_envs, *(() if self.discrete else (1,)))
        if given.shape != expected:
            raise DataError(f"actions have shape {given.shape}, expected {expected}")
        asked = given.astype(np.float64).reshape(-1)
        low, high = (0.0, 2.0) if self.discrete else (-1.0, 1.0)
        fine = (asked >= low) & (asked <= high) & ((asked == np.rint(asked)) | (not self.discrete))
        if not fine.all():
            lane = int(np.argmin(fine))
            kind = "a whole number" if self.discrete else "a position"
            raise DataError(f"environment {lane}: the action is {asked[lane]:g}; it is {kind} from {low:g} to {high:g}")
        return asked - 1.0 if self.discrete else asked


def judge(actor: Actor, env: KnownOptimum, steps: int = 2_000, seed: int = 0) -> Judgement:
    """Let `actor` act without chance in an endless `env` of the same settings, beside the best policy on the very same signals.

    The gain is the optimal one, which is known exactly, plus the mean difference to the best policy: nearly all luck is common to both. The
    first hundred of `steps` are left out, since both begin without a position.
    """
    whole(least=SETTLED + 1, steps=steps)
    both = [env.endless(seed) for _ in range(2)]
    seen = [one.reset(seed=seed)[0] for one in both]
    ahead = np.zeros(env.num_envs)
    for step in range(steps):
        rewards = []
        for which, actions in enumerate((actor.act(seen[0], deterministic=True), both[1].best(seen[1]))):
            seen[which], earned, *_ = both[which].step(actions)
            rewards.append(earned)
        if step >= SETTLED:
            ahead += (rewards[0] - rewards[1]) / (steps - SETTLED)
    optimal = solve(env.cost, env.persistence, env.strength).gain
    gain = optimal + float(ahead.mean())
    return Judgement(gain, gain / optimal, float(ahead.std(ddof=1)) / sqrt(env.num_envs))
