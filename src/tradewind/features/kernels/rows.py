"""The rows of the bar block that kernels read: the six of the market, and three that the driver derives once for all of them."""

from __future__ import annotations

from typing import Final

__all__ = ["CHANGE", "CLOSE", "HIGH", "LOW", "OPEN", "ROWS", "SECOND", "TRUE_RANGE", "TYPICAL", "VOLUME"]

OPEN: Final = 0
HIGH: Final = 1
LOW: Final = 2
CLOSE: Final = 3
VOLUME: Final = 4
SECOND: Final = 5  # open_time in whole seconds, exact in float64
CHANGE: Final = 6  # simple return of the close since the symbol's previous bar
TYPICAL: Final = 7  # (high + low + close) / 3
TRUE_RANGE: Final = 8  # the bar's range, widened to the previous close
ROWS: Final = 9
