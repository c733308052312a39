"""Conformal intervals around any forecaster, whose coverage holds as markets change.

Papers: split conformal, Vovk et al. (2005) https://doi.org/10.1007/b106715; conformalised quantile regression, Romano, Patterson & Candes
(2019) https://arxiv.org/abs/1905.03222; ACI, Gibbs & Candes (2021) https://arxiv.org/abs/2106.00170; DtACI (2022)
https://arxiv.org/abs/2208.08401. Costs the base forecaster's fit on fewer rows, then O(memory) a row and symbol to follow.
Fails to be narrow where the base is poor: an interval says how wrong the base is, it does not mend it. Coverage is an average over time;
`split` loses it when the scores drift, and right after a break the others are late by as many rows as answers take.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.protocols import Forecaster as AnyForecaster
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.core.types import Array, Features, Forecast, Labels, State
from tradewind.models.base import Forecaster
from tradewind.models.contributions import Contributions
from tradewind.models.registry import forecaster as by_name
from tradewind.models.rows import Rows, Task, fitted, training_rows
from tradewind.stats.conformal import adaptive_levels, arrivals, conformal_quantile, conformal_ranks, conformal_thresholds

__all__ = ["SPACES", "Conformal"]

METHODS: Final = ("split", "rolling", "aci", "dtaci")
RATES: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""The rates among which DtACI chooses, as in its paper."""
SPACES: Final[dict[str, Space]] = {
    "conformal": {
        "method": Choice(("rolling", "aci", "dtaci")),
        "gamma": Real(0.005, 0.1, log=True),
        "memory": Whole(200, 1000),
        "calibration": Real(0.1, 0.3),
    }
}


@final
@dataclass(frozen=True, eq=False)
class _Band:
    """Where a base forecast puts its answer, (time, symbol) each: between `low` and `high`, with an error measured in units of `scale`."""

    low: Array
    high: Array
    scale: Array

    def scores(self, answers: Array) -> Array:
        """How far each answer lies outside, below zero inside: the distance from a mean where low and high are the same."""
        return np.asarray(np.maximum(self.low - answers, answers - self.high) / self.scale)

    def widened(self, thresholds: Array) -> Array:
        """(time, symbol, 2): the interval that holds the answers whose score is at most `thresholds`; a point where none would be."""
        margin = thresholds * self.scale
        low, high, centre = self.low - margin, self.high + margin, (self.low + self.high) / 2.0
        crossed = low > high
        return np.stack([np.where(crossed, centre, low), np.where(crossed, centre, high)], axis=2)


@final
class Conformal(Forecaster):
    """The answers of a base forecaster, with `quantiles` at `alpha` / 2 and 1 - `alpha` / 2 that hold the truth 1 - `alpha` of the time.

    `forecaster`: a name with its `forecaster_settings`, a pair (name, settings), or an object, of which a copy is fitted. `fit` gives it
    all rows but the last `calibration` share, purged, and scores that tail. The same fitted base answers later: were it fitted again on
    all rows, the scores would be those of another model. Scores: the distance from the mean (with classes, of the class code from the
    expected one), or from the base's own quantiles nearest to the two levels where it gives any; in units of the column `scale` (such as
    a volatility; rows where it is not above zero have no interval) where one is named.

    `method`: `split` keeps the quantile of the tail's scores; the others go on with `follow`, each symbol for itself: `rolling` takes the
    quantile of the scores of the last `memory` rows; `aci` moves the level by `gamma` / horizon for every miss and hit of the last
    `memory` / 2 rows, and takes the quantile of as many scores before each; `dtaci` mixes eight rates, so divided. The tail's scores stand
    before the first row that follows the fit, those of all symbols together for a symbol that it lacks. An interval is infinite where its
    level cannot be had, with fewer than 1 / `alpha` - 1 scores, or after a long row of misses.

    Every row's level begins afresh `memory` / 2 rows before it, so that it depends on `memory` rows alone. For the first `memory` / 2 rows
    after a fit that is one unbroken ACI, whose coverage `stats.adaptive_bound` bounds whatever the market does (rate `gamma` / horizon,
    delay horizon); for later rows it is an approximation of one. Let the memory span many horizons: scores that overlap say little.
    """

    def __init__(
        self,
        forecaster: str | tuple[str, Mapping[str, Any]] | AnyForecaster = "ridge",
        forecaster_settings: Mapping[str, Any] | None = None,
        alpha: float = 0.1,
        method: str = "aci",
        gamma: float = 0.02,
        memory: int = 500,
        calibration: float = 0.2,
        scale: str | None = None,
    ) -> None:
        fraction(alpha=alpha, calibration=calibration)
        number(gamma=gamma)
        whole(2, memory=memory)
        require(method in METHODS, f"method is {method!r}; it is one of {', '.join(METHODS)}")
        self.alpha, self.method, self.gamma, self.calibration, self.scale = alpha, method, gamma, calibration, scale
        self.memory = 0 if method == "split" else memory
        self.base = _base(forecaster, forecaster_settings)
        self.window = int(getattr(self.base, "window", 1))
        self._task: Task | None = None
        self._until, self._horizon = 0, 1
        self._symbols: tuple[str, ...] = ()
        self._scores = np.zeros((0, 0))

    def reseed(self, seed: int) -> None:
        if hasattr(self.base, "reseed"):
            self.base.reseed(seed)

    def fit(self, X: Features, y: Labels) -> Self:
        """Fit the base on the earlier rows and score the tail. Raises DataError when there is no row to learn from."""
        rows = training_rows(X, y)
        earlier, later = rows.tail(self.calibration)
        self.base.fit(X, _only(y, rows.take(earlier)))
        self._task, self._until, self._horizon, self._symbols = rows.task, int(X.known[-1]), y.horizon, X.symbols
        self._scores = np.zeros((0, len(X.symbols)))
        if later.any():
            held = rows.take(later)
            first = int(held.time[0])
            begin = max(0, first + 1 - self.window)
            answers = _only(y, held).values[begin:]
            self._scores = self._band(self.base.predict(X[begin:]), X[begin:]).scores(answers)[first - begin :]
        return self

    def predict(self, X: Features) -> Forecast:
        fitted(self._task).check(X)
        forecast = self.base.predict(X)
        return self._around(forecast, self._band(forecast, X), self._split(X))

    def follow(self, X: Features, y: Labels) -> Forecast:
        """Answer every row of `X` with an interval that has learned from the answers in `y` known by then; the rest is `predict`'s."""
        fitted(self._task).check(X)
        forecast = self.base.predict(X)
        band, thresholds = self._band(forecast, X), self._split(X)
        start = int(np.searchsorted(X.known, self._until, side="right"))
        if self.memory and start < len(X):
            scores = band.scores(y.values)
            for column, symbol in enumerate(X.symbols):
                arrival = arrivals(X.known[start:], y.known[start:, column])
                thresholds[start:, column] = self._adapted(scores[start:, column], arrival, self._prior(symbol))
        return self._around(forecast, band, thresholds)

    @property
    def contributions(self) -> Callable[[Features, NDArray[np.int64]], Contributions]:
        """The base's own explanation of its answers, which are this one's. Where the base has none, neither has this: AttributeError."""
        explain: Callable[[Features, NDArray[np.int64]], Contributions] = self.base.contributions  # type: ignore[attr-defined]
        return explain

    def state(self) -> State:
        learned = {"until": self._until, "horizon": self._horizon, "symbols": list(self._symbols)}
        values = {"task": fitted(self._task).state(), **learned}
        return State(values, {"scores": self._scores.copy()}).nest("base", self.base.state())

    def restore(self, state: State) -> Self:
        self._task = Task.restore(state)
        if "base" not in state.values or "scores" not in state.arrays:
            raise StateError("this state holds no base forecaster with its scores; restore it into the forecaster that saved it")
        self.base.restore(state.child("base"))
        self.window = int(getattr(self.base, "window", 1))
        self._until, self._horizon = int(state.values["until"]), int(state.values["horizon"])
        self._symbols = tuple(state.values["symbols"])
        self._scores = state.arrays["scores"].copy()
        return self

    def _band(self, forecast: Forecast, X: Features) -> _Band:
        shape = X.values.shape[:2]
        scale = np.ones(shape) if self.scale is None else X.select([self.scale]).values[:, :, 0]
        scale = np.where(scale > 0, scale, np.nan)
        if forecast.quantiles is None:
            score = forecast.score()
            return _Band(score, score, scale)
        levels = np.asarray(forecast.levels)
        low, high = (int(np.argmin(np.abs(levels - level))) for level in (self.alpha / 2.0, 1.0 - self.alpha / 2.0))
        return _Band(forecast.quantiles[..., low], forecast.quantiles[..., high], scale)

    def _around(self, forecast: Forecast, band: _Band, thresholds: Array) -> Forecast:
        return replace(forecast, quantiles=band.widened(thresholds), levels=(self.alpha / 2.0, 1.0 - self.alpha / 2.0))

    def _prior(self, symbol: str) -> Array:
        """(row,) scores of the tail: the symbol's own, NaN where it has none, or those of all where it has none at all."""
        if symbol in self._symbols:
            own = self._scores[:, self._symbols.index(symbol)]
            if not np.isnan(own).all():
                return np.ascontiguousarray(own)
        return self._scores[~np.isnan(self._scores)]

    def _split(self, X: Features) -> Array:
        """(time, symbol) the thresholds known at the end of the fit."""
        known = [conformal_quantile(self._prior(symbol), self.alpha) for symbol in X.symbols]
        return np.tile(np.array(known), (len(X), 1))

    def _adapted(self, scores: Array, arrival: NDArray[np.int64], prior: Array) -> Array:
        """(time,) the thresholds of the rows after the fit."""
        if self.method == "rolling":
            return conformal_thresholds(scores, self.alpha, self.memory, arrival, prior)
        # A level looks back on `steps` ranks, and each of them on `window` scores: together that is the memory.
        window = self.memory // 2
        ranks = conformal_ranks(scores, window, arrival, prior)
        # Answers over several bars arrive that late and overlap: a miss comes so many times over, and counts once.
        rates = np.array(RATES if self.method == "dtaci" else (self.gamma,)) / self._horizon
        levels = adaptive_levels(ranks, self.alpha, rates.tolist(), arrival, steps=self.memory - window)
        return conformal_thresholds(scores, levels, window, arrival, prior)


def _base(forecaster: str | tuple[str, Mapping[str, Any]] | AnyForecaster, settings: Mapping[str, Any] | None) -> AnyForecaster:
    if isinstance(forecaster, str):
        return by_name(forecaster, **(settings or {}))
    require(not settings, "forecaster_settings go with a forecaster's name alone")
    if isinstance(forecaster, AnyForecaster):
        return copy.deepcopy(forecaster)
    pair = isinstance(forecaster, tuple | list) and len(forecaster) == 2 and isinstance(forecaster[1], Mapping)
    require(pair, f"forecaster is {forecaster!r}; it is a name, a pair (name, settings) or a forecaster")
    name, own = forecaster
    return by_name(name, **own)


def _only(y: Labels, rows: Rows) -> Labels:
    """`y` with every answer blanked but those of `rows`."""
    kept = np.zeros(y.values.shape, dtype=np.bool_)
    kept[rows.time, rows.symbol] = True
    ahead = None if y.ahead is None else np.where(kept[:, :, None], y.ahead, np.nan)
    return replace(y, values=np.where(kept, y.values, np.nan), ahead=ahead)
