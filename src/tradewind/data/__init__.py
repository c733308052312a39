"""Floor 2, bars: read, quality, store, resample, the bundled sample, exchanges and synthetic markets.

The public names load on first use: polars, pyarrow and DuckDB cost nothing to those who do not ask for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tradewind.data import synthetic
    from tradewind.data.bundled import sample
    from tradewind.data.exchange import fetch
    from tradewind.data.inspection import Quality, quality
    from tradewind.data.reading import read
    from tradewind.data.resampling import join_asof, resample
    from tradewind.data.store import Store

_HOMES: Final = {
    "Quality": "tradewind.data.inspection:Quality",
    "Store": "tradewind.data.store:Store",
    "fetch": "tradewind.data.exchange:fetch",
    "join_asof": "tradewind.data.resampling:join_asof",
    "quality": "tradewind.data.inspection:quality",
    "read": "tradewind.data.reading:read",
    "resample": "tradewind.data.resampling:resample",
    "sample": "tradewind.data.bundled:sample",
    "synthetic": "tradewind.data.synthetic",
}

__all__ = ["Quality", "Store", "fetch", "join_asof", "quality", "read", "resample", "sample", "synthetic"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tradewind.data' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
