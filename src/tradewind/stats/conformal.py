"""Conformal intervals over time: quantiles of past scores, and levels that adapt so that the coverage holds whatever the scores do.

A score says how badly a forecast missed; an interval holds every answer whose score is at most a threshold, the quantile of scores seen
before. Papers: split conformal, Vovk et al. (2005) https://doi.org/10.1007/b106715; ACI, Gibbs & Candes (2021)
https://arxiv.org/abs/2106.00170; several rates at once, DtACI, Gibbs & Candes (2022) https://arxiv.org/abs/2208.08401; quantile tracking,
Angelopoulos, Candes & Tibshirani (2023) https://arxiv.org/abs/2307.16895.
Cost: O(window) a row at worst for ranks and thresholds, O(steps * rates) for levels that begin afresh at every row, all compiled.
Fails: split conformal, and a fixed level over a rolling window, where scores drift; an adaptive level keeps the coverage on average over
time and promises nothing for any one row, and right after a break it is late by as many rows as answers take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.types import Array, Times

__all__ = [
    "adaptive_bound",
    "adaptive_levels",
    "arrivals",
    "conformal_quantile",
    "conformal_ranks",
    "conformal_thresholds",
    "tracked_thresholds",
]

Rows = NDArray[np.int64]


@kernel
def _quantile(ordered: Array, count: int, level: float) -> float:
    """The smallest of `count` ascending scores that only scores of a rank (see `conformal_ranks`) up to `level` exceed; else infinity."""
    if not 1.0 / (count + 1.0) <= level:
        return np.inf
    if level >= 1.0:
        return -np.inf
    # The same expression as the rank's decides, so that a score exceeds its threshold exactly when its rank is at most the level.
    place = min(max(math.ceil((count + 1) * (1.0 - level)), 1), count)
    while place > 1 and (count + 2 - place) / (count + 1.0) <= level:
        place -= 1
    while (count + 1 - place) / (count + 1.0) > level:
        place += 1
    return float(ordered[place - 1])


@kernel
def _enter(ordered: Array, count: int, score: float) -> int:
    """Put a score into its place among `count` ascending ones; how many there are now."""
    place = np.searchsorted(ordered[:count], score)
    for k in range(count, place, -1):
        ordered[k] = ordered[k - 1]
    ordered[place] = score
    return count + 1


@kernel
def _leave(ordered: Array, count: int, score: float) -> int:
    """Take one such score out; how many there are now."""
    for k in range(np.searchsorted(ordered[:count], score), count - 1):
        ordered[k] = ordered[k + 1]
    return count - 1


@kernel
def _slide(
    scores: Array, order: Rows, offsets: Rows, arrival: Rows, window: int, prior: Array, levels: Array, ranks: Array, out: Array
) -> None:
    """Fill `ranks` (time,) of the scores and `out` (time,), the quantile at each level, in the window before each row, kept in order."""
    ordered = np.empty(window + 1)
    count, before = 0, len(prior)
    for k in range(max(0, before - window), before):
        if not np.isnan(prior[k]):
            count = _enter(ordered, count, prior[k])
    for t in range(len(scores)):
        # Of the row that the window leaves behind only a score that had arrived is there to be taken out.
        gone = t - window - 1
        if gone >= 0 and not np.isnan(scores[gone]) and arrival[gone] < t:
            count = _leave(ordered, count, scores[gone])
        elif -before <= gone < 0 < t and not np.isnan(prior[before + gone]):
            count = _leave(ordered, count, prior[before + gone])
        for j in range(offsets[t], offsets[t + 1]):
            if order[j] >= t - window:
                count = _enter(ordered, count, scores[order[j]])
        if not np.isnan(scores[t]):
            ranks[t] = (count + 1 - np.searchsorted(ordered[:count], scores[t])) / (count + 1.0)
        out[t] = _quantile(ordered, count, levels[t])


@kernel
def _chain(
    ranks: Array, order: Rows, offsets: Rows, first: int, stop: int, alpha: float, rates: Array, eta: float, share: float,
    issued: Array, out: Array,
) -> None:  # fmt: skip
    """Fill `out` with the levels of rows `first` to `stop`, begun afresh at `first`; `issued` (time, rate) is room for each rate's own."""
    experts = len(rates)
    weights = np.full(experts, 1.0 / experts)
    for k in range(experts):
        issued[first, k] = alpha
    out[first] = alpha
    for t in range(first + 1, stop + 1):
        for k in range(experts):
            issued[t, k] = issued[t - 1, k]
        for j in range(offsets[t], offsets[t + 1]):
            i = order[j]
            if i < first:
                continue
            # What counts is the level that was in force when row i was asked, not the one at which its answer arrives.
            total = 0.0
            for k in range(experts):
                apart = ranks[i] - issued[i, k]
                issued[t, k] += rates[k] * (alpha - (1.0 if apart <= 0.0 else 0.0))
                if experts > 1:
                    weights[k] *= math.exp(-eta * (alpha * apart - min(apart, 0.0)))
                    total += weights[k]
            if experts > 1:
                for k in range(experts):
                    weights[k] = (1.0 - share) * weights[k] / total + share / experts
        out[t] = 0.0
        for k in range(experts):
            out[t] += weights[k] * issued[t, k]


@kernel
def _levels(ranks: Array, order: Rows, offsets: Rows, steps: int, alpha: float, rates: Array, eta: float, share: float, out: Array) -> None:
    """Fill `out` (time,): one chain over all rows where `steps` is 0, else one for each row that begins `steps` rows before it."""
    n = len(ranks)
    issued, levels = np.empty((n, len(rates))), np.empty(n)
    # The rows up to `steps` all begin at row 0: theirs is one chain.
    _chain(ranks, order, offsets, 0, min(n - 1, steps) if steps > 0 else n - 1, alpha, rates, eta, share, issued, out)
    for t in range(steps + 1, n if steps > 0 else 0):
        _chain(ranks, order, offsets, t - steps, t, alpha, rates, eta, share, issued, levels)
        out[t] = levels[t]


@kernel
def _track(scores: Array, alpha: float, rate: float, start: float, out: Array) -> None:
    out[0] = start
    for t in range(len(scores) - 1):
        out[t + 1] = out[t]
        if not np.isnan(scores[t]):
            out[t + 1] += rate * ((1.0 if scores[t] > out[t] else 0.0) - alpha)


def conformal_quantile(scores: ArrayLike, alpha: float) -> float:
    """The threshold that a new score exceeds with probability at most `alpha` where it is exchangeable with `scores` (any shape; NaN out).

    The ceil((n + 1)(1 - alpha))-th smallest of the n scores: infinite where there are fewer than 1 / alpha - 1 of them, and for an
    `alpha` of at most 0; minus infinite from 1 on. In the unit of the scores. Vovk et al. (2005).
    """
    values = _vector(np.ravel(np.asarray(scores, dtype=np.float64)), "scores")
    ordered = np.sort(values[~np.isnan(values)])
    return float(_quantile(ordered, len(ordered), float(alpha)))


def arrivals(asked: Times, known: Times) -> Rows:
    """(time,) the first row at which the answer of each row can be used: the first asked no earlier than it is `known` (both UTC ns)."""
    first = np.searchsorted(asked, known, side="left")
    return np.maximum(first, np.arange(len(asked)) + 1).astype(np.int64)


def conformal_ranks(scores: ArrayLike, window: int, arrival: Rows | None = None, prior: ArrayLike = ()) -> Array:
    """(time,) the conformal p-value of each score among those of the `window` rows before it, in (0, 1]; NaN where the score is.

    It is the largest level at which the row's interval does not hold its answer: a score exceeds the threshold of level a exactly when its
    rank is at most a. `arrival` (time,): the row from which on each score may be used, by default the next. `prior` (row,): scores of
    the rows before the first. Raises DataError for other shapes.
    """
    return _windows(scores, 1.0, window, arrival, prior)[0]


def conformal_thresholds(scores: ArrayLike, levels: ArrayLike, window: int, arrival: Rows | None = None, prior: ArrayLike = ()) -> Array:
    """(time,) the largest score that each row's interval at miscoverage `levels` (time,) takes in; rows without a score have one too.

    The other arguments and the errors are those of `conformal_ranks`. Infinite where the level is too small for the scores there are.
    """
    return _windows(scores, levels, window, arrival, prior)[1]


def adaptive_levels(
    ranks: ArrayLike, alpha: float, rates: float | Sequence[float] = 0.005, arrival: Rows | None = None, steps: int = 0
) -> Array:
    """(time,) the miscoverage level at which each row's interval is to be issued, learned from the `ranks` (time,) that have arrived.

    One rate is ACI: the level rises by rate * alpha where an answer was held and falls by rate * (1 - alpha) where it was missed, so that
    the share of misses obeys `adaptive_bound`. Several are DtACI: one ACI a rate, mixed by exponential weights of their pinball losses;
    eta and the share that is spread anew are the paper's for an interval of `steps` rows (all rows where that is 0). Levels may leave
    [0, 1]: then the interval is everything, or nothing. `steps`: every row's level begins afresh from `alpha` so many rows before it, so
    that it depends on those rows alone; the bound is then that of the first `steps` rows, and later ones have none. Rows with a NaN rank
    teach nothing. Raises DataError for other shapes, SettingsError for rates
    and levels that cannot be. Gibbs & Candes (2021, 2022).
    """
    fraction(alpha=alpha)
    whole(0, steps=steps)
    gammas = np.atleast_1d(np.asarray(rates, dtype=np.float64))
    require(gammas.ndim == 1 and len(gammas) > 0, f"rates is {rates!r}; it is a number or several")
    for rate in gammas.tolist():
        number(rates=rate)
    values = _vector(ranks, "ranks")
    when = _arrival(arrival, len(values))
    out = np.full(len(values), float(alpha))
    if len(values):
        order, offsets = _queue(values, when)
        eta, share = _mixing(len(gammas), steps or len(values), float(alpha))
        _levels(values, order, offsets, steps, float(alpha), gammas, eta, share, out)
    return out


def adaptive_bound(alpha: float, rate: float, n: int, delay: int = 1) -> float:
    """How far the share of misses among the first `n` answers can be from `alpha` under ACI with one `rate`, for any scores whatever.

    (max(alpha, 1 - alpha) + delay * rate) / (rate * n): proposition 4.1 of Gibbs & Candes (2021) begun at alpha, and the same argument
    where an answer arrives `delay` rows after it was asked for, since the level then stays within [-delay * rate, 1 + delay * rate].
    """
    fraction(alpha=alpha)
    number(rate=rate)
    whole(n=n, delay=delay)
    return (max(alpha, 1.0 - alpha) + delay * rate) / (rate * n)


def tracked_thresholds(scores: ArrayLike, alpha: float, rate: float, start: float = 0.0) -> Array:
    """(time,) thresholds by quantile tracking: up by rate * (1 - alpha) after a score above the threshold, down by rate * alpha otherwise.

    `rate` and `start` are in the unit of the scores. Where scores and start lie in [0, b], the share of scores above their threshold is
    within (b + rate) / (rate * n) of `alpha` after n rows, whatever the scores do. NaN scores teach nothing. Angelopoulos et al. (2023).
    """
    fraction(alpha=alpha)
    number(rate=rate)
    values = _vector(scores, "scores")
    out = np.empty(len(values))
    if len(values):
        _track(values, float(alpha), float(rate), float(start), out)
    return out


def _mixing(experts: int, steps: int, alpha: float) -> tuple[float, float]:
    """(eta, share) of DtACI: eta sets the regret against the expected squared loss of uniform ranks; one expert needs no mixing."""
    if experts == 1:
        return 0.0, 0.0
    square = ((1.0 - alpha) ** 2 * alpha**3 + alpha**2 * (1.0 - alpha) ** 3) / 3.0
    return math.sqrt((math.log(experts * steps) + 2.0) / (steps * square)), 1.0 / (2.0 * steps)


def _vector(values: ArrayLike, what: str) -> Array:
    vector = np.ascontiguousarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise DataError(f"{what} have shape {vector.shape}; expected (time,)")
    return vector


def _arrival(arrival: Rows | None, n: int) -> Rows:
    if arrival is None:
        return np.arange(1, n + 1, dtype=np.int64)
    when = np.ascontiguousarray(arrival, dtype=np.int64)
    if when.shape != (n,) or (when <= np.arange(n)).any():
        raise DataError(f"arrival has shape {when.shape}; expected ({n},), each later than its own row")
    return when


def _queue(values: Array, arrival: Rows) -> tuple[Rows, Rows]:
    """(order, offsets): the rows that are not NaN in order of arrival; those of row t stand at [offsets[t], offsets[t + 1])."""
    usable = np.flatnonzero(~np.isnan(values) & (arrival < len(values)))
    order = usable[np.argsort(arrival[usable], kind="stable")]
    return order, np.searchsorted(arrival[order], np.arange(len(values) + 1)).astype(np.int64)


def _windows(scores: ArrayLike, levels: ArrayLike, window: int, arrival: Rows | None, prior: ArrayLike) -> tuple[Array, Array]:
    """(ranks, thresholds), each (time,)."""
    whole(window=window)
    values, before = _vector(scores, "scores"), _vector(prior, "prior scores")
    when = _arrival(arrival, len(values))
    wanted = np.ascontiguousarray(np.broadcast_to(np.asarray(levels, dtype=np.float64), values.shape))
    ranks, thresholds = np.full(len(values), np.nan), np.full(len(values), np.nan)
    _slide(values, *_queue(values, when), when, window, before, wanted, ranks, thresholds)
    return ranks, thresholds
