"""What an agent must know of an environment: how many numbers it sees, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, final

import numpy as np
from gymnasium import spaces as gym
from torch import Tensor

from tradewind.core.errors import SettingsError
from tradewind.core.settings import build, require

__all__ = ["Spaces"]


@final
@dataclass(frozen=True)
class Spaces:
    """One environment's spaces, flat: `inputs` numbers are observed; `actions` is the number of choices, or of dimensions.

    Where actions are not `discrete` an agent answers in [-1, 1] per dimension, which `to_environment` maps to `low` and `high`.
    `start` is the smallest discrete action, 0 nearly everywhere.
    """

    inputs: int
    actions: int
    discrete: bool
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    start: int = 0

    @classmethod
    def of(cls, observation: gym.Space[Any], action: gym.Space[Any]) -> Self:
        """Those of a single environment. Raises SettingsError for spaces that no agent here can use, with the mend."""
        if not isinstance(observation, gym.Box):
            wrapper = "gymnasium.wrappers.FlattenObservation (gymnasium.wrappers.vector.FlattenObservation for several)"
            raise SettingsError(f"the observation space is {observation}; agents see a Box of numbers: wrap the environment in {wrapper}")
        inputs = int(np.prod(observation.shape, dtype=np.int64))
        require(inputs > 0, f"the observation space {observation} has no numbers in it")
        if isinstance(action, gym.Discrete):
            return cls(inputs, int(action.n), True, start=int(action.start))
        if not isinstance(action, gym.Box) or len(action.shape) > 1:
            raise SettingsError(f"the action space is {action}; agents act in a Discrete or a one-dimensional Box")
        low, high = np.atleast_1d(action.low).astype(float), np.atleast_1d(action.high).astype(float)
        bounded = bool(np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all())
        require(bounded, f"the action space {action} has no finite bounds; give the Box a finite low and high")
        return cls(inputs, len(low), False, tuple(low.tolist()), tuple(high.tolist()))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The Spaces that `values` described."""
        return build(cls, {**values, "low": tuple(values["low"]), "high": tuple(values["high"])}, "Spaces")

    def values(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {**asdict(self), "low": list(self.low), "high": list(self.high)}

    def to_environment(self, actions: Tensor) -> Tensor:
        """What the environment is given for an agent's `actions`: (lane,) int64, or (lane, dimension) from [-1, 1], clipped to it."""
        if self.discrete:
            return actions + self.start if self.start else actions
        if self.low == (-1.0,) * self.actions and self.high == (1.0,) * self.actions:
            return actions.clamp(-1.0, 1.0)
        low, high = actions.new_tensor(self.low), actions.new_tensor(self.high)
        # Rounding alone would leave the space in its last bit, and a strict environment would refuse the action.
        return (low + (actions.clamp(-1.0, 1.0) + 1.0) * 0.5 * (high - low)).clamp(low, high)
