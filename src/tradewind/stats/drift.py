"""Drift: detectors by name, tests of two samples, the monitor of a deployed model, and what alarms are worth.

    alarms = tw.stats.drift.detect(losses, "adwin", delta=0.001)
    watch = tw.stats.drift.detector("page-hinkley", threshold=10)

Cost and what each detector fails at stand in its own file; `docs/drift.md` has all of them beside one that always fires and one that never
does.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.settings import build, choose
from tradewind.stats.adwin import Adwin
from tradewind.stats.blind_detectors import AlwaysFires, NeverFires
from tradewind.stats.detector import ChangeDetector
from tradewind.stats.distances import TwoSamples, kolmogorov_smirnov, memory_length, psi, psi_limit, psi_p_value
from tradewind.stats.drift_monitor import ColumnDrift, DriftMonitor, DriftReport, LossDrift
from tradewind.stats.drift_scores import AlarmScore, score_alarms
from tradewind.stats.kswin import Kswin
from tradewind.stats.page_hinkley import PageHinkley
from tradewind.stats.window_tests import WindowTest

__all__ = [
    "Adwin",
    "AlarmScore",
    "AlwaysFires",
    "ChangeDetector",
    "ColumnDrift",
    "DriftMonitor",
    "DriftReport",
    "Kswin",
    "LossDrift",
    "NeverFires",
    "PageHinkley",
    "TwoSamples",
    "WindowTest",
    "detect",
    "detector",
    "detectors",
    "kolmogorov_smirnov",
    "memory_length",
    "psi",
    "psi_limit",
    "psi_p_value",
    "score_alarms",
]

_DETECTORS: Final[dict[str, type[ChangeDetector]]] = {
    made.name: made for made in (Adwin, Kswin, PageHinkley, WindowTest, AlwaysFires, NeverFires)
}


def detectors() -> list[str]:
    """The names that `detector` knows, the two that never look last."""
    return list(_DETECTORS)


def detector(name: str, **settings: Any) -> ChangeDetector:
    """A detector of one stream by name. Raises SettingsError, with the nearest known word, for an unknown name or setting."""
    return build(choose(name, _DETECTORS, "drift detector"), settings, f"the drift detector {name!r}")


def detect(series: ArrayLike, name: str = "adwin", **settings: Any) -> NDArray[np.int64]:
    """(alarm,) the rows of `series` (time,) at which the detector called `name` tells a drift; row t is told from rows <= t."""
    return detector(name, **settings).detect(series)
