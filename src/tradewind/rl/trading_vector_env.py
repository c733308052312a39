"""`TradingVectorEnv`: a market for a thousand agents at once, as a Gymnasium VectorEnv."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from gymnasium import spaces as gym
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require, suggest
from tradewind.core.types import Features, State, Targets
from tradewind.features import Standardiser
from tradewind.features.catalog import Wanted
from tradewind.nets.device import choose_device
from tradewind.rl.arena import ACCOUNT, prepare
from tradewind.rl.backend import Backend, CompiledBackend, Step
from tradewind.rl.rewards import Reward, RewardFunction
from tradewind.simulate.costs import Costs

__all__ = ["TradingVectorEnv"]

DEVICES: Final = (None, "cpu", "cuda")


@final
class TradingVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` accounts that each trade one symbol of `market` an episode.

    An action taken at the close of a bar is filled at the open `costs.latency` bars later by the accounting kernel of the backtest; the
    reward belongs to the bar lived through. What is observed: `window` rows of `features` (oldest first), then the columns of `account`:
    `position` (fraction of equity held, at the close), `cash` (over equity), `equity` (log of it over `capital`), `held` (log of 1 + the
    bars since the sign of the position changed).

    `features`: a set or names (`tradewind.features`), or Features of this market. `scale`: None leaves them raw, a whole number takes
    scores over so many bars of the past, a fitted Standardiser its scores; fit it on the training part, for all markets alike.
    `actions`: `continuous` (a position between `positions`; rounding beyond them by 1e-6 is cut), `discrete` (SELL, HOLD, BUY: the lowest
    position, keep, the highest) or a number of levels between them.
    `reward`: `log-return`, `differential-sharpe`, `drawdown`, `inventory`, a `Reward`, or a function of one `Lived` that returns (lane,).
    `costs`: default a fee of .1 % and no trade under 1 % of equity. `capital`: account currency.
    `length`: steps of an episode, from a random start (a symbol, then a regime where there are `regimes` (time, symbol), negative for none,
    then a bar); None: whole unbroken stretches, which the lanes take in turn. Episodes never cross a missing bar or feature.
    `device`: None gives numpy arrays, `cpu` torch tensors over the same memory, `cuda` tensors on the GPU, where everything then stays.

    An episode whose equity is not above zero terminates; its end truncates. A lane that ended begins its next episode in the same step
    (SAME_STEP): infos has what it saw last in `final_obs` (lane, input), at the lanes of `_final_obs`. Infos of every step are of the bar
    lived through, (lane,): `equity`, `position`, `net_return`, and `hold_return`, the symbol's own.

    Raises SettingsError for impossible settings, DataError for a market or features without room for an episode.
    """

    def __init__(
        self,
        market: Market,
        num_envs: int = 1024,
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
        device: str | None = None,
    ) -> None:
        whole(num_envs=num_envs)
        whole(least=0, seed=seed)
        arena = prepare(market, features, window, actions, positions, account, reward, costs, length, regimes, capital, scale)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = num_envs
        self.arena = arena
        self.market, self.costs, self.capital = market, arena.costs, arena.capital
        self.observation_names = arena.observation_names
        self.periods_per_year = market.periods_per_year
        self.single_observation_space = gym.Box(-np.inf, np.inf, (arena.width,), np.float32)
        self.single_action_space = arena.actions.space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.backend = _backend(arena, num_envs, device)
        self.backend.seed(seed)
        self.backend.begin()
        # The first reset finds these episodes begun; drawing others would pass over them.
        self._fresh = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every lane; the same `seed` gives the same episodes from here on, none goes on with the ones to come.

        `options`: `start`, a bar or one a lane, and `symbol`, a name or column or one a lane (the first by default), choose these episodes.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.backend.seed(seed)
        if seed is not None or options or not self._fresh:
            self.backend.begin(self._asked(options or {}))
        self._fresh = False
        return self.backend.observe(), {}

    def step(self, actions: Any) -> Step:
        """Live one bar in every lane; see the class for what comes back. Raises DataError, naming the lane, for an action out of range."""
        self._fresh = False
        return self.backend.step(actions)

    def observe(self) -> Any:
        """(lane, input) what every lane sees now."""
        return self.backend.observe()

    def locate(self, lane: int) -> tuple[str, int, str]:
        """The symbol of a lane, the bar that it has lived through last, as a row of the market, and that bar's opening time."""
        symbols, bars = self.backend.where()
        require(0 <= lane < self.num_envs, f"lane is {lane}; there are {self.num_envs}")
        bar = int(bars[lane])
        return self.market.symbols[symbols[lane]], bar, format_time(self.market.open_time[bar])

    def targets(self, symbol: str | int, start: int, actions: ArrayLike) -> Targets:
        """(time, symbol) the `actions` of an episode as targets: `tw.backtest(targets, env.market, env.costs, env.capital)` replays it.

        `symbol` and `start` are what `locate` said before the first action. Equity is then that of the infos, from bar `start` + 1 on.
        Raises DataError for actions that cannot be, or more of them than there are bars.
        """
        column, start, last = self.arena.episodes.place(self.market, symbol, start)
        taken = self.arena.actions.read(actions, len(np.asarray(actions)))
        if len(taken) > last - start:
            raise DataError(f"{len(taken)} actions are more than the {last - start} steps of the episode from bar {start}")
        targets = np.full(self.market.close.shape, np.nan)
        targets[start : start + len(taken), column] = self.arena.actions.positions(taken)
        return targets

    def state(self) -> State:
        """Where every lane stands, as data: from here on the same actions lead to the same bits."""
        return self.backend.state()

    def restore(self, state: State) -> None:
        """Stand where `state` stood. Raises StateError when it is of another market, or of another number of lanes."""
        self.backend.restore(state)
        self._fresh = False

    def _asked(self, options: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        for key in options:
            if key not in ("start", "symbol"):
                raise SettingsError(f"unknown option {key!r} for reset{suggest(key, ('start', 'symbol'))}")
        if not options:
            return None
        require("start" in options, "the option symbol alone chooses no episode; give start, the bar to start at, too")
        starts, symbols = (np.broadcast_to(np.asarray(options.get(key, 0)), (self.num_envs,)) for key in ("start", "symbol"))
        require(starts.dtype.kind in "iu", f"the option start is {options['start']!r}; it is a bar, or one for each environment")
        require(symbols.dtype.kind in "iuU", f"the option symbol is {options.get('symbol')!r}; it is a name, or one for each environment")
        place = self.arena.episodes.place
        return np.array([place(self.market, symbol, start) for symbol, start in zip(symbols.tolist(), starts.tolist(), strict=True)]).T


def _backend(arena: Any, lanes: int, device: str | None) -> Backend:
    require(device in DEVICES, f"device is {device!r}; it is None for numpy arrays, 'cpu' for tensors over them, or 'cuda'")
    if device != "cuda":
        return CompiledBackend(arena, lanes, tensors=device == "cpu")
    chosen, why = choose_device("cuda")
    require(chosen.type == "cuda", f"device is 'cuda', and {why}; leave it out, or take 'cpu'")
    from tradewind.rl.device_env import DeviceBackend

    return DeviceBackend(arena, lanes, chosen)
