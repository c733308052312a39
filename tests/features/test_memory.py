"""Memory is used again only when nobody can see it any more."""

from __future__ import annotations

import numpy as np

from tradewind.features import memory


def test_what_somebody_holds_is_never_written_again() -> None:
    size = memory.SMALLEST // 8
    first = memory.array((size, 1, 1))
    first[:] = 1.0
    part = first[5:9, 0]
    second = memory.array((size, 1, 1))
    second[:] = 2.0
    assert (first == 1.0).all()
    del first, second
    # `part` is a view of an answer that is gone but for it.
    third = memory.array((size, 1, 1))
    third[:] = 3.0
    assert (part == 1.0).all()


def test_what_nobody_holds_is_used_again() -> None:
    size = memory.SMALLEST // 8
    first = memory.array((size, 2, 1))
    place = first.ctypes.data
    del first
    second = memory.array((size, 1, 2))
    assert second.ctypes.data == place
    assert second.shape == (size, 1, 2)
    del second
    assert memory.array((size // 2, 2, 1)).ctypes.data == place


def test_small_and_huge_answers_are_plain_arrays() -> None:
    small = memory.array((3, 2, 1))
    assert small.base is None
    assert small.dtype == np.float64
