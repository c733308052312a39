"""`Arena`: all that never changes in a trading environment, laid out for the kernels: bars, scaled features, episodes, costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError
from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.settings import choose, require
from tradewind.core.types import Array, Features
from tradewind.features import RollingStandardiser, Standardiser, compute
from tradewind.features.catalog import Wanted
from tradewind.rl import kernels
from tradewind.rl.actions import Actions
from tradewind.rl.episodes import END, Episodes
from tradewind.rl.rewards import Reward, RewardFunction, reward_of
from tradewind.simulate.account import panels
from tradewind.simulate.costs import Costs
from tradewind.simulate.kernels import BAR_CLOSE, BAR_FUNDING, BAR_MARK, BAR_OPEN, BAR_SLIP

__all__ = ["ACCOUNT", "COSTS", "LINE", "Arena", "bars_of", "prepare"]

ACCOUNT: Final = {"position": kernels.POSITION, "cash": kernels.SHARE, "equity": kernels.WORTH, "held": kernels.CALM}
"""What an observation may say of the account, see `TradingVectorEnv`: the row of the accounts where it stands."""

LINE: Final = 8
"""Numbers of 8 bytes in a line of a processor's cache."""

COSTS: Final = Costs(fee_bps=10.0, slippage_bps=0.0, min_trade=0.01)
"""A fee of .1 %, and no trade of less than 1 % of equity."""


@final
@dataclass(frozen=True, eq=False)
class Arena:
    """What a trading environment is made of.

    `bars` (symbol, time, LINE) float64: open, close, mark, funding and slippage as `simulate.kernels.live_one_bar` reads them, and the
    simple return since the close before; `inputs` (symbol, time, feature) float32, scaled; `sees` (column,) the rows of the accounts of
    `rl.kernels` that an observation shows; `logs` log(1 + n) of every number of bars that a position may be held; `squares` (symbol,) mean
    square return of a bar.
    `observation_names` name the inputs of one lane in order.
    """

    market: Market
    costs: Costs
    capital: float
    actions: Actions
    reward: Reward | RewardFunction
    episodes: Episodes
    window: int
    observation_names: tuple[str, ...]
    bars: Array
    inputs: NDArray[np.float32]
    sees: NDArray[np.int64]
    logs: Array
    squares: Array
    rates: Array

    @property
    def width(self) -> int:
        """How many numbers one lane observes."""
        return len(self.observation_names)


def prepare(
    market: Market,
    features: Wanted | Features,
    window: int,
    actions: str | int,
    positions: tuple[float, float],
    account: tuple[str, ...],
    reward: str | Reward | RewardFunction,
    costs: Costs | None,
    length: int | None,
    regimes: ArrayLike | None,
    capital: float,
    scale: int | Standardiser | None,
) -> Arena:
    """The arena that the settings of `TradingVectorEnv` describe. Raises SettingsError and DataError as it does."""
    require(isinstance(market, Market), f"market is {type(market).__name__}; give a tradewind.Market, such as tradewind.data.read returns")
    require(costs is None or isinstance(costs, Costs), f"costs is {costs!r}; write tradewind.Costs(fee_bps=10)")
    whole(window=window, **({} if length is None else {"length": length}))
    number(capital=capital)
    for column in account:
        choose(column, ACCOUNT, "column of the account")
    charged = COSTS if costs is None else costs
    told = _scaled(_features(market, features), scale, market)
    inputs = np.ascontiguousarray(told.values.transpose(1, 0, 2), dtype=np.float32)
    usable = ~np.isnan(market.close) & np.isfinite(told.values).all(axis=2)
    episodes = Episodes.of(market, usable, window, length, regimes)
    longest = episodes.length or int((episodes.stretches[:, END] - episodes.stretches[:, 1]).max())
    rows = [name if lag == 0 else f"{name} {lag} before" for lag in range(window - 1, -1, -1) for name in told.names]
    return Arena(
        market=market,
        costs=charged,
        capital=float(capital),
        actions=Actions.of(actions, positions, charged.max_leverage),
        reward=reward_of(reward),
        episodes=episodes,
        window=window,
        observation_names=(*rows, *account),
        bars=bars_of(market, charged),
        inputs=inputs,
        sees=np.array([ACCOUNT[column] for column in account], np.int64),
        logs=np.log1p(np.arange(longest + 1.0)),
        squares=_squares(market),
        rates=charged.rates(),
    )


def _features(market: Market, wanted: Wanted | Features) -> Features:
    """Features of the market; given ones are looked at closely, since a number that is none would otherwise just shorten episodes."""
    told = wanted if isinstance(wanted, Features) else compute(market, wanted)
    if told.symbols != market.symbols or not np.array_equal(told.open_time, market.open_time):
        raise DataError(
            f"the features are of {len(told)} bars of {list(told.symbols)}, the market has {len(market)} of {list(market.symbols)}; "
            "compute them of this market"
        )
    wrong = np.isinf(told.values)
    if isinstance(wanted, Features):
        begun = np.maximum.accumulate(np.isfinite(told.values), axis=0)
        wrong |= np.isnan(told.values) & begun & ~np.isnan(market.close)[:, :, None]
    if wrong.any():
        t, s, f = (int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"feature {told.names[f]} of {told.symbols[s]} is {told.values[t, s, f]} at bar {t} ({format_time(told.open_time[t])}); "
            "features are finite after their warm-up wherever there is a bar: mend or leave out the feature"
        )
    return told


def _scaled(told: Features, scale: int | Standardiser | None, market: Market) -> Features:
    if scale is not None and not isinstance(scale, Standardiser):
        whole(least=2, scale=scale)
        told = RollingStandardiser(int(scale)).transform(told)
    elif isinstance(scale, Standardiser):
        told = scale.transform(told)
    empty = ~np.isfinite(told.values).any(axis=(0, 1))
    if empty.any():
        name = told.names[int(np.argmax(empty))]
        raise DataError(
            f"feature {name} has no value at any of the {len(market)} bars; the features warm up for {told.warmup} bars: "
            "give more bars, or leave out what the market lacks, such as volume"
        )
    return told


def bars_of(market: Market, costs: Costs) -> Array:
    """(symbol, time, LINE), with neutral numbers where a market has no marks, funding or slippage of its own."""
    rates = costs.rates()
    opens, closes, funding, marks, slips = panels(market, rates, np.zeros((3, len(market.symbols))))
    # A bar fills one line of the processor's cache, so that a step waits for one line a lane.
    size = len(market.symbols) * len(market) * LINE
    block = np.zeros(size + LINE)
    first = -block.ctypes.data % (8 * LINE) // 8
    bars = block[first : first + size].reshape(len(market.symbols), len(market), LINE)
    bars[:, :, BAR_OPEN], bars[:, :, BAR_CLOSE] = opens.T, closes.T
    marked = np.where(np.isnan(marks), closes, marks) if len(marks) else closes
    bars[:, 1:, BAR_MARK] = np.nan_to_num(marked[:-1], nan=0.0).T
    bars[:, 1:, kernels.CHANGE] = (closes[1:] / closes[:-1] - 1.0).T
    bars[:, :, BAR_FUNDING] = np.nan_to_num(funding, nan=0.0).T if len(funding) else 0.0
    bars[:, :, BAR_SLIP] = slips.T if len(slips) else costs.slippage_bps * 1e-4
    return bars


def _squares(market: Market) -> Array:
    """(symbol,) mean square of the simple returns between neighbouring bars; 0 where there are none."""
    change: Any = market.close[1:] / market.close[:-1] - 1.0
    count = np.maximum(np.isfinite(change).sum(axis=0), 1)
    return np.asarray(np.nansum(change * change, axis=0) / count)
