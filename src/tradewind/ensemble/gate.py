"""The learned gate: weights tilted by what the predictor foresees, which count only while they beat the expert weights out of sample.

Its candidate weights are judged by what they would have earned in every bar since there was a trained predictor, whether they counted or
not. With d(t) their return less that of the expert weights, discounted over `meta_lookback` bars, m its mean, s its deviation and n the
effective number of bars, the gate opens when m sqrt(n) / s exceeds `gate_threshold` and n a window, and closes when m falls to 0 or less.

    gate_i ~ w_i exp(y_i / (temperature)),    w the regime's weights, y_i the predicted lead in units of its usual size

Sources: prequential judgement, Dawid (1984), https://doi.org/10.2307/2981683; the comparison of forecasts, Diebold & Mariano (1995),
https://doi.org/10.1080/07350015.1995.10524599. Costs the predictor's and a few additions. Fails by opening on luck: at a threshold of 1
one test in six does, and it looks every bar; the weights above it bound what that can cost.
"""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.types import Array, State
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.predictor import Predictor

__all__ = ["Gate"]


@final
class Gate:
    """The gate over `members` on `symbols` under `regimes` (numbers of them) by `config`; `proven` says whether its weights count."""

    def __init__(self, members: int, symbols: int, regimes: int, config: EnsembleConfig) -> None:
        self.predictor = Predictor(members, symbols, regimes, config)
        self.temperature, self.threshold = config.weight_temperature, config.gate_threshold
        self.keep, self.least = 1.0 - 1.0 / config.meta_lookback, float(config.performance_prediction_window)
        self.proven = False
        # Sums of weights, squared weights, d, d squared, the candidate's returns, the experts' returns.
        self._sums = np.zeros(6)

    @property
    def records(self) -> dict[str, float]:
        """Mean return a bar of the candidate and of the experts, and how many standard errors the one is ahead; 0 without a record."""
        count, _, _, _, candidate, experts = self._sums
        if count == 0:
            return {"gate_return": 0.0, "experts_return": 0.0, "gate_ahead": 0.0}
        return {"gate_return": float(candidate / count), "experts_return": float(experts / count), "gate_ahead": self._ahead()}

    def judge(self, candidate: float, experts: float) -> None:
        """Take in what the candidate weights and the expert weights would have earned in the bar just lived."""
        if not self.predictor.trained:
            return
        ahead = candidate - experts
        self._sums *= np.array([self.keep, self.keep**2, self.keep, self.keep, self.keep, self.keep])
        self._sums += np.array([1.0, 1.0, ahead, ahead * ahead, candidate, experts])
        lead = self._ahead()
        if self.proven:
            self.proven = lead > 0.0
        else:
            self.proven = lead > self.threshold and self._number() > self.least

    def weights(self, base: Array, regime: Array, standing: Array, awake: NDArray[np.bool_]) -> Array:
        """(member,) the candidate's weights of those `awake`: `base` (member,), tilted by the prediction."""
        tilt = self.predictor.predict(regime, standing, awake) / self.temperature
        lifted = np.where(awake, base * np.exp(tilt - tilt.max()), 0.0)
        total = float(lifted.sum())
        return lifted / total if total > 0 else base

    def _number(self) -> float:
        return float(self._sums[0] ** 2 / self._sums[1])

    def _ahead(self) -> float:
        count, _, total, squares, _, _ = self._sums
        mean = total / count
        variance = max(squares / count - mean * mean, 0.0)
        return float(mean * np.sqrt(self._number() / variance)) if variance > 0 else 0.0

    def state(self) -> State:
        """The record and the predictor, as data."""
        return State({"proven": self.proven}, {"sums": self._sums.copy()}).nest("predictor", self.predictor.state())

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError where it is of other sizes."""
        if "sums" not in state.arrays or state.arrays["sums"].shape != self._sums.shape:
            raise StateError("this is no state of a gate; restore it under the config it had")
        self.predictor.restore(state.child("predictor"))
        self.proven, self._sums = bool(state.values["proven"]), state.arrays["sums"].copy()
        return self
