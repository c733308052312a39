"""What a member's recent past looks like in twenty numbers without a scale: the eyes of the performance predictor.

Over the last `window` bars, with d the standard deviation of the member's own net returns in them: sums over a tenth, a fifth, a half and
all of the window, each over d and the root of its length; the volatility of the newest fifth and of the losses against d; drawdown, time
since the peak, share of gains, autocorrelation, skewness, best and worst bar; its lead over the mean of all members over the window and its
newest fifth, its rank, its correlation with that mean; mean net and gross exposure, and turnover. The market has three more: its mean move
over a fifth and the whole of the window and the ratio of its volatilities. All are clipped to 5 in size; 0 where they are not defined.

Sources: Barroso & Santa-Clara (2015), https://doi.org/10.1016/j.jfineco.2014.11.010 (a strategy's own volatility tells its risk); Gupta &
Kelly (2019), https://doi.org/10.3905/jpm.2019.45.3.013 (its own returns tell its next). Costs one pass of the window, about 4 microseconds
for ten members. Fails to see anything older than the window.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.types import Array

__all__ = ["CHANNELS", "HISTORY_NAMES", "MARKET_NAMES", "describe_market", "describe_members"]

CHANNELS: Final = ("return", "net", "gross", "traded")
"""What is remembered of each member and bar."""

HISTORY_NAMES: Final = (
    "sum_tenth",
    "sum_fifth",
    "sum_half",
    "sum_all",
    "lead",
    "lead_fifth",
    "rank",
    "drawdown",
    "volatility_fifth",
    "share_of_gains",
    "downside",
    "autocorrelation",
    "since_peak",
    "skewness",
    "best",
    "worst",
    "correlation",
    "net_exposure",
    "gross_exposure",
    "turnover",
)
"""In the order in which `agent_history_features` takes them."""

MARKET_NAMES: Final = ("move_fifth", "move_all", "volatility_ratio")
_CLIP: Final = 5.0


@kernel
def _ratio(above: float, below: float) -> float:
    """`above` / `below` within the clip; 0 where there is nothing to divide by."""
    if not below > 0.0:
        return 0.0
    return min(max(above / below, -_CLIP), _CLIP)


@kernel
def _newest(column: Array, bars: int) -> float:
    """The sum of the newest `bars` values."""
    total = 0.0
    for t in range(len(column) - bars, len(column)):
        total += column[t]
    return total


@kernel
def _path(returns: Array, deviation: float, out: Array) -> None:
    """What depends on the order and shape of one member's returns: entries 7 to 15 of `out` (feature,)."""
    n = len(returns)
    mean, fifth = _newest(returns, n) / n, max(n // 5, 1)
    level, peak, top = 0.0, 0.0, 0
    recent, losses, products, cubes, gains = 0.0, 0.0, 0.0, 0.0, 0
    best, worst = -math.inf, math.inf
    for t in range(n):
        r = returns[t]
        level += r
        if level > peak:
            peak, top = level, t + 1
        gains += r > 0.0
        best, worst = max(best, r), min(worst, r)
        losses += min(r, 0.0) ** 2
        cubes += (r - mean) ** 3
        if t >= n - fifth:
            recent += r * r
        if t > 0:
            products += (r - mean) * (returns[t - 1] - mean)
    out[7] = _ratio(level - peak, deviation * math.sqrt(n))
    out[8] = _ratio(math.sqrt(recent / fifth), deviation)
    out[9] = gains / n - 0.5
    out[10] = _ratio(math.sqrt(losses / n), deviation)
    out[11] = _ratio(products / n, deviation * deviation)
    out[12] = (n - top) / n
    out[13] = _ratio(cubes / n, deviation**3)
    out[14] = _ratio(best, deviation) if best > 0.0 else 0.0
    out[15] = _ratio(worst, deviation) if worst < 0.0 else 0.0


@kernel
def describe_members(window: Array, out: Array) -> None:
    """Fill `out` (member, feature) with HISTORY_NAMES of `window` (time, member, channel), the oldest bar first."""
    n, members = window.shape[0], window.shape[1]
    tenth, fifth, half = max(n // 10, 1), max(n // 5, 1), max(n // 2, 1)
    common = np.zeros(n)
    for t in range(n):
        for i in range(members):
            common[t] += window[t, i, 0] / members
    middle, together = _newest(common, n) / n, 0.0
    for t in range(n):
        together += (common[t] - middle) ** 2
    returns = np.empty(n)
    for i in range(members):
        squares, joint, apart, lead = 0.0, 0.0, 0.0, 0.0
        for t in range(n):
            returns[t] = window[t, i, 0]
        mean = _newest(returns, n) / n
        for t in range(n):
            squares += (returns[t] - mean) ** 2
            joint += (returns[t] - mean) * (common[t] - middle)
            apart += (returns[t] - common[t]) ** 2
        deviation, distance = math.sqrt(squares / n), math.sqrt(apart / n)
        out[i, 0] = _ratio(_newest(returns, tenth), deviation * math.sqrt(tenth))
        out[i, 1] = _ratio(_newest(returns, fifth), deviation * math.sqrt(fifth))
        out[i, 2] = _ratio(_newest(returns, half), deviation * math.sqrt(half))
        out[i, 3] = _ratio(mean * n, deviation * math.sqrt(n))
        out[i, 4] = _ratio((mean - middle) * n, distance * math.sqrt(n))
        lead = _newest(returns, fifth) - _newest(common, fifth)
        out[i, 5] = _ratio(lead, distance * math.sqrt(fifth))
        _path(returns, deviation, out[i])
        out[i, 16] = _ratio(joint / n, deviation * math.sqrt(together / n))
        for c in range(3):
            total = 0.0
            for t in range(n):
                total += window[t, i, 1 + c]
            out[i, 17 + c] = min(max(total / n, -_CLIP), _CLIP)
    for i in range(members):
        # Its rank by the sum over the window, -1/2 for the last to 1/2 for the first; equals share theirs.
        below = 0.0
        for j in range(members):
            ahead = out[i, 4] - out[j, 4]
            below += 1.0 if ahead > 0.0 else 0.5 if ahead == 0.0 and j != i else 0.0
        out[i, 6] = below / (members - 1) - 0.5 if members > 1 else 0.0


@kernel
def describe_market(moves: Array, out: Array) -> None:
    """Fill `out` (3,) with MARKET_NAMES of `moves` (time,), the mean move of the symbols in each bar, the oldest first."""
    n, fifth = len(moves), max(len(moves) // 5, 1)
    squares, recent = 0.0, 0.0
    for t in range(n):
        squares += moves[t] ** 2
        if t >= n - fifth:
            recent += moves[t] ** 2
    deviation = math.sqrt(squares / n)
    out[0] = _ratio(_newest(moves, fifth), deviation * math.sqrt(fifth))
    out[1] = _ratio(_newest(moves, n), deviation * math.sqrt(n))
    out[2] = _ratio(math.sqrt(recent / fifth), deviation)
