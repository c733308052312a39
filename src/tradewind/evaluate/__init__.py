"""What earned what, out of sample: walk-forward, the ledger of trials, verdicts, comparing, tuning, explaining, and pages that show it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tradewind.evaluate.pages.meta_charts import Visualizer

_HOMES: Final = {"Visualizer": "pages.meta_charts"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tradewind.evaluate' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tradewind.evaluate.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
