"""Windows against the plainest way to find them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.nets.windows import windows


def _plain(values, usable, size, reach, open_time, step):  # type: ignore[no-untyped-def]
    """{(time, symbol): window} by looking back row by row."""
    found = {}
    for t in range(usable.shape[0]):
        for s in range(usable.shape[1]):
            rows = [r for r in range(t + 1) if usable[r, s]][-size:]
            if not usable[t, s] or len(rows) < size:
                continue
            if reach is not None and t - rows[0] >= reach:
                continue
            if step is not None and any(open_time[b] - open_time[a] > step for a, b in pairwise(rows)):
                continue
            found[t, s] = values[rows, s]
    return found


@given(
    n=st.integers(1, 30), symbols=st.integers(1, 3), size=st.integers(1, 6), share=st.floats(0, 1), seed=st.integers(0, 99), data=st.data()
)
@settings(deadline=None)
def test_equal_to_looking_back_row_by_row(n: int, symbols: int, size: int, share: float, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, symbols, 2)).astype(np.float32).astype(np.float64)
    usable = random.uniform(size=(n, symbols)) < share
    open_time = np.cumsum(random.integers(1, 3, n)).astype(np.int64)
    reach = data.draw(st.none() | st.integers(size, 2 * size))
    step = data.draw(st.none() | st.integers(1, 3))
    found = windows(values, usable, size, reach, open_time, step)
    expected = _plain(values, usable, size, reach, open_time, step)
    assert list(zip(found.time.tolist(), found.symbol.tolist(), strict=True)) == sorted(expected)
    if len(found):
        gathered = found.gather(torch.arange(len(found)))
        assert gathered.dtype == torch.float32
        np.testing.assert_array_equal(gathered.numpy(), np.stack([expected[key] for key in sorted(expected)]))


@pytest.mark.parametrize(("rows", "sequences"), [(5_808, 5_744), (1_453, 1_389)])
def test_the_guides_arithmetic(rows: int, sequences: int) -> None:
    # 64 rows say what the 65th does: the last window of a part has no answer in it.
    found = windows(np.zeros((rows, 1, 14)), np.ones((rows, 1), dtype=np.bool_), 64)
    assert int((found.time < rows - 1).sum()) == sequences and found.time[-1] == rows - 1


def test_taking_some_shares_the_rows() -> None:
    found = windows(np.arange(12.0).reshape(6, 2, 1), np.ones((6, 2), dtype=np.bool_), 2)
    some = found.take(found.time % 2 == 1)
    assert some.time.tolist() == [1, 1, 3, 3, 5, 5] and some.symbol.tolist() == [0, 1] * 3
    np.testing.assert_array_equal(some.gather(torch.tensor([2, 5]))[:, :, 0].numpy(), [[4, 6], [9, 11]])
    assert some.rows.data_ptr() == found.rows.data_ptr()


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        windows(np.zeros((3, 1, 1)), np.ones((3, 1), dtype=np.bool_), 0)
