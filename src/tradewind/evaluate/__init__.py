"""What earned what, out of sample: walk-forward, the ledger of trials, verdicts, comparing, tuning, explaining, and pages that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tradewind.core.lazy import lazy

if TYPE_CHECKING:
    from tradewind.evaluate.pages.meta_charts import Visualizer

_HOMES: Final = {"Visualizer": "pages.meta_charts"}

__all__ = sorted(_HOMES)

__getattr__ = lazy(__name__, _HOMES)
