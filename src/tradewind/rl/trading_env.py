"""`TradingEnv`: one account in one market, as a Gymnasium Env; a lane of `TradingVectorEnv` by itself."""

from __future__ import annotations

from typing import Any, final

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.errors import SettingsError
from tradewind.core.market import Market
from tradewind.core.types import Features, State, Targets
from tradewind.features import Standardiser
from tradewind.features.catalog import Wanted
from tradewind.rl.arena import ACCOUNT
from tradewind.rl.rewards import Reward, RewardFunction
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

__all__ = ["TradingEnv"]


@final
class TradingEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """One account that trades one symbol of `market` an episode; all settings and errors are those of `TradingVectorEnv`.

    The infos of a step are numbers: `equity`, `position`, `net_return` and `hold_return`; those of a reset say `symbol` and `start`.
    """

    def __init__(
        self,
        market: Market,
        *,
        features: Wanted | Features = "price-action",
        window: int = 1,
        actions: str | int = "continuous",
        positions: tuple[float, float] = (-1.0, 1.0),
        account: tuple[str, ...] = tuple(ACCOUNT),
        reward: str | Reward | RewardFunction = "log-return",
        costs: Costs | None = None,
        length: int | None = 256,
        regimes: ArrayLike | None = None,
        capital: float = 10_000.0,
        scale: int | Standardiser | None = None,
        seed: int = 0,
    ) -> None:
        self.lane = TradingVectorEnv(
            market, 1, features=features, window=window, actions=actions, positions=positions, account=account, reward=reward, costs=costs,
            length=length, regimes=regimes, capital=capital, scale=scale, seed=seed,
        )  # fmt: skip
        self.observation_space = self.lane.single_observation_space
        self.action_space = self.lane.single_action_space
        self.market, self.costs, self.capital = market, self.lane.costs, self.lane.capital
        self.observation_names, self.periods_per_year = self.lane.observation_names, self.lane.periods_per_year
        self._ended = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; the same `seed` gives the same episodes from here on. `options`: `start`, a bar, and `symbol`."""
        super().reset(seed=seed)
        if self._ended and seed is None and not options:
            # The lane has begun its next episode by itself; another one would pass over it.
            seen = self.lane.observe()
        else:
            seen, _ = self.lane.reset(seed=seed, options=options)
        self._ended = False
        symbol, start, _ = self.locate()
        return seen[0], {"symbol": symbol, "start": start}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Live one bar. Raises DataError for an action out of range, SettingsError when the episode has ended and nobody called reset."""
        if self._ended:
            raise SettingsError("the episode has ended; call reset() to begin the next one")
        seen, rewards, terminated, truncated, infos = self.lane.step(np.asarray(action)[None])
        self._ended = bool(terminated[0] or truncated[0])
        seen = infos["final_obs"] if self._ended else seen
        told = {name: float(infos[name][0]) for name in ("equity", "position", "net_return", "hold_return")}
        return seen[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), told

    def locate(self) -> tuple[str, int, str]:
        """The symbol, the bar lived through last and its opening time; after an episode's end those of the start of the next."""
        return self.lane.locate(0)

    def targets(self, symbol: str | int, start: int, actions: ArrayLike) -> Targets:
        """(time, symbol) the `actions` of an episode as targets for `tw.backtest`, see `TradingVectorEnv.targets`."""
        return self.lane.targets(symbol, start, actions)

    def state(self) -> State:
        """Where the account stands, as data."""
        state = self.lane.state()
        return State({**state.values, "ended": self._ended}, state.arrays)

    def restore(self, state: State) -> None:
        """Stand where `state` stood. Raises StateError when it is of another market."""
        self.lane.restore(state)
        self._ended = bool(state.values.get("ended", False))
