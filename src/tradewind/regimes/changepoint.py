"""Bayesian online change-point detection: the probability of every length of the present run, in which returns have one mean and variance.

Paper: Adams and MacKay 2007, https://arxiv.org/abs/0710.3742, with a normal-inverse-gamma prior (Murphy 2007); the least probable run
lengths are dropped, as in Fearnhead and Liu 2007, https://doi.org/10.1111/j.1467-9868.2007.00601.x. Cost: O(runs) a bar, whatever
the length of the history. Fails where returns have fat tails within a run: an outlier then looks like the beginning of a wilder run; and
where volatility drifts rather than jumps, which it tells as a chain of small changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import ArrayLike

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.regimes import changepoint_kernels as kernels
from tradewind.regimes.recursive import Advance, Parameters, Recursive

__all__ = ["Changepoint", "RunLengths", "run_lengths"]

_LEAST_BARS: Final = 20
"""Returns that a fit asks for."""


@final
@dataclass(frozen=True, eq=False)
class RunLengths:
    """What is believed of the present run after each value, each (time,) or (time, symbol).

    `changed`: the probability that it began with one of the last `recent` values; `turbulent`: that it did not, and that its variance is
    above the long-run one; `expected` and `likeliest` run length, 1 for a run that began with this value; `log_evidence`: the log density
    of the value, predicted from those before it.
    """

    changed: Array
    turbulent: Array
    expected: Array
    likeliest: Array
    log_evidence: Array


def run_lengths(
    values: ArrayLike,
    hazard: float,
    mean: float,
    strength: float,
    shape: float,
    scale: float,
    runs: int = 200,
    recent: int = 5,
    variance: float | None = None,
) -> RunLengths:
    """Adams and MacKay's recursion over `values` (time,) of any kind, finite and under 1e100 in size.

    Each value begins a new run with probability `hazard`. A run's variance is inverse-gamma(`shape`, `scale`), and its mean normal around
    `mean` with that variance over `strength`. `variance` is what counts as turbulent, the prior's scale over shape when not given. `runs`
    hypotheses are kept: with as many as there are values the answer is exact. Raises SettingsError for settings that cannot be, DataError
    for values that are not so.
    """
    x = np.ascontiguousarray(values, dtype=np.float64)
    if x.ndim != 1 or not (np.abs(x) < 1e100).all():
        raise DataError(f"values have shape {x.shape}; they are (time,), all of them finite and under 1e100 in size")
    fraction(zero=True, hazard=hazard)
    number(strength=strength, shape=shape, scale=scale)
    whole(runs=runs, recent=recent)
    level = scale / shape if variance is None else variance
    number(variance=level)
    prior = (float(mean), float(strength), float(shape), float(scale))
    return RunLengths(*kernels.detect(x, float(hazard), prior, float(level), float(recent), runs).T)


@final
class Changepoint(Recursive):
    """Regimes calm, turbulent and changed: `changed` while the run probably began within the last `recent` bars, and of the rest
    `turbulent` by the probability that the run's variance is above that of the training part.

    `hazard`: the probability that a bar begins a new run, so that runs last 1 / hazard bars on average. `runs`: how many hypotheses are
    kept. Prior of a run, in units of the training part's deviation: a mean known as if from `strength` bars of mean zero, and a variance
    that is inverse-gamma with `shape` above 1 and the training part's variance as its mean. A fit learns the mean and the deviation of a
    symbol's returns, no more. Raises SettingsError for settings that cannot be.
    """

    name: ClassVar[str] = "bocpd"
    names = ("calm", "turbulent", "changed")

    def __init__(self, hazard: float = 0.004, runs: int = 100, recent: int = 5, strength: float = 10.0, shape: float = 2.0) -> None:
        fraction(zero=True, hazard=hazard)
        whole(runs=runs, recent=recent)
        number(strength=strength, shape=shape)
        require(shape > 1, f"shape is {shape!r}; a variance has a mean for shapes above 1 only")
        self.hazard, self.runs, self.recent, self.strength, self.shape = float(hazard), runs, recent, float(strength), float(shape)
        self.warmup = recent + 1

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("hazard", "runs", "recent", "strength", "shape")}

    def run_lengths(self, market: Market) -> RunLengths:
        """What is believed of the run of each bar and symbol, from bars up to it; NaN during the warm-up and where a symbol has no bar.

        The log evidence is that of returns in units of the training part's deviation. Raises NotFitted before `fit`.
        """
        learned = self._of(market.symbols)["learned"]
        return RunLengths(*np.moveaxis(self._bars(learned, market, self._memory(len(learned))), 2, 0))

    def _given(self) -> Parameters | None:
        return None

    def _learn(self, bars: Market) -> Parameters | None:
        close = bars.close[:, 0]
        returns = close[1:] / close[:-1] - 1.0
        if len(returns) < _LEAST_BARS:
            return None
        deviation = returns.std()
        # A market that never moves has no scale; any will do for values that are all the same.
        return {"learned": np.array([returns.mean(), deviation if deviation > 1e-12 else 1.0])}

    def _begin(self, parameters: Parameters) -> tuple[Array, Advance]:
        learned = parameters["learned"]
        return self._memory(len(learned)), partial(self._advance, learned)

    def _memory(self, symbols: int) -> Array:
        memory = np.zeros((symbols, 2 + kernels.BLOCKS * self.runs))
        memory[:, 0] = np.nan
        return memory

    def _bars(self, learned: Array, market: Market, memory: Array) -> Array:
        return kernels.filter_bars(market.close, self.hazard, self.strength, self.shape, float(self.recent), learned, memory)

    def _advance(self, learned: Array, market: Market, memory: Array) -> Array:
        out = self._bars(learned, market, memory)
        changed, turbulent = out[:, :, 0], out[:, :, 1]
        return np.stack([np.maximum(1.0 - changed - turbulent, 0.0), turbulent, changed], axis=2)
