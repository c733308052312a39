"""How much to stake: the Kelly fraction, shrunk by what its estimate does not know, and the scale that holds a volatility.

Papers: Kelly (1956), A New Interpretation of Information Rate, https://doi.org/10.1002/j.1538-7305.1956.tb03809.x; Thorp (2006), The Kelly
Criterion in Blackjack, Sports Betting and the Stock Market, https://doi.org/10.1016/B978-044453248-0.50015-0 (returns: mean / variance);
Baker & McHale (2013), Optimal Betting Under Parameter Uncertainty, https://doi.org/10.1287/deca.2013.0271 (the shrinkage); Moreira & Muir
(2017), Volatility-Managed Portfolios, https://doi.org/10.1111/jofi.12513.
Cost: closed forms, O(size of what is asked). Fails where the edge is an estimate made from the record that chose it: the best of many
members has a mean that luck lifted, which no standard error knows. Staking above the true Kelly fraction lowers growth, from twice of it
on below zero. Fails too where losses come in jumps that the variance has not seen; a volatility target comes late to the first of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, number
from tradewind.core.types import Array

__all__ = ["kelly_bet", "kelly_fraction", "volatility_target"]


def kelly_fraction(mean: ArrayLike, variance: ArrayLike, n: ArrayLike = math.inf, *, portion: float = 1.0, cap: float = 1.0) -> Array:
    """The signed fraction of equity that lets it grow fastest: mean / variance of the returns of one unit, shrunk and within `cap`.

    `mean` and `variance` per period, `n` the number of returns that they were estimated from (infinite: they are known); all of one shape
    or broadcast to it, which is the shape of the answer. With standard error s = sqrt(variance / n) the fraction is multiplied by
    max(0, 1 - (s / mean)^2): nothing is staked on an edge smaller than its own error. `portion` of it is staked (.5 is half Kelly), `cap`
    is the most on either side. A mean that does not vary is staked up to the cap; NaN gives NaN. Raises DataError for a negative variance
    or n. Kelly (1956), Thorp (2006); Baker & McHale (2013), with the unbiased estimate of the squared edge.
    """
    _stake(portion, cap)
    edge, spread, known = _shaped(mean=mean, variance=variance, n=n)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        shrunk = edge * _trust(edge, spread / known)
        # Without an edge there is nothing to stake, however little it varies: 0 / 0 is 0 here.
        full = np.where(shrunk == 0.0, 0.0, shrunk / spread)
    return np.clip(portion * full, -cap, cap)


def kelly_bet(probability: ArrayLike, odds: ArrayLike, n: ArrayLike = math.inf, *, portion: float = 1.0, cap: float = 1.0) -> Array:
    """The fraction of equity to stake on a bet that is won with `probability` and then pays `odds` times the stake, else loses it.

    p - (1 - p) / odds, shrunk as in `kelly_fraction` where `probability` is a share of `n` trials; 0 where the bet does not pay, since one
    cannot take its other side. Shapes broadcast. Raises DataError for a probability outside [0, 1] or odds that are not positive.
    Kelly (1956); Baker & McHale (2013).
    """
    _stake(portion, cap)
    p, b, known = _shaped(probability=probability, odds=odds, n=n)
    if np.any((p < 0.0) | (p > 1.0)) or np.any(b <= 0.0):
        raise DataError("a bet needs a probability between 0 and 1 and odds above 0, the profit per unit staked")
    edge = p * (b + 1.0) - 1.0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        full = edge / b * _trust(edge, (b + 1.0) ** 2 * p * (1.0 - p) / known)
    return np.clip(portion * full, 0.0, cap)


def volatility_target(realised: ArrayLike, target: float, cap: float = 1.0) -> Array:
    """The scale, at most `cap`, that brings positions of volatility `realised` to that of `target`, both per same period; any shape.

    The cap where nothing moves, NaN where the volatility is not known. Raises DataError for a negative volatility. Moreira & Muir (2017).
    """
    number(target=target, cap=cap)
    (spread,) = _shaped(realised=realised)
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(target / spread, cap)


def _stake(portion: float, cap: float) -> None:
    fraction(portion=portion, one=True)
    number(cap=cap)


def _shaped(**values: ArrayLike) -> tuple[Array, ...]:
    """The values as float64 of one shape. Raises DataError for values below zero where there cannot be any."""
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values.values()))
    for name, array in zip(values, arrays, strict=True):
        if name in ("variance", "n", "realised") and np.any(array < 0.0):
            raise DataError(f"{name} has a value below zero ({float(np.nanmin(array)):g})")
    return tuple(arrays)


def _trust(edge: Array, squared_error: Array) -> Array:
    """The share of an estimated edge to believe: 1 where it has no error, 0 where the error is as large as the edge."""
    share = np.maximum(0.0, 1.0 - squared_error / edge**2)
    return np.where(edge == 0.0, 0.0, np.where(squared_error == 0.0, 1.0, share))
