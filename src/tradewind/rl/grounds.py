"""`Grounds`: the environments over the parts of one market, in order of time: one to practise on, others to be judged on.

What is learned from a part, the scaler included, is learned from that part alone; features of later parts are warm, since they are computed
over the whole history that was known by then. Source: the honest split of every learner here, see docs/architecture.md. Costs the features
of the market once. Fails, with the environment's error, where a part has no unbroken stretch of bars to trade in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tradewind.core.errors import DataError
from tradewind.core.limits import whole
from tradewind.core.market import FIELDS, Market
from tradewind.features import Standardiser, compute
from tradewind.features.catalog import resolve
from tradewind.rl.evaluation import Actor
from tradewind.rl.trader import ACCOUNT, Sight, Trader
from tradewind.simulate.costs import Costs

if TYPE_CHECKING:
    from tradewind.rl.trading_vector_env import TradingVectorEnv

__all__ = ["COSTS", "Course", "Grounds"]

COSTS: Final = Costs(fee_bps=10.0, slippage_bps=2.0, min_trade=0.01)
MOST: Final = 256
"""Lanes of an environment to be judged on; with more stretches than this a lane plays several."""


@final
@dataclass(frozen=True)
class Course:
    """How trading is practised: for which `reward` (see `tradewind.rl.Reward`), at which `costs`, in `lanes` environments side by side, in
    episodes of `length` bars, or shorter ones in a market so full of holes that half of its bars lie in shorter stretches.
    """

    reward: Any = "log-return"
    costs: Costs = field(default_factory=lambda: COSTS)
    lanes: int = 64
    length: int = 64

    def __post_init__(self) -> None:
        whole(lanes=self.lanes, length=self.length)


@final
class Grounds:
    """The parts of `market` up to bar `taught`, which is learned from, and after it, as `sight` shows them.

    `scaler` knows the first part alone. Raises DataError where the market has no volume and a feature is made of it.
    """

    def __init__(self, market: Market, sight: Sight, course: Course, taught: int) -> None:
        _require_volume(market, sight)
        self.sight, self.course, self.taught = sight, course, taught
        X = compute(market, sight.features)
        self.scaler = Standardiser().fit(X[:taught])
        told = self.scaler.transform(X)
        self._there = np.asarray(np.isfinite(told.values).all(axis=2))
        # A bar that lacks a feature, such as a ratio of no volume, is no bar to practise on.
        self.X = replace(told, values=np.where(self._there[:, :, None], told.values, np.nan))
        bars: dict[str, Any] = {name: np.where(self._there, getattr(market, name), np.nan) for name in FIELDS}
        self.market = replace(market, **bars)

    def practice(self, seed: int) -> TradingVectorEnv:
        """Many short episodes from random starts in the part that is learned from."""
        longest = self._typical_stretch(slice(0, self.taught))
        return self._environment(slice(0, self.taught), self.course.lanes, min(self.course.length, longest), seed)

    def contest(self, start: int, stop: int) -> tuple[TradingVectorEnv, int]:
        """Every unbroken stretch of the bars from `start` to `stop`, once each, and how many there are."""
        count = len(self._stretches(slice(start, stop)))
        if count == 0:
            raise DataError(f"the bars from {start} to {stop} have no two in a row with all features; give more bars")
        # The rows before the part are seen in its first window, and not traded.
        rows = slice(max(0, start - self.sight.window + 1), stop)
        return self._environment(rows, min(count, MOST), None, 0), count

    def trader(self, agent: Actor) -> Trader:
        """`agent`, once it has practised here, with the eyes that it practised with."""
        return Trader(agent, self.sight, self.scaler, (self.market.timeframe, self.market.calendar))

    def steps(self, start: int, stop: int) -> int:
        """How many steps can be taken between two bars, over all symbols."""
        return int(self._stretches(slice(start, stop)).sum())

    def _environment(self, rows: slice, lanes: int, length: int | None, seed: int) -> TradingVectorEnv:
        from tradewind.rl.trading_vector_env import TradingVectorEnv

        sight, course = self.sight, self.course
        return TradingVectorEnv(
            self.market[rows], lanes, features=self.X[rows], window=sight.window, actions=sight.actions, positions=sight.positions,
            account=ACCOUNT, reward=course.reward, costs=course.costs, length=length, seed=seed,
        )  # fmt: skip

    def _stretches(self, rows: slice) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Steps of each unbroken stretch of bars with whole windows, of all symbols."""
        begin = max(0, rows.start - self.sight.window + 1)
        there = self._there[begin : rows.stop]
        if len(there) < self.sight.window:
            return np.empty(0, np.int64)
        shown = sliding_window_view(there, self.sight.window, axis=0).all(axis=2)
        edges = np.diff(np.pad(shown, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
        # A stretch of n bars has n - 1 steps: what is decided at its last close is filled outside.
        lengths = np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1] - 1
        return lengths[lengths > 0]

    def _typical_stretch(self, rows: slice) -> int:
        """The steps of the longest episodes that at least half of the bars have room for."""
        lengths = np.sort(self._stretches(rows))[::-1]
        return int(lengths[np.searchsorted(np.cumsum(lengths), 0.5 * lengths.sum())]) if len(lengths) else 1


def _require_volume(market: Market, sight: Sight) -> None:
    if np.isnan(market.volume).all():
        lacking = [feature.name for feature in resolve(sight.features) if "volume" in feature.inputs]
        if lacking:
            raise DataError(f"the market has no volume, which the features {lacking} are made of; choose others, such as 'relative-price'")
