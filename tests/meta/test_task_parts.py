"""Parts apart in time and symbols."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.meta.task_parts import divide

NAMES = [f"S{i}" for i in range(30)]


@given(count=st.integers(1, 30), held=st.floats(0, 0.49), need=st.integers(1, 8), embargo=st.integers(0, 100), bars=st.integers(600, 2000))
def test_groups_and_spans(count: int, held: float, need: int, embargo: int, bars: int) -> None:
    told = divide(bars, NAMES[:count], (0.6, 0.2, 0.2), held, embargo, need)
    parts = [told.train, told.validation, told.test]
    assert parts[0].first == 0 and parts[2].stop == bars
    assert all(later.first - sooner.stop == embargo for sooner, later in pairwise(parts))
    if told.by_symbol:
        assert sorted(sum((part.columns for part in parts), ())) == list(range(count)) and count >= 5
        assert all(len(part.columns) >= need for part in parts) and len(parts[0].columns) >= len(parts[1].columns)
    else:
        assert all(part.columns == tuple(range(count)) for part in parts)


def test_who_is_held_out_follows_from_the_names() -> None:
    def held(names: list[str]) -> set[str]:
        return {names[column] for column in divide(1000, names, (0.6, 0.2, 0.2), 0.2, 0).test.columns}

    assert held(NAMES[:10]) == held(NAMES[:10][::-1]) and len(held(NAMES[:10])) == 2
    assert divide(1000, NAMES[:4], (0.6, 0.2, 0.2), 0.2, 0).by_symbol is False
    assert divide(1000, NAMES[:5], (0.6, 0.2, 0.2), 0.0, 0).by_symbol is False


def test_faults() -> None:
    with pytest.raises(DataError, match="100 bars leave none to the validation part behind an embargo of 20"):
        divide(100, NAMES[:2], (0.6, 0.2, 0.2), 0.2, 20)
    with pytest.raises(SettingsError, match="parts is 0"):
        divide(100, NAMES[:2], (0.0, 0.5, 0.5), 0.2, 0)
    with pytest.raises(SettingsError, match="embargo is -1"):
        divide(100, NAMES[:2], (0.6, 0.2, 0.2), 0.2, -1)
