"""Features: what models and rules see of a market, the same numbers in a batch over a history and in a stream bar by bar."""

from __future__ import annotations

from tradewind.features.batch import compute
from tradewind.features.catalog import describe, names, sets
from tradewind.features.custom import Feature, feature
from tradewind.features.fractional import fractional_difference, fractional_weights
from tradewind.features.scale import RollingStandardiser, Standardiser
from tradewind.features.stream import Live, Stream

__all__ = [
    "Feature",
    "Live",
    "RollingStandardiser",
    "Standardiser",
    "Stream",
    "compute",
    "describe",
    "feature",
    "fractional_difference",
    "fractional_weights",
    "names",
    "sets",
]
