"""The memory of large answers, used again once nobody holds the last one: fresh pages cost more than filling them.

Measured on a virtual machine, the first touch of 216 MB took 30 to 500 ms, all 27 columns of a million bars 48. Keeps one block of at most
`LARGEST` bytes. Fails on nothing: whoever still holds any view of the last answer keeps it, and the next one gets new memory.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

import numpy as np

from tradewind.core.types import Array

__all__ = ["LARGEST", "SMALLEST", "array"]

LARGEST: Final = 1 << 28
SMALLEST: Final = 1 << 22

_LOCK: Final = threading.Lock()
_KEPT: Final[list[Array]] = []
# What getrefcount counts of a block that only `_KEPT` holds: the list's own reference and the call's argument.
_FREE: Final = 2


def array(shape: tuple[int, ...]) -> Array:
    """An uninitialised array of `shape`. Every view of it holds on to the block, so a block that is only kept here is free."""
    size = int(np.prod(shape))
    if not SMALLEST <= 8 * size <= LARGEST:
        return np.empty(shape)
    with _LOCK:
        if not _KEPT or sys.getrefcount(_KEPT[0]) > _FREE or len(_KEPT[0]) < size:
            _KEPT[:] = [np.empty(size)]
        return _KEPT[0][:size].reshape(shape)
