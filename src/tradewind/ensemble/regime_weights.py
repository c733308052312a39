"""Regime-conditioned weights: what each member earned while each regime ruled, and how surely it is the best there.

For regime k and member i, over the bars t that the member lived through, with p_k(t - 1) the filtered probability of the regime at the
close at which the position was decided, and d_i(t) the member's net return less the mean of all members at work,

    mean_ki = sum_t p_k(t-1) d_i(t) / sum_t p_k(t-1)        n_ki = (sum_t p_k(t-1))^2 / sum_t p_k(t-1)^2   (Kish's effective number)
    score_ki = mean_ki * n_ki / (s_k * sqrt(n_ki + 50)),    s_k^2 = the weighted mean of d_i - d_j squared over pairs of members
    W_k = softmax(score_k / temperature),                   weights = sum_k p_k(t) W_k.

score_ki is the posterior mean over the posterior deviation of a member's advantage whose prior is normal around zero with a deviation of
1 / sqrt(50) of a bar's own. The probability that i is better than j is then Phi(score_i - score_j), and since Phi(x) is within .01 of
1 / (1 + exp(-1.702 x)), a softmax at temperature .588 gives two members these very probabilities. The probability at the close before
is used, not that of the bar itself: it is what will be known when the weights are used, and a bar's own return moves its regime.
Bars are forgotten in the regime's own time, over `lookback` bars of it: a rare regime is remembered across years.

Sources: discounted statistics, West & Harrison (1997), "Bayesian Forecasting and Dynamic Models", https://doi.org/10.1007/b98971; the
logistic in the place of the normal, Bowling et al. (2009), https://doi.org/10.3926/jiem.2009.v2n1.p114-127. Costs O(regimes * members) a
bar. Fails where the regimes that the filter sees are not those that the members live by: then all W_k are near equal, or chance; and right
after a switch, by as many bars as the filter is late.
"""

from __future__ import annotations

from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.types import Array, State

__all__ = ["RegimeWeights"]

PRIOR_BARS: Final = 50.0
"""Bars that the prior of no advantage counts for: a member ahead by more than 1 / sqrt(50) = .14 of a deviation a bar is rare."""
STEADY: Final = 5.0
"""Bars over which the recent regime is averaged to tell how steady it is."""

_ARRAYS: Final = ("count", "square", "total", "spread", "recent")


@final
class RegimeWeights:
    """The records of `members` in `regimes`, both numbers; forgotten over `lookback` bars of a regime; weights at `temperature`."""

    def __init__(self, members: int, regimes: int, lookback: int, temperature: float) -> None:
        self.lookback, self.temperature = float(lookback), temperature
        self.count, self.square, self.total = (np.zeros((regimes, members)) for _ in range(3))
        self.spread = np.zeros((regimes, 2))
        self.recent = np.full(regimes, np.nan)

    def learn(self, returns: Array, awake: NDArray[np.bool_], probabilities: Array) -> None:
        """Take in a bar: net `returns` (member,) of the members `awake`, and the regime's `probabilities` (regime,) a close earlier."""
        count = int(awake.sum())
        if count < 2 or np.isnan(probabilities).any():
            return
        ahead = np.where(awake, returns - returns[awake].sum() / count, 0.0)
        # The mean over pairs of a squared difference is twice the sample variance.
        difference = 2.0 * float((ahead * ahead).sum()) / (count - 1)
        weight = probabilities[:, None]
        kept = 1.0 - weight / self.lookback * awake
        self.count = self.count * kept + weight * awake
        self.square = self.square * kept * kept + weight * weight * awake
        self.total = self.total * kept + weight * ahead
        self.spread *= 1.0 - weight / self.lookback
        self.spread[:, 0] += probabilities * difference
        self.spread[:, 1] += probabilities

    def watch(self, probabilities: Array) -> float:
        """How steady the regime is, 0 to 1, at a close with `probabilities` (regime,): 1 less the total variation distance to the mean of
        the last few bars. It falls to 0 at a sudden switch and is above .7 again six bars later; 1 where there is no regime."""
        if np.isnan(probabilities).any() or not len(probabilities):
            return 1.0
        if np.isnan(self.recent).any():
            self.recent = probabilities.copy()
        steady = float(np.minimum(probabilities, self.recent).sum())
        self.recent = self.recent + (probabilities - self.recent) / STEADY
        return min(steady, 1.0)

    def scores(self) -> Array:
        """(regime, member): posterior mean of each member's advantage in each regime over its posterior deviation; 0 without a record."""
        number = np.divide(self.count**2, self.square, out=np.zeros_like(self.count), where=self.square > 0)
        mean = np.divide(self.total, self.count, out=np.zeros_like(self.total), where=self.count > 0)
        spread = np.sqrt(np.divide(self.spread[:, 0], self.spread[:, 1], out=np.zeros(len(mean)), where=self.spread[:, 1] > 0))[:, None]
        return np.divide(mean * number, spread * np.sqrt(number + PRIOR_BARS), out=np.zeros_like(mean), where=spread > 0)

    def weights(self, probabilities: Array, awake: NDArray[np.bool_]) -> Array | None:
        """(member,) weights of the members `awake` (one at least) under `probabilities` (regime,), summing to 1; None without a regime."""
        if np.isnan(probabilities).any() or not len(probabilities):
            return None
        exponent = np.where(awake, self.scores() / self.temperature, -np.inf)
        best = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        return np.asarray(probabilities @ (best / best.sum(axis=1, keepdims=True)))

    def state(self) -> State:
        """The records as data."""
        return State({}, {name: getattr(self, name).copy() for name in _ARRAYS})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for records of another number of members or regimes."""
        for name in _ARRAYS:
            saved, mine = state.arrays.get(name), getattr(self, name)
            if saved is None or saved.shape != mine.shape:
                raise StateError(f"regime records: {name} is {None if saved is None else saved.shape}, expected {mine.shape}")
        for name in _ARRAYS:
            setattr(self, name, state.arrays[name].copy())
        return self
