"""Policy: what to hold, given a forecast; it moves only when the gain is worth the trade.

Source: the no-trade band under proportional costs: Davis, Norman, "Portfolio selection with transaction costs", Mathematics of Operations
Research 15 (1990), https://doi.org/10.1287/moor.15.4.676. Costs: one pass of the accounting kernel, since the band needs the weights held.
Fails: when forecasts are badly calibrated, a fixed threshold is too near or too far; it knows nothing of how symbols move together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from tradewind.core.errors import SettingsError
from tradewind.core.limits import number
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Space
from tradewind.core.types import Array, Forecast, Portfolio, Target, Targets

if TYPE_CHECKING:
    from tradewind.simulate.account import Book

__all__ = ["SPACES", "Policy", "edge"]

_BAND: Final = Real(0.0, 0.9)
SPACES: Final[dict[str, Space]] = {
    "classes": {"threshold": Real(0.0, 0.5), "gain": Real(0.5, 8.0, log=True), "band": _BAND, "long_only": Choice((False, True))},
    "return": {"threshold": Real(0.0, 3.0), "gain": Real(0.1, 4.0, log=True), "band": _BAND, "long_only": Choice((False, True))},
}
"""By the kind of label: the edge of classes is at most 1, that of a return counts round trips' costs."""

SIZES = ("linear", "sign", "interval")
MOVES = ("whole", "edge")


@final
@dataclass(frozen=True)
class Policy:
    """How a forecast becomes weights, each a share of equity / number of symbols.

    The edge of a forecast (see `edge`) is compared with `threshold`: at or under it in size, the position wanted is 0. Beyond it `size`
    says how much: `linear` the edge times `gain`, capped at a full share, `sign` always a full share, `interval` the score (see `edge`,
    not over `cost`) over half the width between the outermost quantiles, times `gain`, capped: the wider the interval, the smaller the
    position, and none on one that is infinite. `long_only`: flat instead of short. `cost`: what a round trip costs as a return, the unit
    in which return forecasts are measured. `band`: a position is changed only when the one wanted is at least this
    fraction of a full share away from the one held. `move`: then it goes the `whole` way to the position wanted, or to the near `edge` of
    the band around it, which is best where costs are proportional to what is traded (Davis and Norman).

    Raises SettingsError for values that cannot be.
    """

    threshold: float = 0.1
    size: str = "linear"
    gain: float = 2.0
    long_only: bool = False
    cost: float = 0.0024
    band: float = 0.5
    move: str = "whole"

    def __post_init__(self) -> None:
        require(self.size in SIZES, f"size is {self.size!r}; it is one of {', '.join(SIZES)}")
        require(self.move in MOVES, f"move is {self.move!r}; it is one of {', '.join(MOVES)}")
        number(gain=self.gain, cost=self.cost)
        number(positive=False, threshold=self.threshold, band=self.band)

    def desired(self, forecast: Forecast) -> Targets:
        """(time, symbol) weights wanted before the band; NaN, which keeps, where the forecast has no answer.

        Raises SettingsError when `size` is `interval` and the forecast has no quantiles.
        """
        size = edge(forecast, self.cost)
        pull = _certainty(forecast) if self.size == "interval" else size
        shares = np.sign(size) if self.size == "sign" else np.clip(pull * self.gain, -1.0, 1.0)
        shares = np.where(np.abs(size) <= self.threshold, 0.0, shares)
        if self.long_only:
            shares = np.maximum(shares, 0.0)
        return np.asarray(shares / size.shape[1])

    def decide(self, forecast: Forecast, portfolio: Portfolio) -> Target:
        """The target after the last row of `forecast`, given what is held at that close."""
        desired = self.desired(forecast)[-1]
        gap, width = desired - portfolio.weights, self.band / len(desired)
        short = np.copysign(width if self.move == "edge" else 0.0, gap)
        return Target(np.where(np.abs(gap) < width, np.nan, desired - short))

    def walk(self, desired: Targets, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        """The same decisions for every row of `desired` from `start` on, walking a copy of `book`, the account before bar `start`."""
        from tradewind.simulate.account import Book, walk_band

        own = Book(market.symbols) if book is None else book
        return walk_band(market, desired, self.band / desired.shape[1], own, start, edge=self.move == "edge")


def edge(forecast: Forecast, cost: float) -> Array:
    """(time, symbol): how much a forecast speaks for holding the symbol; its sign is the direction.

    With classes it is the expected class code on a scale where the lowest code is -1 and the highest 1: P(up) - P(down). With a mean
    it is the mean over `cost`: 1 where the return expected pays just for the round trip.
    """
    lean = _lean(forecast)
    if forecast.probabilities is None:
        return np.asarray(lean / cost)
    half = (forecast.classes[-1] - forecast.classes[0]) / 2.0
    # A model that has seen one class alone knows no direction: its lean is 0, and so is its edge.
    return np.asarray(lean / half) if half > 0 else lean


def _lean(forecast: Forecast) -> Array:
    """(time, symbol): the score from where it speaks for neither direction: the middle of the class codes, or no return."""
    score = forecast.score()
    return np.asarray(score if forecast.probabilities is None else score - (forecast.classes[0] + forecast.classes[-1]) / 2.0)


def _certainty(forecast: Forecast) -> Array:
    """(time, symbol): the lean over half the width between the outermost quantiles."""
    if forecast.quantiles is None or len(forecast.levels) < 2:
        raise SettingsError("size is 'interval', but the forecasts have no quantiles; wrap the forecaster in 'conformal', or use 'linear'")
    lean, half = _lean(forecast), (forecast.quantiles[..., -1] - forecast.quantiles[..., 0]) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((lean == 0.0) & ~np.isnan(half), 0.0, lean / half))
