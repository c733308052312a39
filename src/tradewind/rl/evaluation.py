"""What a policy earns when it only acts: whole episodes in an environment of its own, counted without favour to short ones.

Source: each lane plays a number of episodes that is fixed beforehand, as in Stable-Baselines3's `evaluate_policy`: whoever takes the first
n that end takes the short ones. Costs the steps of the longest lane. Fails to tell two policies apart with few episodes: look at the
deviation; and never ends in an environment whose episodes never do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, final

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from tradewind.core.errors import DataError
from tradewind.core.limits import whole
from tradewind.core.types import Array
from tradewind.nets.device import reproducible
from tradewind.rl.lanes import Lanes, Transition

__all__ = ["Actor", "Evaluation", "evaluate"]


class Actor(Protocol):
    """Anything that acts: an Agent, or a policy of another library behind a wrapper."""

    def act(self, observations: Any, deterministic: bool = True) -> Any:
        """Actions (lane, ...) in the environment's own terms, for observations (lane, ...) as it gave them."""
        ...


@final
@dataclass(frozen=True)
class Evaluation:
    """The undiscounted `returns` and `lengths` of whole episodes, their `mean` and `deviation` (n - 1; 0 of a single one).

    In an environment that trades, `metrics` has `sharpe` and `hold_sharpe`, a year, of what all lanes earned and would have earned by
    holding, together; both net of costs.
    """

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    mean: float
    deviation: float
    metrics: Mapping[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """As JSON-able data."""
        told = {"returns": list(self.returns), "lengths": list(self.lengths), "mean": self.mean, "deviation": self.deviation}
        return {**told, "metrics": dict(self.metrics)}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The Evaluation that `values` described."""
        returns, lengths = tuple(values["returns"]), tuple(values["lengths"])
        return cls(returns, lengths, values["mean"], values["deviation"], dict(values["metrics"]))


def evaluate(agent: Actor, env: VectorEnv[Any, Any, Any], episodes: int = 10, seed: int = 0) -> Evaluation:
    """Let `agent` act deterministically through `episodes` whole episodes of `env`, which is reset by `seed`.

    Lane i plays every episode whose number leaves the remainder i, so the same seed gives the same episodes to every agent. Random
    states of torch are as before. Raises DataError for observations, rewards or actions that are not finite.
    """
    whole(episodes=episodes)
    with reproducible(seed, torch.get_num_threads()):
        lanes = Lanes(env, torch.device("cpu"), seed)
        wanted = np.array([len(range(lane, episodes, lanes.size)) for lane in range(lanes.size)])
        played = _Played(lanes, wanted)
        while played.missing.any():
            played.note(lanes.perform(_asked(agent, lanes)))
    returns = tuple(earned for lane in played.returns for earned in lane)
    lengths = tuple(length for lane in played.lengths for length in lane)
    deviation = float(np.std(returns, ddof=1)) if episodes > 1 else 0.0
    return Evaluation(returns, lengths, float(np.mean(returns)), deviation, played.metrics())


def _asked(agent: Actor, lanes: Lanes) -> Tensor:
    shown = lanes.observations.reshape(lanes.size, *(lanes.env.single_observation_space.shape or ()))
    chosen = torch.as_tensor(np.asarray(agent.act(shown.numpy(), deterministic=True)))
    if len(chosen) != lanes.size:
        raise DataError(f"the agent answered {tuple(chosen.shape)} to {lanes.size} observations; it must answer each of them")
    if not bool(torch.isfinite(chosen.double()).all()):
        raise DataError(f"the agent answered an action that is not finite after {lanes.steps} steps of its evaluation")
    return chosen


@final
class _Played:
    """The books of an evaluation: what each lane has played of what is wanted of it (lane,)."""

    def __init__(self, lanes: Lanes, wanted: Array) -> None:
        self.lanes, self.missing = lanes, wanted.copy()
        self.returns: list[list[float]] = [[] for _ in wanted]
        self.lengths: list[list[int]] = [[] for _ in wanted]
        self._earned, self._length = np.zeros(len(wanted)), np.zeros(len(wanted), dtype=np.int64)
        self._together: list[tuple[float, float]] = []

    def note(self, step: Transition) -> None:
        playing = (self.missing > 0) & step.counted.numpy()
        self._earned[playing] += step.rewards.numpy()[playing]
        self._length[playing] += 1
        if "net_return" in self.lanes.infos and playing.any():
            net, hold = (torch.as_tensor(self.lanes.infos[name]).cpu().double().numpy() for name in ("net_return", "hold_return"))
            self._together.append((float(net[playing].mean()), float(hold[playing].mean())))
        for lane in np.flatnonzero(step.ended.numpy() & playing):
            self.returns[lane].append(float(self._earned[lane]))
            self.lengths[lane].append(int(self._length[lane]))
            self._earned[lane], self._length[lane] = 0.0, 0
            self.missing[lane] -= 1

    def metrics(self) -> dict[str, float]:
        periods = getattr(self.lanes.env.unwrapped, "periods_per_year", None)
        if periods is None or len(self._together) < 2:
            return {}
        net, hold = np.array(self._together).T
        return {"sharpe": _sharpe(net, float(periods)), "hold_sharpe": _sharpe(hold, float(periods))}


def _sharpe(returns: Array, periods_per_year: float) -> float:
    # As stats.metrics has it; that package needs scipy, which a machine that only trains may lack.
    spread = float(returns.std(ddof=1))
    return float(returns.mean()) / spread * math.sqrt(periods_per_year) if spread > 0.0 else 0.0
