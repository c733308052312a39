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

import math
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import StateError
from tradewind.core.types import Array, State

__all__ = ["RegimeWeights"]

PRIOR_BARS: Final = 50.0
"""Bars that the prior of no advantage counts for: a member ahead by more than 1 / sqrt(50) = .14 of a deviation a bar is rare."""

_ARRAYS: Final = ("count", "square", "total", "spread")


@kernel
def _learn(
    returns: Array, awake: NDArray[np.bool_], regime: Array, lookback: float, count: Array, square: Array, total: Array, spread: Array
) -> None:
    """One bar into the records (regime, member) and `spread` (regime, 2); a bar of fewer than two members tells nothing."""
    number, mean, squares = 0, 0.0, 0.0
    for i in range(len(returns)):
        if awake[i]:
            number += 1
            mean += returns[i]
    if number < 2:
        return
    mean /= number
    for i in range(len(returns)):
        if awake[i]:
            squares += (returns[i] - mean) ** 2
    # The mean over pairs of a squared difference is twice the sample variance.
    difference = 2.0 * squares / (number - 1)
    for k in range(len(regime)):
        kept = 1.0 - regime[k] / lookback
        spread[k, 0] = kept * spread[k, 0] + regime[k] * difference
        spread[k, 1] = kept * spread[k, 1] + regime[k]
        for i in range(len(returns)):
            if awake[i]:
                count[k, i] = kept * count[k, i] + regime[k]
                square[k, i] = kept * kept * square[k, i] + regime[k] * regime[k]
                total[k, i] = kept * total[k, i] + regime[k] * (returns[i] - mean)


@kernel
def _score(count: Array, square: Array, total: Array, spread: Array, scores: Array) -> None:
    """`scores` (regime, member) of the records."""
    for k in range(count.shape[0]):
        apart = math.sqrt(spread[k, 0] / spread[k, 1]) if spread[k, 1] > 0.0 else 0.0
        for i in range(count.shape[1]):
            if apart > 0.0 and count[k, i] > 0.0:
                number = count[k, i] ** 2 / square[k, i]
                scores[k, i] = total[k, i] / count[k, i] * number / (apart * math.sqrt(number + PRIOR_BARS))
            else:
                scores[k, i] = 0.0


@kernel
def _weigh(scores: Array, temperature: float, regime: Array, awake: NDArray[np.bool_], weights: Array) -> None:
    """`weights` (member,) of those awake: the softmax of each regime's scores, by the regime's probability."""
    weights[:] = 0.0
    row = np.empty(len(weights))
    for k in range(len(regime)):
        best, total = -math.inf, 0.0
        for i in range(len(weights)):
            if awake[i]:
                best = max(best, scores[k, i])
        for i in range(len(weights)):
            row[i] = math.exp((scores[k, i] - best) / temperature) if awake[i] else 0.0
            total += row[i]
        for i in range(len(weights)):
            weights[i] += regime[k] * row[i] / total


@final
class RegimeWeights:
    """The records of `members` in `regimes`, both numbers; forgotten over `lookback` bars of a regime; weights at `temperature`."""

    def __init__(self, members: int, regimes: int, lookback: int, temperature: float) -> None:
        self.lookback, self.temperature = float(lookback), float(temperature)
        self._count, self._square, self._total = (np.zeros((regimes, members)) for _ in range(3))
        self._spread = np.zeros((regimes, 2))

    def learn(self, returns: Array, awake: NDArray[np.bool_], regime: Array) -> None:
        """Take in a bar: net `returns` (member,) of the members `awake`, and the probabilities `regime` (regime,) a close earlier.

        A bar whose regime is not known (NaN) is left out.
        """
        if _known(regime):
            _learn(returns, awake, regime, self.lookback, self._count, self._square, self._total, self._spread)

    @property
    def scores(self) -> Array:
        """(regime, member): posterior mean of each member's advantage in each regime over its posterior deviation; 0 without a record."""
        scores = np.empty(self._count.shape)
        _score(self._count, self._square, self._total, self._spread, scores)
        return scores

    def standing(self, regime: Array) -> Array:
        """(member,) the scores by the probabilities `regime` (regime,) of now; 0 without a regime."""
        return np.asarray(regime @ self.scores) if _known(regime) else np.zeros(self._count.shape[1])

    def weights(self, regime: Array, awake: NDArray[np.bool_]) -> Array | None:
        """(member,) weights of the members `awake` (at least one) under the probabilities `regime` (regime,); None without a regime."""
        if not _known(regime):
            return None
        weights = np.empty(self._count.shape[1])
        _weigh(self.scores, self.temperature, regime, awake, weights)
        return weights

    def state(self) -> State:
        """The records as data."""
        return State({}, {name: getattr(self, f"_{name}").copy() for name in _ARRAYS})

    def restore(self, state: State) -> Self:
        """Become what `state` describes. Raises StateError for records of another number of members or regimes."""
        for name in _ARRAYS:
            saved, mine = state.arrays.get(name), getattr(self, f"_{name}")
            if saved is None or saved.shape != mine.shape:
                raise StateError(f"regime records: {name} is {None if saved is None else saved.shape}, expected {mine.shape}")
        for name in _ARRAYS:
            setattr(self, f"_{name}", state.arrays[name].copy())
        return self


def _known(regime: Array) -> bool:
    return len(regime) > 0 and not np.isnan(regime[0])
