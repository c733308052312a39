"""How a task is cut out of a series, against the search written out sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.meta.kinds.series import Demand, Series


def series(rows: list[int], reach: list[int], labels: list[int], stride: int) -> Series:
    """Samples at `rows`, whose labels end `reach` rows later; row r is closed at time r."""
    at = np.asarray(rows, dtype=np.int64)
    ends = np.maximum.accumulate(at + np.asarray(reach, dtype=np.int64))
    panel = np.arange(400, dtype=np.float32).reshape(400, 1, 1)
    return Series(("A",), ((panel, (0,)),), at, ends, at, ends, np.asarray(labels, dtype=np.int64), np.zeros(len(at), np.float32), stride)


def searched(one: Series, anchor: int, demand: Demand) -> tuple[list[int], list[int]] | None:
    query = [anchor + one.stride * i for i in range(demand.queries)]
    known = [i for i in range(len(one.rows)) if one.ends[i] < one.rows[anchor]]
    if not known or query[-1] >= len(one.rows):
        return None
    back = list(range(known[-1], -1, -one.stride))
    if not (demand.ways and demand.balanced):
        support = back[: demand.shots]
        alike = demand.ways and len({int(one.labels[i]) for i in support}) < 2
        return None if len(support) < demand.shots or alike else (support[::-1], query)
    chosen = []
    for way in range(demand.ways):
        of = [i for i in back[: demand.lookback] if one.labels[i] == way][: demand.shots]
        if len(of) < demand.shots:
            return None
        chosen += of
    return sorted(chosen), query


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_tasks_are_those_that_a_search_finds(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 45))
    rows = np.cumsum(data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))).tolist()
    reach = data.draw(st.lists(st.integers(1, 8), min_size=count, max_size=count))
    ways = data.draw(st.sampled_from([0, 2, 3]))
    labels = data.draw(st.lists(st.integers(0, max(0, ways - 1)), min_size=count, max_size=count))
    one = series(rows, reach, labels, data.draw(st.integers(1, 4)))
    shots = data.draw(st.integers(1, 3))
    demand = Demand(shots, data.draw(st.integers(1, 4)), ways, data.draw(st.integers(shots, 12)), data.draw(st.booleans()))
    found = {int(anchor): tuple(part.tolist() for part in one.cut(int(anchor), demand)) for anchor in one.anchors(demand)}
    expected: dict[int, Any] = {anchor: searched(one, anchor, demand) for anchor in range(count)}
    assert found == {anchor: task for anchor, task in expected.items() if task is not None}


def test_inputs_of_windows_and_columns() -> None:
    panel = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    at = np.array([4, 6])
    one = Series(("A", "B"), ((panel, (2, 0)), (panel[:, :1], (0,))), at, at, at, at, at, np.zeros(2, np.float32), 1, 3)
    assert one.shape == (3, 6)
    shown = one.inputs(np.array([1]))[0]
    for step, row in enumerate((4, 5, 6)):
        assert shown[step].tolist() == [*panel[row, 2], *panel[row, 0], *panel[row, 0]]
