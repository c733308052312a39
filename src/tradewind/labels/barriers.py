"""Triple barrier: which comes first, a gain or a loss of so many deviations, or the end of the horizon?

Paper: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 3, https://www.wiley.com/en-us/9781119482086.
Cost: O(time * horizon) at worst, compiled. Fails when the volatility target lags a jump: barriers then stand too near or too far.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.limits import number, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Labels
from tradewind.labels.returns import known_of
from tradewind.labels.weights import uniqueness

__all__ = ["trailing_volatility", "triple_barrier"]


@kernel
def _trailing_volatility(close: Array, span: int, out: Array) -> None:
    """Root of the exponentially weighted mean square return of the bars that exist; the first `span` returns give NaN."""
    keep = 1.0 - 2.0 / (span + 1.0)
    for symbol in range(close.shape[1]):
        last, square, weight, seen = np.nan, 0.0, 0.0, 0
        for t in range(close.shape[0]):
            price = close[t, symbol]
            if np.isnan(price):
                continue
            if not np.isnan(last):
                change = price / last - 1.0
                square = keep * square + change * change
                weight = keep * weight + 1.0
                seen += 1
            last = price
            if seen >= span:
                out[t, symbol] = math.sqrt(square / weight)


@kernel
def _touches(
    open_: Array, high: Array, low: Array, width: Array, horizon: int, upper: float, lower: float, values: Array, end: NDArray[np.int64]
) -> None:
    """Fill `values` and `end` (time, symbol): walk at most `horizon` existing bars from the next open."""
    n = open_.shape[0]
    for symbol in range(open_.shape[1]):
        for t in range(n):
            half = width[t, symbol]
            if not half > 0.0:
                continue
            entry, gain, loss, seen = np.nan, 0.0, 0.0, 0
            for row in range(t + 1, n):
                if np.isnan(open_[row, symbol]):
                    continue
                if seen == 0:
                    entry = open_[row, symbol]
                    gain, loss = entry * (1.0 + upper * half), entry * (1.0 - lower * half)
                seen += 1
                # Within one bar nobody knows which was first: the loss is, so that a label never flatters a long bet.
                if low[row, symbol] <= loss:
                    values[t, symbol], end[t, symbol] = -1.0, row
                    break
                if high[row, symbol] >= gain:
                    values[t, symbol], end[t, symbol] = 1.0, row
                    break
                if seen == horizon:
                    values[t, symbol], end[t, symbol] = 0.0, row
                    break


def trailing_volatility(market: Market, span: int = 100) -> Array:
    """(time, symbol) volatility per bar: root mean square simple return, weights falling by 1 - 2 / (span + 1) a bar.

    Row t uses closes <= t alone; NaN where the symbol has no bar and before its `span`-th return.
    """
    whole(span=span)
    out = np.full(market.close.shape, np.nan)
    _trailing_volatility(market.close, span, out)
    return out


def triple_barrier(
    market: Market,
    horizon: int = 24,
    upper: float = 1.0,
    lower: float = 1.0,
    span: int = 100,
    minimum: float = 0.0,
    weights: Literal["uniqueness", "equal"] = "uniqueness",
) -> Labels:
    """1 where the gain is touched first, -1 where the loss is, 0 where neither is within `horizon` bars. Classes (-1, 0, 1).

    Decided at the close of t, entered at the open of the symbol's next bar, as the account does; that bar is the first of the horizon.
    The barriers stand `upper` and `lower` times the target away from the entry (simple returns), touched by high and low; a bar that
    touches both counts as the loss. Target: `trailing_volatility(span)` times the root of `horizon`, the deviation to expect over
    the horizon, at least `minimum` (a simple return, such as the cost of a round trip). `weights`: average uniqueness scaled to a mean
    of one, or equal. No label before `span` returns, where volatility is zero and `minimum` too, or while the answer is open.
    Raises SettingsError for impossible settings.
    """
    whole(horizon=horizon)
    number(upper=upper, lower=lower)
    number(positive=False, minimum=minimum)
    require(weights in ("uniqueness", "equal"), f"weights is {weights!r}; it is 'uniqueness' or 'equal'")
    target = np.maximum(trailing_volatility(market, span) * math.sqrt(horizon), minimum)
    values, end = np.full(target.shape, np.nan), np.full(target.shape, -1, dtype=np.int64)
    _touches(market.open, market.high, market.low, target, horizon, float(upper), float(lower), values, end)
    labels = Labels(values, known_of(market, end), end, np.ones_like(values), (-1.0, 0.0, 1.0), horizon)
    if weights == "equal":
        return labels
    unique = uniqueness(labels)
    mean = float(unique[unique > 0].mean()) if (unique > 0).any() else 1.0
    return dataclasses.replace(labels, weights=unique / mean)
