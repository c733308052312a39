"""Deep momentum: a net reads what trend followers read and answers with the position itself, trained on the net Sharpe ratio.

Papers: Lim, Zohren, Roberts 2019, https://arxiv.org/abs/1904.04912; Wood, Giegerich, Roberts, Zohren 2021,
https://arxiv.org/abs/2112.08654. Costs, on one core and ten symbols: half a second of fitting on two years of daily bars with the LSTM and
three with the transformer, a decision one millisecond and four. Fails as any learner does when the training part is short, and in one more
way: its early stopping goes by the Sharpe ratio of a few months, which is mostly luck; several `members` are less of it.

What a decision earns: taken at the close of bar t it is filled at the open of t + 1 and may be changed at the open of t + 2. So the net
is trained on the return from open to open, and pays for the change of its scaled weight at the first of them, as the account does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import parse_duration
from tradewind.core.errors import DataError, NotFitted, StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.settings import build, require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.core.types import Array, Features, State, Target, Targets, View
from tradewind.features import Live, compute
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.nets.net_sharpe import NetSharpe, blocks
from tradewind.nets.position import PositionNet
from tradewind.nets.prediction import answer
from tradewind.nets.training import Examples, Training, TrainingSettings, train
from tradewind.nets.windows import Windows, windows
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.reason import Reason, share
from tradewind.strategies.trend_inputs import TrendInputs, TrendSettings

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["SPACES", "DeepMomentum"]

SPACES: Final[dict[str, Space]] = {
    "deep-momentum": {
        "net": Choice(("lstm", "transformer")),
        "window": Choice((32, 64, 128)),
        "width": Choice((8, 16, 32, 64)),
        "dropout": Real(0.0, 0.5),
        "training": {"learning_rate": Real(3e-4, 1e-2, log=True), "batch": Choice((4, 8, 16))},
    }
}
TRAINING: Final[Mapping[str, Any]] = {"epochs": 100, "patience": 20, "batch": 8, "learning_rate": 3e-3}
"""What `training` settings are where they are not given; the rest are those of TrainingSettings."""
REACH: Final = 2
"""With `gaps`, a window's bars lie within so many times its size."""
SLOTS: Final = 16
"""Sequences that a net is asked about at once: a bar of ten symbols is one batch."""
FARTHEST: Final = 10.0
"""Inputs beyond so many times their own size are cut: one wild bar would otherwise outweigh the rest of its sequence."""


@final
class DeepMomentum(Strategy):
    """Positions of a net, scaled to a volatility, as shares of equity / number of symbols.

    `net`: `lstm` or `transformer`, of `width` hidden units. It reads the last `window` bars of a symbol as columns of TrendSettings
    (`inputs`), alike for all symbols. Its position in (-1, 1), or (0, 1) with `long_only`, is times `volatility_target` (annual) over the
    symbol's volatility, which `max_weight` caps. `cost`: what trading one unit of weight costs as a fraction, inside the loss.
    `members`: nets from other random starts, whose mean position is taken. `validation`: the last part of the training bars, on whose net
    Sharpe ratio training stops, unless that is shorter than half a window. `gaps`: whether a sequence may cross bars that a symbol lacks
    or, in markets that never close, an outage; if not, what is held of a symbol is kept until `window` bars have followed one another.
    `band`: a position is changed only when the one wanted is at least this fraction of a full share away from the one held.
    `training`: settings of TrainingSettings, over TRAINING.
    `train_limit`: only the last so many bars of a training part are learned from. `refit_every`: folds of a walk-forward between two fits.

    A training part too short for one sequence teaches nothing: then every decision is NaN, which keeps what is held. `warmup` is known once
    `fit` has seen the timeframe. After `fit`, `reports` has the Training of each member. Raises SettingsError for settings that cannot be,
    NotFitted when it has to decide before `fit`, and DataError when it is asked about bars of another length than it was fitted on.
    """

    def __init__(
        self,
        net: str = "lstm",
        inputs: Mapping[str, Any] | None = None,
        window: int = 64,
        width: int = 16,
        heads: int = 4,
        dropout: float = 0.2,
        volatility_target: float = 0.4,
        max_weight: float = 1.0,
        long_only: bool = False,
        cost: float = 0.0012,
        band: float = 0.0,
        members: int = 1,
        validation: float = 0.2,
        gaps: bool = False,
        training: Mapping[str, Any] | None = None,
        train_limit: int | None = None,
        refit_every: int = 1,
        seed: int = 0,
    ) -> None:
        whole(2, window=window)
        whole(members=members, refit_every=refit_every, train_limit=1 if train_limit is None else train_limit)
        number(volatility_target=volatility_target, max_weight=max_weight)
        number(False, cost=cost, band=band)
        fraction(zero=True, validation=validation)
        for name, value in (("long_only", long_only), ("gaps", gaps)):
            require(isinstance(value, bool), f"{name} is {value!r}; it is true or false")
        self.inputs = build(TrendSettings, inputs or {}, "inputs of deep-momentum")
        self.training = build(TrainingSettings, {**TRAINING, **(training or {})}, "training of deep-momentum")
        self.net, self.window, self.width, self.heads, self.dropout = net, window, width, heads, dropout
        self.volatility_target, self.max_weight, self.long_only = float(volatility_target), float(max_weight), long_only
        self.cost, self.band, self.members, self.validation, self.gaps = float(cost), float(band), members, validation, gaps
        self.train_limit, self.refit_every, self.seed = train_limit, refit_every, seed
        self.reports: tuple[Training, ...] = ()
        self._nets: tuple[PositionNet, ...] = ()
        self._bars: tuple[str, str] | None = None
        # Built now only to hear at once about sizes that cannot be.
        self._build(1, 0)

    def reseed(self, seed: int) -> None:
        self.seed = seed

    def fit(self, market: Market) -> Self:
        if self.train_limit is not None:
            market = market[-self.train_limit :]
        self._settle((market.timeframe, market.calendar), TrendInputs.on(self.inputs, market))
        X = compute(market, self._columns.asked)
        values, volatility = self._columns.columns(X)
        usable = _finite(values)
        self._unit, self._nets, self.reports = _sizes(values[usable]), (), ()
        found = self._windows(values, usable, X)
        if len(found):
            learned, stopped = self._examples(found, usable, volatility, market)
            if learned is not None:
                taught = [self._teach(learned, stopped, member) for member in range(self.members)]
                self._nets, self.reports = tuple(net for net, _ in taught), tuple(report for _, report in taught)
        return self

    def decide(self, view: View) -> Target:
        self._check(view.market)
        if not self._nets:
            return Target(np.full(len(view.market.symbols), np.nan))
        desired = self._desired(self._live.rows(view.market, self._reach), view.market, last=True)[-1]
        near = np.abs(desired - view.portfolio.weights) < self.band / len(desired)
        return Target(np.where(near, np.nan, desired))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        self._check(market)
        first = max(start, self.warmup - 1)
        desired = np.full(market.close.shape, np.nan)
        if not self._nets or first >= len(market):
            return desired
        # A window reaches no farther back than `_reach` bars, so no earlier rows need to be looked at.
        begin = max(0, first + 1 - self._reach)
        desired[first:] = self._desired(compute(market, self._columns.asked)[begin:], market)[first - begin :]
        if self.band == 0.0:
            return desired
        from tradewind.simulate.account import Book, walk_band

        return walk_band(market, desired, self.band / len(market.symbols), Book(market.symbols) if book is None else book, start)

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: what the net read last, its position, the scale."""
        self._check(view.market)
        desired = float("nan")
        if self._nets:
            X = self._live.rows(view.market, self._reach)
            desired = float(self._desired(X, view.market, last=True)[-1, symbol])
        if np.isnan(desired):
            return Reason(("There is no net, or no whole sequence of bars up to this one: what is held is kept.",))
        values, volatility = self._columns.columns(X)
        scale = float(self._scale(volatility[-1, symbol], view.market))
        position, yearly = desired * len(view.market.symbols) / scale, float(volatility[-1, symbol] * np.sqrt(view.market.periods_per_year))
        read = dict(zip(self._columns.names, (float(value) for value in values[-1, symbol]), strict=True))
        target = float(self.decide(view).weights[symbol])
        words = [
            f"At the last of {self.window} bars it read {', '.join(f'{name} {value:+.2f}' for name, value in read.items())}.",
            f"The position of the net is {position:+.3f}; a volatility of {yearly:.1%} a year scales it by {scale:.3f}: {share(desired)}.",
        ]
        if np.isnan(target):
            words.append(f"It held {share(float(view.portfolio.weights[symbol]))}, which is inside the band, so it keeps that.")
        return Reason(tuple(words), {**read, "position": position, "scale": scale, "wanted": desired, "target": target})

    def state(self) -> State:
        """The fitted nets, the size of the inputs, the seed, and the settings, which the object that restores it must share."""
        bars = None if self._bars is None else {"names": self._bars, "columns": asdict(self._columns), "unit": self._unit}
        state = plain.to_state("DeepMomentum", {"seed": self.seed, "settings": self._settings(), "nets": len(self._nets), "bars": bars})
        for member, net in enumerate(self._nets):
            state = state.nest(f"net-{member}", net_state(net))
        return state

    def restore(self, state: State) -> Self:
        """Become the strategy that `state` describes. Raises StateError when it was saved under other settings."""
        saved = plain.from_state("DeepMomentum", state)
        other = [name for name, value in self._settings().items() if saved["settings"].get(name) != value]
        if other:
            raise StateError(f"this state was saved under other settings of {other}: {[saved['settings'].get(name) for name in other]}")
        self.seed, self._nets, self.reports, self._bars = int(saved["seed"]), (), (), None
        bars = saved["bars"]
        if bars is not None:
            self._settle(bars["names"], TrendInputs(**bars["columns"]))
            self._unit = bars["unit"]
            self._nets = tuple(self._build(len(self._unit), member) for member in range(int(saved["nets"])))
            for member, net in enumerate(self._nets):
                load_net(net, state.child(f"net-{member}"))
                net.eval()
        return self

    # -- learning ----------------------------------------------------------------------------------------------------
    def _settle(self, names: tuple[str, str], columns: TrendInputs) -> None:
        self._bars, self._columns = names, columns
        self._live = Live(columns.asked, keep=self._reach)
        self.warmup = self._live.warmup + self.window

    def _examples(
        self, found: Windows, usable: NDArray[np.bool_], volatility: Array, market: Market
    ) -> tuple[Examples | None, Examples | None]:
        """Blocks to learn from and blocks to stop on: the tail, which no answer of the earlier part reaches into."""
        scale, unit = self._scale(volatility, market), self._bar_target(market)
        earned = np.full(market.open.shape, np.nan)
        earned[:-2] = market.open[2:] / market.open[1:-1] - 1.0
        gain, cost = scale * earned / unit, self.cost * scale / unit
        asked = np.zeros(usable.shape, dtype=np.bool_)
        asked[found.time, found.symbol] = True
        counts = usable & np.isfinite(gain)
        times = np.flatnonzero((asked & counts).any(axis=1))
        held_back = int(len(times) * self.validation)
        if held_back >= max(1, self.window // 2):
            first, row = times[-held_back], np.arange(len(usable))[:, None]
            learned = blocks(found, gain, cost, counts & (row + 2 < first), usable)
            if learned is not None:
                return learned, blocks(found, gain, cost, counts & (row >= first), usable)
        # Too short to hold anything back: a ratio of fewer bars tells nothing. All is learned from, for as long as `epochs` says.
        return blocks(found, gain, cost, counts, usable), None

    def _teach(self, learned: Examples, stopped: Examples | None, member: int) -> tuple[PositionNet, Training]:
        net = self._build(len(self._unit), member)
        return net, train(net, learned, stopped, NetSharpe(), self.training, derive(self.seed, "deep-momentum", member))

    def _build(self, columns: int, member: int) -> PositionNet:
        with reproducible(derive(self.seed, "deep-momentum", member, "weights")):
            return PositionNet(columns, self.net, self.width, self.heads, self.dropout, self.long_only)

    # -- deciding ----------------------------------------------------------------------------------------------------
    @property
    def _reach(self) -> int:
        return REACH * self.window if self.gaps else self.window

    def _windows(self, values: Array, usable: NDArray[np.bool_], X: Features) -> Windows:
        scaled = np.clip(values / self._unit, -FARTHEST, FARTHEST)
        # Where a market closes, its closed hours are no gap, and bars that all symbols lack cannot be told from them.
        assert self._bars is not None, "fit or restore has settled what the bars are"
        step = parse_duration(self._bars[0]) if not self.gaps and self._bars[1] == "24/7" else None
        return windows(scaled, usable, self.window, self._reach, X.open_time, step)

    def _desired(self, X: Features, market: Market, last: bool = False) -> Targets:
        """(time, symbol) weights for the rows of `X`, or with `last` for the last row alone; NaN where there is no whole sequence."""
        values, volatility = self._columns.columns(X)
        found = self._windows(values, _finite(values), X)
        if last:
            found = found.take(found.time == len(X) - 1)
        desired = np.full(volatility.shape, np.nan)
        if len(found):
            numbers = X.open_time[found.time] // market.step * len(market.symbols) + found.symbol
            position = np.mean([answer(net, found, numbers, SLOTS)[:, -1] for net in self._nets], axis=0)
            scale = self._scale(volatility[found.time, found.symbol], market)
            desired[found.time, found.symbol] = position * scale / len(market.symbols)
        return desired

    def _bar_target(self, market: Market) -> float:
        return float(self.volatility_target / np.sqrt(market.periods_per_year))

    def _scale(self, volatility: Array, market: Market) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(self.max_weight, self._bar_target(market) / volatility))

    def _check(self, market: Market) -> None:
        if self._bars is None:
            raise NotFitted("deep-momentum was asked to decide before fit(market)")
        if (market.timeframe, market.calendar) != self._bars:
            have = f"{market.timeframe} on {market.calendar}"
            raise DataError(f"deep-momentum was fitted on bars of {' on '.join(self._bars)} and asked about {have}; fit it on such bars")

    def _settings(self) -> dict[str, Any]:
        chosen = ("net", "window", "width", "heads", "dropout", "volatility_target", "max_weight", "long_only", "cost", "band", "gaps")
        return {**{name: getattr(self, name) for name in chosen}, "inputs": repr(self.inputs), "members": self.members}


def _finite(values: Array) -> NDArray[np.bool_]:
    """(time, symbol): where every column is a finite number."""
    return np.asarray(np.isfinite(values).all(axis=2))


def _sizes(rows: Array) -> Array:
    """(column,) root mean squares of `rows` (row, column): the sign of an input means something, so its mean is not taken off."""
    sizes = np.sqrt(np.mean(rows**2, axis=0)) if len(rows) else np.ones(rows.shape[1])
    return np.where(sizes > 0, sizes, 1.0)
