"""Regimes of several timeframes side by side, and how far the timeframes agree.

The bars of the market are also gathered into slower ones, a detector of its own filters each, and everything is joined on `known`: a slow
regime counts from the moment when its bar has closed, never from its open. Regimes over the seven are first read as the four (bull, bear,
sideways, high volatility), because a breakout of hours is part of a trend of days and no contradiction to it.

With weights over the timeframes that have a regime, scaled to sum to one, the consensus is the weighted mean of their probabilities, and
agreement is the weight of the largest group of timeframes that hold the same regime for the most probable: 1 where all do. Both are this
house's own definitions. Costs one filter a timeframe. Fails to be prompt: a slow regime is up to a slow bar old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np

from tradewind.core.clock import parse_duration
from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import number
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.data.resampling import Gathering, join_asof, resample
from tradewind.regimes.base import Regimes
from tradewind.regimes.mapping import FOUR, SEVEN, project
from tradewind.regimes.registry import detector as make

__all__ = ["CrossRegimes", "Timeframes", "TimeframesWatch"]

_KIND: Final = "tradewind.regimes.timeframes"


@final
@dataclass(frozen=True, eq=False)
class CrossRegimes:
    """The regimes of several timeframes at each bar of the fastest.

    `probabilities` (time, symbol, timeframe, regime) over `names`, as known at each bar's close; NaN where a timeframe has no regime yet
    and where the symbol has no bar. `consensus` over (time, symbol, regime): their weighted mean. `agreement` (time, symbol): the weight of
    the largest group of timeframes of one mind, above 0 and up to 1. Both are NaN where there is no regime at all.
    """

    timeframes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: Array
    consensus: Regimes
    agreement: Array


@final
class Timeframes:
    """One detector a timeframe: that of the market, and each of `timeframes`, slower ones, fastest first.

    `detector` is a name of `tradewind.regimes.detectors` or a place, `settings` are its settings, for every timeframe the same. `weights`:
    one for the market's own timeframe and one for each of `timeframes`; equal when left out. Raises SettingsError for timeframes that do
    not ascend, for weights that do not fit, and whatever the detector refuses.
    """

    def __init__(
        self,
        timeframes: Sequence[str] = ("4h", "1d"),
        detector: str = "rules",
        settings: Mapping[str, Any] | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        steps = [parse_duration(timeframe) for timeframe in timeframes]
        require(bool(steps) and steps == sorted(set(steps)), f"timeframes {list(timeframes)} have to ascend, at least one of them")
        self.timeframes, self.steps = tuple(timeframes), steps
        shares = [1.0] * (len(steps) + 1) if weights is None else list(weights)
        require(len(shares) == len(steps) + 1, f"{len(shares)} weights for {len(steps) + 1} timeframes, the market's own among them")
        for share in shares:
            number(weight=share)
        self.weights: Array = np.asarray(shares, dtype=np.float64) / sum(shares)
        self._asked = {"detector": detector, "settings": dict(settings or {})}
        self.filters = [make(detector, **(settings or {})) for _ in shares]

    @property
    def names(self) -> tuple[str, ...]:
        """The four, or the detector's own regimes where they are not the seven."""
        own = self.filters[0].names
        return FOUR if own == SEVEN else own

    def fit(self, market: Market) -> Self:
        """Fit each detector on the bars of its timeframe. Raises DataError where they are too few."""
        self.filters[0].fit(market)
        for step, timeframe in zip(self.filters[1:], self.timeframes, strict=True):
            step.fit(resample(market, timeframe))
        return self

    def read(self, market: Market) -> CrossRegimes:
        """The regimes at every bar of `market`, from bars up to it.

        Raises SettingsError for a timeframe that is no multiple of the market's, DataError for bars known a bar's length after their close.
        """
        self._require(market)
        layers = [self._named(self.filters[0].filter(market).probabilities)]
        absent = np.isnan(market.close)
        for rule, timeframe in zip(self.filters[1:], self.timeframes, strict=True):
            layer = np.full_like(layers[0], np.nan)
            slow = _completed(market, timeframe)
            if slow is not None:
                rows = join_asof(market, slow)
                known = _carried(self._named(rule.filter(slow).probabilities))
                layer[rows >= 0] = known[rows[rows >= 0]]
            layer[absent] = np.nan
            layers.append(layer)
        return self._joined(market, np.stack(layers, axis=2))

    def watch(self, symbols: tuple[str, ...]) -> TimeframesWatch:
        """The same bar by bar, to the bit."""
        return TimeframesWatch(self, tuple(symbols))

    def state(self) -> State:
        """The settings and what the detectors learned."""
        state = State({"kind": _KIND, **self._asked, "timeframes": list(self.timeframes), "weights": self.weights.tolist()})
        for i, rule in enumerate(self.filters):
            state = state.nest(f"filter{i}", rule.state())
        return state

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for a state of another kind."""
        if state.values.get("kind") != _KIND:
            raise StateError(f"the state is of kind {state.values.get('kind')!r}, not of {_KIND!r}")
        made = Timeframes(state.values["timeframes"], state.values["detector"], state.values["settings"])
        made.weights = np.asarray(state.values["weights"])
        for i, rule in enumerate(made.filters):
            rule.restore(state.child(f"filter{i}"))
        vars(self).update(vars(made))
        return self

    def _require(self, market: Market) -> None:
        for timeframe, step in zip(self.timeframes, self.steps, strict=True):
            fine = step % market.step == 0 and step > market.step
            require(fine, f"timeframe {timeframe!r} is no slower multiple of the market's {market.timeframe!r}")
        late = np.flatnonzero(market.known >= market.open_time + 2 * market.step)
        if len(late):
            raise DataError(
                f"bar {late[0]} is known a bar's length or more after its close; several timeframes cannot be joined by such bars"
            )

    def _named(self, probabilities: Array) -> Array:
        return project(probabilities, "four") if self.filters[0].names == SEVEN else probabilities

    def _joined(self, market: Market, layers: Array) -> CrossRegimes:
        """Consensus and agreement of `layers` (time, symbol, timeframe, regime)."""
        there = np.asarray(~np.isnan(layers).any(axis=3))
        weight, belief = np.where(there, self.weights, 0.0), np.where(there[..., None], layers, 0.0)
        chosen = belief.argmax(axis=3)[..., None] == np.arange(layers.shape[3])
        # Added up timeframe by timeframe, so that one bar and a thousand add up in the same order.
        total, consensus, votes = (np.zeros(shape) for shape in (weight.shape[:2], belief[:, :, 0].shape, belief[:, :, 0].shape))
        for i in range(layers.shape[2]):
            total += weight[:, :, i]
            consensus += weight[:, :, i, None] * belief[:, :, i]
            votes += weight[:, :, i, None] * chosen[:, :, i]
        total[total == 0.0] = np.nan
        joined = Regimes(self.names, consensus / total[..., None], market.open_time, market.known, market.symbols)
        return CrossRegimes((market.timeframe, *self.timeframes), self.names, layers, joined, votes.max(axis=2) / total)


@final
class TimeframesWatch:
    """`Timeframes` at work bar by bar; made by `Timeframes.watch`."""

    def __init__(self, plan: Timeframes, symbols: tuple[str, ...]) -> None:
        self._plan, self._symbols = plan, symbols
        self._watches = [rule.watch(symbols) for rule in plan.filters]
        self._gatherings = [Gathering(symbols, timeframe) for timeframe in plan.timeframes]
        self._last = np.full((len(plan.timeframes), len(symbols), len(plan.names)), np.nan)

    def update(self, market: Market) -> CrossRegimes:
        """The regimes after the one bar of `market`, which follows those seen before; arrays have one row. Raises as `Timeframes.read`."""
        self._plan._require(market)
        layers = [self._plan._named(self._watches[0].update(market))]
        absent = np.isnan(market.close[0])
        for i, gathering in enumerate(self._gatherings):
            for slow in gathering.update(market):
                row = self._plan._named(self._watches[i + 1].update(slow))
                self._last[i] = np.where(np.isnan(row), self._last[i], row)
            layers.append(np.where(absent[:, None], np.nan, self._last[i]))
        return self._plan._joined(market, np.stack(layers, axis=1)[None])

    def state(self) -> State:
        """What the bars so far have left."""
        state = State({"kind": _KIND, "symbols": list(self._symbols)}, {"last": self._last.copy()})
        for i, watch in enumerate(self._watches):
            state = state.nest(f"watch{i}", watch.state())
        for i, gathering in enumerate(self._gatherings):
            state = state.nest(f"gathering{i}", gathering.state())
        return state

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError for that of other symbols, timeframes or detectors."""
        last = state.arrays.get("last")
        if state.values.get("kind") != _KIND or state.values.get("symbols") != list(self._symbols):
            raise StateError(f"the state is no state of several timeframes of {', '.join(self._symbols)}")
        if last is None or last.shape != self._last.shape:
            raise StateError("the state is that of other timeframes or regimes; make a watch with the same settings")
        self._last = last.copy()
        for i, watch in enumerate(self._watches):
            watch.restore(state.child(f"watch{i}"))
        for i, gathering in enumerate(self._gatherings):
            gathering.restore(state.child(f"gathering{i}"))
        return self


def _completed(market: Market, timeframe: str) -> Market | None:
    """The slow bars that are complete, or None where none is yet."""
    try:
        return resample(market, timeframe)
    except DataError:
        return None


def _carried(probabilities: Array) -> Array:
    """Each symbol's last known row at or before every row: what is known of a symbol that had no slow bar now is its last regime."""
    there = np.asarray(~np.isnan(probabilities).any(axis=2))
    last = np.maximum.accumulate(np.where(there, np.arange(len(there))[:, None], -1), axis=0)
    carried = probabilities[np.maximum(last, 0), np.arange(probabilities.shape[1])]
    return np.where((last >= 0)[:, :, None], carried, np.nan)
