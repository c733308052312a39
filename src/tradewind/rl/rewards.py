"""Rewards of the trading environment: log return, differential Sharpe ratio, and log return less a price for drawdown or inventory.

The differential Sharpe ratio is Moody and Saffell 2001, https://doi.org/10.1109/72.935097: what one more return does to an exponentially
weighted Sharpe ratio. The running inventory penalty is that of Cartea, Jaimungal, Penalva 2015, "Algorithmic and High-Frequency Trading",
chapter 6. None costs anything that shows beside a step; a function of one's own some 10 microseconds of it. They fail where an agent learns
what is paid instead of what is meant: the differential Sharpe ratio pays for small steady gains with a rare large loss until that loss
comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

import numpy as np

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.limits import fraction, number
from tradewind.core.settings import choose, suggest
from tradewind.core.types import Array

__all__ = ["RUIN", "Lived", "Reward", "RewardFunction", "reward_of", "told_rewards"]

A = TypeVar("A")

RUIN: Final = 1e-3
"""The ratio of equities that a bar counts as at least, so that the log return of a ruin is a number: -6.9."""

_RATE, _PENALTY = "rate", "penalty"
_KNOWN: Final[dict[str, dict[str, float]]] = {
    "log-return": {},
    "differential-sharpe": {_RATE: 0.01},
    "drawdown": {_PENALTY: 1.0},
    "inventory": {_PENALTY: 1e-4},
}


@final
@dataclass(frozen=True)
class Lived(Generic[A]):
    """What one bar did to every account: arrays (lane,), or tensors where the environment lives on a GPU. Not to be written to.

    `equity_before` and `equity` at the two closes, in account currency; `position_before` and `position` at them, as fractions of equity;
    `traded`: notional of the fill between them over the equity before it; `market_return`: simple return from close to close;
    `drawdown`: how far equity stands under its highest of the episode, as a fraction.
    """

    equity_before: A
    equity: A
    position_before: A
    position: A
    traded: A
    market_return: A
    drawdown: A


RewardFunction: TypeAlias = Callable[[Lived[Any]], Any]


@final
@dataclass(frozen=True, init=False)
class Reward:
    """What an agent is paid for a bar that it lived through.

    `log-return`: log of equity over the equity before it, net of all costs; a bar never counts as less than a loss of 99.9 %.
    `differential-sharpe`: what the bar's return does to the Sharpe ratio that forgets by `rate` (default .01) a bar, per unit of `rate`.
    It starts from a mean of 0 and the symbol's mean square return of one bar.
    `drawdown`: log return less `penalty` (default 1) times what the drawdown grew by.
    `inventory`: log return less `penalty` (default 1e-4) times the square of the position at the close.
    Raises SettingsError for an unknown name or setting.
    """

    name: str
    settings: dict[str, float] = field(hash=False)

    def __init__(self, name: str = "log-return", **settings: float) -> None:
        takes = choose(name, _KNOWN, "reward")
        for key in settings:
            if key not in takes:
                raise SettingsError(f"unknown setting {key!r} for the reward {name!r}{suggest(key, takes)}")
        chosen = {**takes, **settings}
        if _RATE in chosen:
            fraction(rate=chosen[_RATE])
        if _PENALTY in chosen:
            number(positive=False, penalty=chosen[_PENALTY])
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "settings", chosen)

    @property
    def kind(self) -> int:
        """Its number, for kernels."""
        return list(_KNOWN).index(self.name)

    @property
    def setting(self) -> float:
        """Its one setting, 0 where it has none."""
        return next(iter(self.settings.values()), 0.0)


def reward_of(wanted: str | Reward | RewardFunction) -> Reward | RewardFunction:
    """The reward called so, or the one given. Raises SettingsError for anything else."""
    if isinstance(wanted, str):
        return Reward(wanted)
    if isinstance(wanted, Reward) or callable(wanted):
        return wanted
    raise SettingsError(f"reward is {wanted!r}; give one of {', '.join(_KNOWN)}, a Reward, or a function of one Lived")


def told_rewards(answer: Any, lanes: int, name: str, locate: Callable[[int], tuple[str, int]]) -> Array:
    """(lane,) what a user's reward function called `name` answered. Raises DataError, naming the first lane at fault, for nonsense."""
    try:
        rewards = np.asarray(answer)
    except (TypeError, ValueError) as error:
        raise DataError(f"reward function {name}: its answer is no array: {error}; return one number for each environment") from None
    if rewards.shape != (lanes,) or rewards.dtype.kind not in "iuf":
        found = f"{rewards.dtype} {rewards.shape}" if rewards.dtype.kind != "O" else type(answer).__name__
        raise DataError(f"reward function {name} returned {found}; return one number for each environment: an array of shape ({lanes},)")
    fine = np.isfinite(rewards)
    if not fine.all():
        lane = int(np.argmin(fine))
        symbol, bar = locate(lane)
        raise DataError(f"reward function {name} returned {rewards[lane]} for environment {lane} ({symbol}, bar {bar}); rewards are finite")
    return rewards.astype(np.float64)
