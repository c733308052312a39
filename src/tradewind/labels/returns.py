"""Labels that look a fixed number of bars ahead: the direction of the next bar, and the return over a horizon.

Both measure from the close at which the decision is made, as `Outcome.returns` does. A symbol counts its own bars: where it has none
there is no label, and a missing bar is stepped over. Source: the definitions. Cost: one gather a symbol.
Fails as a target when bars are much shorter than costs are wide: the move is real but cannot be earned.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Labels, Times

__all__ = ["NEVER", "horizon_return", "known_of", "meta_label", "next_bar_direction"]

NEVER: Final = int(np.iinfo(np.int64).max)
"""`known` of a row without an answer."""


def _ahead(market: Market, horizon: int) -> NDArray[np.int64]:
    """(time, symbol) row of the bar `horizon` existing bars later; -1 where the symbol has no bar, then or now."""
    end: NDArray[np.int64] = np.full(market.close.shape, -1, dtype=np.int64)
    for symbol in range(len(market.symbols)):
        rows = np.flatnonzero(~np.isnan(market.close[:, symbol]))
        end[rows[:-horizon], symbol] = rows[horizon:]
    return end


def known_of(market: Market, end: NDArray[np.int64]) -> Times:
    """(time, symbol) when the bar in row `end` could be read; NEVER where `end` is -1."""
    return np.where(end >= 0, market.known[end], NEVER).astype(np.int64) if len(market) else end


def horizon_return(market: Market, horizon: int = 1) -> Labels:
    """Simple return from the close of t to the close of the symbol's `horizon`-th later bar.

    `known` is that bar's; `end` its row. Rows within `horizon` bars of the end have no answer. Raises SettingsError for a horizon below 1.
    """
    whole(horizon=horizon)
    end = _ahead(market, horizon)
    later = np.take_along_axis(market.close, np.maximum(end, 0), axis=0) if len(market) else market.close
    values: Array = np.where(end >= 0, later / market.close - 1.0, np.nan)
    return Labels(values, known_of(market, end), end, np.ones_like(values), (), horizon)


def next_bar_direction(market: Market) -> Labels:
    """1 where the symbol's next bar closes above the close of t, else -1: an unchanged close is not up. Classes (-1, 1)."""
    moves = horizon_return(market, 1)
    values = np.where(np.isnan(moves.values), np.nan, np.where(moves.values > 0, 1.0, -1.0))
    return Labels(values, moves.known, moves.end, moves.weights, (-1.0, 1.0), 1)


def meta_label(side: Array, labels: Labels) -> Labels:
    """Was the bet right? 1 where `labels` came out in the direction of `side` (time, symbol), 0 where they did not. Classes (0, 1).

    No label where the side is 0 or NaN, or the first label has none: a second model learns only from the bets that the first one
    would have made, and its probability sizes them. `side` must be decided from bars <= t, as every input is. For a short side a bar that
    touches both barriers counts as won, because the triple barrier lets the lower one go first. Lopez de Prado (2018), section 3.6.
    """
    direction = np.sign(np.asarray(side, dtype=np.float64))
    require(direction.shape == labels.values.shape, f"side has shape {direction.shape}, labels {labels.values.shape}; they must be alike")
    asked = ~np.isnan(direction) & (direction != 0) & ~np.isnan(labels.values)
    values = np.where(asked, (direction * labels.values > 0).astype(np.float64), np.nan)
    end, known = np.where(asked, labels.end, -1), np.where(asked, labels.known, NEVER)
    return Labels(values, known, end, labels.weights, (0.0, 1.0), labels.horizon)
