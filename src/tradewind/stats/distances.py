"""How far two samples lie apart: the population stability index and the Kolmogorov-Smirnov distance, with what chance makes of them.

Papers: Lewis (1994), An Introduction to Credit Scoring (the index); Yurdakul & Naranjo (2020), Statistical Properties of the Population
Stability Index, https://doi.org/10.21314/JRMV.2020.227 (its law: (1/n + 1/m) times chi-square); Viehmann (2021), Numerically More Stable
Computation of the p-Values for the Two-Sample Kolmogorov-Smirnov Test, https://arxiv.org/abs/2102.08037 (the exact p-value); Stephens
(1970), https://doi.org/10.1111/j.2517-6161.1970.tb00821.x (the approximation beyond).
Cost: O((n + m) log(n + m)); an exact p-value O(n m). Fails on autocorrelated values, of which n are worth fewer: `memory_length` says how
many make one, and the p-values here count with it; on trends nothing helps. The customary limits of the index, .1 and .25, know nothing of
n and fire on small windows by chance alone. With many ties the exact p-value is too large, which is the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, chdtri, kolmogorov

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.types import Array

__all__ = [
    "TwoSamples",
    "bin_shares",
    "index_of_shares",
    "kolmogorov_p_value",
    "kolmogorov_smirnov",
    "memory_length",
    "psi",
    "psi_edges",
    "psi_limit",
    "psi_p_value",
]

EXACT: Final = 250_000
"""Pairs of values up to which a p-value is counted path by path."""
LEAST_SHARE: Final = 0.5
"""Values that an empty bin is taken to hold, so that its logarithm is finite."""


@final
@dataclass(frozen=True)
class TwoSamples:
    """`distance`: the largest difference of the two distribution functions. `p_value`: the chance of as much under one law."""

    distance: float
    p_value: float


def kolmogorov_smirnov(first: ArrayLike, second: ArrayLike, memory: float = 1.0) -> TwoSamples:
    """The two-sided test of `first` (n,) against `second` (m,), NaN left out; both NaN where either is empty.

    Exact while n m is at most 250,000 and `memory` is 1. `memory`: values of the stream that are worth one independent one, see
    `memory_length`; the distance stays, the sample sizes shrink by it. Raises DataError for infinite values or another rank.
    """
    number(memory=memory)
    a, b = _sample(first), _sample(second)
    if not len(a) or not len(b):
        return TwoSamples(math.nan, math.nan)
    everything = np.concatenate([a, b])
    up_to_a = np.searchsorted(a, everything, side="right")
    up_to_b = np.searchsorted(b, everything, side="right")
    # In whole steps of 1 / (n m), so that no rounding decides whether a path touches.
    steps = int(np.abs(up_to_a * len(b) - up_to_b * len(a)).max())
    distance = steps / (len(a) * len(b))
    if memory == 1.0 and len(a) * len(b) <= EXACT:
        return TwoSamples(distance, min(1.0, float(_chance_of_touching(len(a), len(b), steps))))
    return TwoSamples(distance, kolmogorov_p_value(distance, len(a) / memory, len(b) / memory))


def kolmogorov_p_value(distance: float, n: float, m: float) -> float:
    """The chance, nearly, that samples worth `n` and `m` independent values of one law lie at least `distance` apart. Stephens (1970)."""
    number(n=n, m=m)
    root = math.sqrt(n * m / (n + m))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def psi_edges(reference: ArrayLike, bins: int = 10) -> Array:
    """(edge,) the inner edges of `bins` bins that hold equal shares of `reference` (n,), NaN left out; fewer where values repeat.

    Where there are no more different values than bins, each has its own. Raises DataError for fewer values than bins.
    """
    whole(2, bins=bins)
    values = _sample(reference)
    if len(values) < bins:
        raise DataError(f"a reference of {len(values)} values makes no {bins} bins; it takes at least one value for each")
    distinct = np.unique(values)
    if len(distinct) <= bins:
        return distinct[:-1]
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    # Nothing of the reference lies above its largest value: that would be a bin of nobody.
    return np.asarray(edges[edges < values[-1]])


def psi(reference: ArrayLike, sample: ArrayLike, bins: int = 10) -> float:
    """The population stability index of `sample` (m,) against `reference` (n,): the sum over the reference's equal-share bins of
    (q - p) ln(q / p). NaN values are left out; NaN where the sample is empty. A bin without a value counts as if it held half of one.
    """
    edges = psi_edges(reference, bins)
    held = _sample(sample)
    return index_of_shares(bin_shares(reference, edges), bin_shares(held, edges)) if len(held) else math.nan


def bin_shares(values: ArrayLike, edges: Array) -> Array:
    """(bin,) the shares of `values` (n,), NaN left out, that lie up to each of `edges` (edge,) and above the last; none is quite 0."""
    held = _sample(values)
    counts = np.bincount(np.searchsorted(edges, held, side="left"), minlength=len(edges) + 1).astype(np.float64)
    return np.asarray(np.maximum(counts, LEAST_SHARE) / max(1, len(held)))


def index_of_shares(reference: Array, sample: Array) -> float:
    """The population stability index of shares (bin,) of a sample against those of the reference."""
    return float(((sample - reference) * np.log(sample / reference)).sum())


def psi_limit(n: float, m: float, bins: int = 10, alpha: float = 0.05) -> float:
    """The index that samples of `n` and `m` independent values of one law exceed with a chance of `alpha`. Yurdakul & Naranjo."""
    fraction(alpha=alpha)
    number(n=n, m=m)
    return float((1.0 / n + 1.0 / m) * chdtri(bins - 1, alpha))


def psi_p_value(index: float, n: float, m: float, bins: int = 10) -> float:
    """The chance that two independent samples of `n` and `m` values of one law show at least this `index`. Yurdakul & Naranjo (2020)."""
    number(n=n, m=m)
    return float(chdtrc(bins - 1, index / (1.0 / n + 1.0 / m)))


def memory_length(series: ArrayLike) -> float:
    """How many values of `series` (time,), NaN left out, are worth one independent one: 1 plus twice the sum of the autocorrelations of its
    ranks, over lags that Geyer's (1992) initial monotone sequence keeps; at least 1. https://doi.org/10.1214/ss/1177011137
    """
    values = np.asarray(series, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 4 or (values == values[0]).all():
        return 1.0
    # Equal values share their rank: told apart by their time, they would seem to trend.
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place] - (n + 1) / 2.0
    spectrum = np.fft.rfft(ranks, 2 * n)
    autocorrelation = np.fft.irfft(spectrum * spectrum.conj())[:n]
    pairs = (autocorrelation[: n - n % 2] / autocorrelation[0]).reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0.0)
    kept = np.minimum.accumulate(pairs[: negative[0]] if len(negative) else pairs)
    return max(1.0, float(2.0 * kept.sum() - 1.0))


def _sample(values: ArrayLike) -> Array:
    """The values that are there, sorted. Raises DataError for infinite ones or another rank."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or np.isinf(array).any():
        raise DataError(f"a sample is finite values (n,) with NaN for missing ones; this has shape {array.shape} or infinite values")
    return np.sort(array[~np.isnan(array)])


@kernel
def _chance_of_touching(n: int, m: int, steps: int) -> float:
    """The share of the monotone paths from (0, 0) to (n, m) that somewhere have |i m - j n| >= steps, summed without cancellation."""
    row = np.empty(m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i * m - j * n) >= steps:
                row[j] = 1.0
            elif i == 0 and j == 0:
                row[j] = 0.0
            elif i == 0:
                row[j] = row[j - 1]
            elif j > 0:
                row[j] = (i * row[j] + j * row[j - 1]) / (i + j)
    return float(row[m])
