"""What the regimes are called, and how the seven of tradewind read as the six and the four that other systems speak of.

A set of regimes becomes a smaller one by adding probabilities: p' = p M, with rows of M that sum to one, so that p' is a distribution
where p is. Each of the seven goes wholly where its definition puts it; a breakout or a reversal has no direction in its name and is
shared evenly between up and down. That is the convention of this house; the matrices below are all of it.

Costs one small matrix product. Fails to be reversible, since the smaller sets know less, and to tell a rising breakout from a falling one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradewind.core.errors import DataError
from tradewind.core.settings import choose
from tradewind.core.types import Array
from tradewind.regimes.base import Regimes

__all__ = ["FOUR", "SEVEN", "SIX", "mapped", "matrix", "project"]

SEVEN: Final = ("trending_bull", "trending_bear", "high_volatility_range", "low_volatility_range", "breakout", "reversal", "crisis")
"""The regimes of the rules."""

SIX: Final = ("trend_up", "trend_down", "mean_reversion", "high_volatility", "low_volatility", "sideways")
"""The set of market-regime dashboards. Both ranges revert to their mean as much as they are what their volatility says."""

FOUR: Final = ("bull", "bear", "sideways", "high_volatility")
"""The set of few-shot regime tasks."""

_TO_SIX: Final = (
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.5, 0.5, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.5, 0.5),
    (0.5, 0.5, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (0.0, 0.5, 0.0, 0.5, 0.0, 0.0),
)
_TO_FOUR: Final = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 1.0, 0.0),
    (0.5, 0.5, 0.0, 0.0),
    (0.5, 0.5, 0.0, 0.0),
    (0.0, 0.5, 0.0, 0.5),
)
_SETS: Final = {"seven": SEVEN, "six": SIX, "four": FOUR}
_MATRICES: Final = {"seven": np.eye(len(SEVEN)), "six": np.array(_TO_SIX), "four": np.array(_TO_FOUR)}


def matrix(onto: str) -> Array:
    """(7, regime of the set `onto`): the share of each of the seven that goes to each; `onto` is seven, six or four, else SettingsError."""
    return choose(onto, _MATRICES, "set of regimes").copy()


def project(probabilities: Array, onto: str) -> Array:
    """(..., regime of the set `onto`) of probabilities (..., 7) over the seven."""
    shares = choose(onto, _MATRICES, "set of regimes")
    # Added up one by one: a matrix product's last bits depend on how many rows it is asked at once, and a stream asks one.
    out = np.zeros((*probabilities.shape[:-1], shares.shape[1]))
    for k in range(len(shares)):
        out += probabilities[..., k, None] * shares[k]
    return out


def mapped(regimes: Regimes, onto: str) -> Regimes:
    """Regimes over the seven as regimes over `onto`: seven, six or four. NaN stays NaN.

    Raises SettingsError for an unknown set and DataError for regimes that are not over the seven.
    """
    names = choose(onto, _SETS, "set of regimes")
    if regimes.names != SEVEN:
        raise DataError(f"these regimes are called {', '.join(regimes.names)}; only the seven, {', '.join(SEVEN)}, are mapped")
    return Regimes(names, project(regimes.probabilities, onto), regimes.open_time, regimes.known, regimes.symbols)
