"""`Trader`: an agent that has learned to trade, with the eyes that it learned with: the same decision bar by bar and over a whole history.

It observes what the environment shows: the last `window` rows of scaled features, the oldest first, and the position of the account. So its
decisions depend on what it holds, and a history has to be walked. Source: the loop of Sutton, Barto 2018, section 3.1,
http://incompleteideas.net/book/the-book-2nd.html. Costs one question of the agent a bar, some fifty microseconds with small nets. Fails,
by keeping what is held, wherever one of the rows lacks a feature: there the agent has never been.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, cast, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.types import Array, Features, State, Targets
from tradewind.features import Live, Standardiser, compute
from tradewind.nets.device import reproducible
from tradewind.rl.actions import Actions
from tradewind.rl.confidence import Calibrated
from tradewind.rl.evaluation import Actor
from tradewind.simulate.account import Book

__all__ = ["ACCOUNT", "Answer", "Sight", "Trader"]

ACCOUNT: Final = ("position",)
"""What a trader sees of its account. Cash and equity follow from it in shares, and bars held depend on when one began to look."""
FLAT: Final = 0.01
"""A position below this share of equity is none: it claims nothing, so nothing is right or wrong about it."""
Rows: TypeAlias = tuple[NDArray[np.float32], NDArray[np.bool_]]


@final
@dataclass(frozen=True)
class Sight:
    """What a trader sees, and what it may do: the `features`, the rows of them in its `window`, and actions over `positions`.

    `actions`: `continuous` between the lowest and the highest position, `discrete` for SELL, HOLD and BUY (the lowest, what is held, the
    highest), or a number of levels from one to the other. `band`: a position nearer than this to the one held is no reason to trade, as
    under the costs that the agent learns with. `levels` (action,): the positions that actions stand for, none for continuous ones;
    `warmup`: the bars that a first decision takes. Raises SettingsError for what cannot be.
    """

    features: str | tuple[Any, ...] = "relative"
    window: int = 1
    actions: str | int = "discrete"
    positions: tuple[float, float] = (-1.0, 1.0)
    band: float = 0.01
    warmup: int = field(init=False, compare=False)
    levels: Array = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        whole(window=self.window)
        number(False, band=self.band)
        if not isinstance(self.features, str):
            object.__setattr__(self, "features", tuple(self.features))
        meant = Actions.of(self.actions, self.positions, np.inf)
        object.__setattr__(self, "positions", (meant.low, meant.high))
        object.__setattr__(self, "levels", meant.levels)
        object.__setattr__(self, "warmup", Live(self.features).warmup + self.window)

    def values(self) -> dict[str, Any]:
        """As JSON-able data."""
        features = self.features if isinstance(self.features, str) else [str(getattr(each, "name", each)) for each in self.features]
        return {"features": features, "window": self.window, "actions": self.actions, "positions": list(self.positions), "band": self.band}


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What a trader says of one bar, all (symbol,): `target` weights, NaN to keep; the `position` that it wants, as a share of what one
    symbol may have; how strongly (`convictions`), and how probably it is right (`confidence`), both NaN where it wants nothing.
    `observations` (symbol, inputs) is what it was shown; a symbol with `shown` False lacked a feature.
    """

    target: Array
    position: Array
    convictions: Array
    confidence: Array
    observations: NDArray[np.float32]
    shown: NDArray[np.bool_]


@final
class Trader:
    """`agent` acts on what `sight` and the fitted `scaler` show it of `bars` (timeframe, calendar); `calibrated` says how sure to be.

    Every symbol has an equal share of equity, in which the agent's position stands. Raises DataError for bars of another kind.
    """

    def __init__(
        self, agent: Actor, sight: Sight, scaler: Standardiser, bars: tuple[str, str], calibrated: Calibrated | None = None
    ) -> None:
        self.agent, self.sight, self.scaler, self.bars = agent, sight, scaler, bars
        self.calibrated = Calibrated() if calibrated is None else calibrated
        self._live = Live(sight.features, keep=sight.window)

    def decide(self, market: Market, weights: Array) -> Array:
        """(symbol,) target weights after the last bar of `market` for an account that holds `weights` (symbol,); NaN keeps."""
        rows, shown = self._last(market)
        with reproducible(None):
            return self._ask(rows, shown, weights)

    def decide_all(self, market: Market, book: Book, start: int = 0) -> Targets:
        """(time, symbol) the decisions for every bar from `start` on, by what `book`, the account before it, has come to hold by then."""
        self._check(market)
        decided, first = np.full(market.close.shape, np.nan), max(start, self.sight.warmup - 1)
        if first >= len(market):
            return decided
        rows, shown = self._rows(compute(market, self.sight.features)[first + 1 - self.sight.window :])
        nothing, begin = decided[0], first - start

        def decide(t: int, weights: Array) -> Array:
            return nothing if t < begin else self._ask(rows[t - begin], shown[t - begin], weights)

        with reproducible(None):
            decided[start:] = book.copy().walk(market[start:], decide)
        return decided

    def answer(self, market: Market, weights: Array) -> Answer:
        """What it says after the last bar of `market`, and how sure it is, for an account that holds `weights` (symbol,)."""
        rows, shown = self._last(market)
        with reproducible(None):
            target, told = self._ask(rows, shown, weights), _told(rows, weights)
            position = np.where(np.isnan(target), weights, target) * len(weights)
            claims = shown & (np.abs(position) >= FLAT)
            convictions = np.where(claims, self._convictions(told), np.nan)
        confidence = np.where(claims, self.calibrated.probability(np.nan_to_num(convictions)), np.nan)
        return Answer(target, position, convictions, confidence, told, shown)

    def calibrate(self, market: Market, book: Book, start: int = 0) -> Self:
        """Learn how often a position of each conviction earned over its next bar, from the bars from `start` on; see `outcomes`."""
        self.calibrated = Calibrated.of(*self.outcomes(market, book, start))
        return self

    def outcomes(self, market: Market, book: Book, start: int = 0) -> tuple[Array, NDArray[np.bool_]]:
        """(decision,) the convictions behind the positions wanted from bar `start` on, and whether each was right.

        It was when the position, from the open that filled it to the next one, earned more than the trade into it cost. Only positions
        count, not their absence, and only where both opens are there.
        """
        wanted = self.decide_all(market, book, start)
        symbols, latency, account = len(market.symbols), book.costs.latency, book.copy()
        held = np.full(wanted.shape, np.nan)

        def remember(t: int, weights: Array) -> Array:
            held[start + t] = weights
            return cast(Array, wanted[start + t])

        account.walk(market[start:], remember)
        position = np.where(np.isnan(wanted), held, wanted) * symbols
        earned = np.full(wanted.shape, np.nan)
        earned[: -latency - 1] = market.open[latency + 1 :] / market.open[latency:-1] - 1.0
        cost = np.abs(position - held * symbols) * float(book.costs.rates()[:2].sum())
        first = max(start, self.sight.warmup - 1)
        rows, shown = self._rows(compute(market, self.sight.features)[first + 1 - self.sight.window :])
        convictions = np.full(wanted.shape, np.nan)
        with reproducible(None):
            for t in range(first, len(market)):
                convictions[t] = np.where(shown[t - first], self._convictions(_told(rows[t - first], held[t])), np.nan)
        counts = np.isfinite(convictions) & np.isfinite(earned) & (np.abs(position) >= FLAT)
        return convictions[counts], (position * earned > cost)[counts]

    # -- asking ------------------------------------------------------------------------------------------------------------
    def _ask(self, rows: NDArray[np.float32], shown: NDArray[np.bool_], weights: Array) -> Array:
        """(symbol,) targets for one bar. All symbols are asked at once, so that a bar's question always has the same shape."""
        chosen = self.agent.act(_told(rows, weights), deterministic=True)
        position = self.sight.levels[chosen] if len(self.sight.levels) else chosen.reshape(len(weights))
        target = position / len(weights)
        return np.where(shown & (np.abs(target - weights) >= self.sight.band / len(weights)), target, np.nan)

    def _convictions(self, told: NDArray[np.float32]) -> Array:
        ask = getattr(self.agent, "conviction", None)
        return np.ones(len(told)) if ask is None else np.asarray(ask(told), dtype=np.float64)

    def _last(self, market: Market) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        self._check(market)
        window, symbols = self.sight.window, len(market.symbols)
        X = self._live.rows(market, window)
        if len(X) < window:
            return np.zeros((symbols, window, len(X.names)), dtype=np.float32), np.zeros(symbols, dtype=np.bool_)
        rows, shown = self._rows(X)
        return rows[0], shown[0]

    def _rows(self, X: Features) -> Rows:
        """(row, symbol, window, feature) what the agent is shown from the `window`-th row of `X` on; (row, symbol) where it is whole."""
        window, values = self.sight.window, self.scaler.transform(X).values.astype(np.float32)
        there = np.asarray(np.isfinite(values).all(axis=2))
        filled = np.where(there[:, :, None], values, np.float32(0.0))
        shown = np.asarray(sliding_window_view(there, window, axis=0).all(axis=2))
        return sliding_window_view(filled, window, axis=0).transpose(0, 1, 3, 2), shown

    def _check(self, market: Market) -> None:
        if (market.timeframe, market.calendar) != self.bars:
            have = f"{market.timeframe} on {market.calendar}"
            raise DataError(f"this agent has learned on bars of {' on '.join(self.bars)} and was asked about {have}; fit it on such bars")

    # -- as data -------------------------------------------------------------------------------------------------------------
    def state(self) -> State:
        """What was learned: the agent, the scaler, the calibration, and what of the world it knows."""
        about = State({"sight": self.sight.values(), "bars": list(self.bars), "calibrated": self.calibrated.values()})
        return about.nest("agent", cast(Any, self.agent).state()).nest("scaler", self.scaler.state())

    @classmethod
    def from_state(cls, state: State, agent: Any, sight: Sight) -> Self:
        """The Trader that `state` describes, around a new `agent` of the same build. Raises StateError when it saw something else."""
        if state.values.get("sight") != sight.values():
            raise StateError(f"this state was saved under {state.values.get('sight')}, not under {sight.values()}")
        timeframe, calendar = state.values["bars"]
        scaler = Standardiser().restore(state.child("scaler"))
        calibrated = Calibrated(**state.values["calibrated"])
        return cls(agent.restore(state.child("agent")), sight, scaler, (timeframe, calendar), calibrated)


def _told(rows: NDArray[np.float32], weights: Array) -> NDArray[np.float32]:
    told = np.empty((len(weights), rows[0].size + 1), dtype=np.float32)
    told[:, :-1], told[:, -1] = rows.reshape(len(weights), -1), weights * len(weights)
    return told
