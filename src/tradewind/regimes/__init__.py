"""Regimes: what kind of market each symbol is in, told bar by bar from the past alone, by rules or by learned detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tradewind.core.lazy import lazy

if TYPE_CHECKING:
    from tradewind.regimes.base import RegimeFilter, Regimes, Watch
    from tradewind.regimes.feature_columns import columns
    from tradewind.regimes.live import Live
    from tradewind.regimes.mapping import FOUR, SEVEN, SIX, mapped, matrix, project
    from tradewind.regimes.registry import descriptions, detector, detectors, register
    from tradewind.regimes.rules import RegimeRules
    from tradewind.regimes.stability import RegimeInfo, StabilityWatch, regime_info, stabilities
    from tradewind.regimes.timeframes import CrossRegimes, Timeframes, TimeframesWatch

_HOMES: Final = {
    "CrossRegimes": "timeframes",
    "FOUR": "mapping",
    "Live": "live",
    "RegimeFilter": "base",
    "RegimeInfo": "stability",
    "RegimeRules": "rules",
    "Regimes": "base",
    "SEVEN": "mapping",
    "SIX": "mapping",
    "StabilityWatch": "stability",
    "Timeframes": "timeframes",
    "TimeframesWatch": "timeframes",
    "Watch": "base",
    "columns": "feature_columns",
    "descriptions": "registry",
    "detector": "registry",
    "detectors": "registry",
    "mapped": "mapping",
    "matrix": "mapping",
    "project": "mapping",
    "regime_info": "stability",
    "register": "registry",
    "stabilities": "stability",
}

__all__ = sorted(_HOMES)

__getattr__ = lazy(__name__, _HOMES)
