"""The paper record of the whole: what its mix earned, overall and by regime; how surely it gains, and how much to stake on it.

A bar's return r counts for regime k with the filtered probability p_k of the close before, and is forgotten over `lookback` bars of that
regime. With mean m, variance v and effective number n of a regime's bars and a prior of 50 bars at zero, the return over the next h bars is
normal with mean h m n / (n + 50) and variance h v (1 + h / (n + 50)): the probability that it is above zero is the confidence, averaged
over regimes by their probability now.

The stake: the positions that the members ask for are taken for right beforehand, which is a Kelly fraction of one and so a mean of v a bar,
as surely as a year of bars would tell. The Kelly fraction of the posterior mean, between 0 and 1, scales the whole: it falls where the
record speaks against the stake, and a short or lucky record changes little.

Sources: Kelly (1956), https://doi.org/10.1002/j.1538-7305.1956.tb03809.x; conjugate normal updating, Gelman et al. (2013), section 2.5.
Costs O(regimes) a bar. Fails where returns are far from normal over h bars, and where the mix of the past was another than that of now.
"""

from __future__ import annotations

import math
from typing import Final, Self, final

import numpy as np

from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.types import Array, State
from tradewind.portfolio.sizing import kelly_fraction, volatility_target

__all__ = ["PaperRecord"]

PRIOR_BARS: Final = 50.0
"""Bars that the prior of no gain counts for."""


@kernel
def _learn(earned: float, regime: Array, lookback: float, window: float, sums: Array, recent: Array) -> None:
    """One bar into `sums` (4, 1 + regime) and `recent` (2,)."""
    for k in range(sums.shape[1]):
        weight = 1.0 if k == 0 else regime[k - 1]
        if weight != weight:
            continue
        kept = 1.0 - weight / lookback
        sums[0, k] = kept * sums[0, k] + weight
        sums[1, k] = kept * kept * sums[1, k] + weight * weight
        sums[2, k] = kept * sums[2, k] + weight * earned
        sums[3, k] = kept * sums[3, k] + weight * earned * earned
    recent[0] += (earned * earned - recent[0]) / window
    recent[1] += (1.0 - recent[1]) / window


@final
class PaperRecord:
    """Discounted moments of one series of returns: row 0 over all bars, the others by regime, of which there are `regimes`.

    `window`: the bars over which confidence is stated and over which the recent volatility is measured.
    """

    def __init__(self, regimes: int, lookback: int, window: int) -> None:
        self.lookback, self.window = float(lookback), window
        # Rows: sum of weights, sum of squared weights, weighted sum of returns, weighted sum of squared returns.
        self._sums = np.zeros((4, regimes + 1))
        self._recent = np.zeros(2)

    def learn(self, earned: float, regime: Array) -> None:
        """Take in the return of a bar, and the probabilities `regime` (regime,) at the close before; NaN counts for no regime."""
        _learn(earned, regime, self.lookback, float(self.window), self._sums, self._recent)

    def moments(self) -> tuple[Array, Array, Array]:
        """(1 + regime,) each: mean and variance a bar, and the effective number of bars that they come from; 0 without any."""
        count, square, total, squares = self._sums
        known = count > 0
        mean = np.divide(total, count, out=np.zeros_like(count), where=known)
        variance = np.maximum(np.divide(squares, count, out=np.zeros_like(count), where=known) - mean * mean, 0.0)
        return mean, variance, np.divide(count * count, square, out=np.zeros_like(count), where=known)

    def confidence(self, regime: Array) -> float:
        """The probability that the mix gains, net, over the next `window` bars, given the probabilities `regime` (regime,) now.

        Without a regime it comes from all bars. One half where nothing is known.
        """
        mean, variance, number = self.moments()
        known = len(regime) > 0 and not np.isnan(regime[0])
        sure = 0.0
        for k, share in enumerate([0.0, *regime.tolist()] if known else [1.0]):
            if share == 0.0:
                continue
            believed = number[k] + PRIOR_BARS
            spread = math.sqrt(self.window * variance[k] * (1.0 + self.window / believed))
            ahead = self.window * mean[k] * number[k] / believed
            sure += share * (0.5 * math.erfc(-ahead / spread / math.sqrt(2.0)) if spread > 0 else 0.5 + 0.5 * float(np.sign(ahead)))
        return min(max(sure, 0.0), 1.0)

    def kelly(self, periods_per_year: float) -> float:
        """The share, 0 to 1, of what the members ask for that the record supports; 1 before there is one."""
        mean, variance, number = (float(moment[0]) for moment in self.moments())
        if variance <= 0:
            return 1.0
        posterior = (number * mean + periods_per_year * variance) / (number + periods_per_year)
        return max(0.0, float(kelly_fraction(posterior, variance, cap=1.0)))

    def scale_to(self, target: float, periods_per_year: float, cap: float) -> float:
        """What brings the mix of the last `window` bars to the annual volatility `target`, at most `cap`, which it is without a record."""
        squares, weight = self._recent
        if squares <= 0:
            return cap
        return float(volatility_target(math.sqrt(squares / weight * periods_per_year), target, cap))

    def state(self) -> State:
        """The record as data."""
        return State({}, {"sums": self._sums.copy(), "recent": self._recent.copy()})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for a record of another number of regimes."""
        for name in ("sums", "recent"):
            saved, mine = state.arrays.get(name), getattr(self, f"_{name}")
            if saved is None or saved.shape != mine.shape:
                raise StateError(f"paper record: {name} is {None if saved is None else saved.shape}, expected {mine.shape}")
        self._sums, self._recent = state.arrays["sums"].copy(), state.arrays["recent"].copy()
        return self
