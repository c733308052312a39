"""The learned gate: weights tilted by what the predictor foresees, which count only while they beat the expert weights out of sample.

    gate_i ~ w_i exp(y_i / temperature),    w the regime's weights, y_i the predicted lead in units of its usual size

These weights are judged by what they would have earned in every bar since there was a trained predictor, whether they counted or not,
beside two rivals: the expert weights (Fixed-Share), and w itself, since weights that owe their lead to the regime alone would need no
predictor. With d(t) their return less a rival's, discounted over `meta_lookback` bars, m its mean, s its deviation and n the effective
number of bars, the lead is m sqrt(n) / s. The gate opens when both leads exceed `gate_threshold` and n a window; it closes when either
falls to 0.

Sources: prequential judgement, Dawid (1984), https://doi.org/10.2307/2981683; the comparison of forecasts, Diebold & Mariano (1995),
https://doi.org/10.1080/07350015.1995.10524599. Costs the predictor's and a few additions. Fails by opening on luck: at a threshold of 1
one test in six does, and it looks every bar; what weighs the ways of weighting bounds what that can cost.
"""

from __future__ import annotations

from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.types import Array, State
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.predictor import Predictor

__all__ = ["RIVALS", "Gate"]

RIVALS: Final = ("experts", "regimes")
"""The ways of weighting that the gate has to beat, in this order."""

_ARRAYS: Final = ("seen", "returns", "leads")


@final
class Gate:
    """The gate over `members` on `symbols` under `regimes` (numbers of them) by `config`; `proven` says whether its weights count."""

    def __init__(self, members: int, symbols: int, regimes: int, config: EnsembleConfig) -> None:
        self.predictor = Predictor(members, symbols, regimes, config)
        self.temperature, self.threshold = config.weight_temperature, config.gate_threshold
        self.keep, self.least = 1.0 - 1.0 / config.meta_lookback, float(config.performance_prediction_window)
        self.proven = False
        # Sum of weights and of squared weights; then of the candidate's returns and of the rivals', and of the leads d and d squared.
        self._seen, self._returns, self._leads = np.zeros(2), np.zeros(1 + len(RIVALS)), np.zeros((2, len(RIVALS)))

    @property
    def records(self) -> dict[str, float]:
        """Mean return a bar of the candidate and of each rival, and by how many standard errors it leads each; 0 without a record."""
        count = float(self._seen[0])
        means = self._returns / count if count > 0 else np.zeros(1 + len(RIVALS))
        told = dict(zip(("candidate", *RIVALS), means.tolist(), strict=True))
        return told | {f"ahead of {rival}": lead for rival, lead in zip(RIVALS, self._ahead().tolist(), strict=True)}

    def judge(self, candidate: float, rivals: Array) -> None:
        """Take in what the candidate's weights and the `rivals` (2,), experts and regimes, would have earned in the bar just lived."""
        if not self.predictor.trained:
            return
        ahead = candidate - rivals
        self._seen = self._seen * np.array([self.keep, self.keep**2]) + 1.0
        self._returns = self._returns * self.keep + np.array([candidate, *rivals])
        self._leads = self._leads * self.keep + np.stack([ahead, ahead * ahead])
        least = float(self._ahead().min())
        if self.proven:
            self.proven = least > 0.0
        else:
            self.proven = least > self.threshold and self._number() > self.least

    def weights(self, base: Array, regime: Array, standing: Array, awake: NDArray[np.bool_]) -> Array:
        """(member,) the candidate's weights of those `awake`: `base` (member,), tilted by the prediction."""
        tilt = self.predictor.predict(regime, standing, awake) / self.temperature
        lifted = np.where(awake, base * np.exp(tilt - tilt.max()), 0.0)
        total = float(lifted.sum())
        return lifted / total if total > 0 else base

    def _number(self) -> float:
        return float(self._seen[0] ** 2 / self._seen[1]) if self._seen[1] > 0 else 0.0

    def _ahead(self) -> Array:
        """(rival,) the mean lead over each rival in its standard errors."""
        if self._seen[0] == 0:
            return np.zeros(len(RIVALS))
        mean, square = self._leads / self._seen[0]
        variance = np.maximum(square - mean * mean, 0.0)
        return np.asarray(np.divide(mean * np.sqrt(self._number()), np.sqrt(variance), out=np.zeros_like(mean), where=variance > 0))

    def state(self) -> State:
        """The record and the predictor, as data."""
        return State({"proven": self.proven}, {name: getattr(self, f"_{name}").copy() for name in _ARRAYS}).nest(
            "predictor", self.predictor.state()
        )

    def restore(self, state: State) -> Self:
        """Go on from `state`. Raises StateError where it is of other sizes."""
        if any(name not in state.arrays or state.arrays[name].shape != getattr(self, f"_{name}").shape for name in _ARRAYS):
            raise StateError("this is no state of a gate; restore it under the config it had")
        self.predictor.restore(state.child("predictor"))
        self.proven = bool(state.values["proven"])
        for name in _ARRAYS:
            setattr(self, f"_{name}", state.arrays[name].copy())
        return self
