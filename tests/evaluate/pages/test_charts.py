from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.clock import DAY, HOUR, parse_time
from tradewind.evaluate.pages.charts import Axis, line_chart, month_table, nice_ticks, over_time

PLAIN = Axis(lambda v: f"{v:g}")


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 10.0, False, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (-0.32, 0.11, False, [-0.3, -0.2, -0.1, 0.0, 0.1]),
        (0.09, 1.2, True, [0.1, 0.2, 0.5, 1.0]),
        (0.001, 100.0, True, [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]),
        (0.9, 1.3, True, [0.9, 1.0, 1.1, 1.2, 1.3]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    assert nice_ticks(low, high, log) == pytest.approx(expected)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 12 and all(low <= tick <= low + span for tick in ticks)


def _points(chart: str) -> list[tuple[float, float]]:
    path = re.search(r' d="([^"]*)"', chart)
    assert path is not None
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path[1])]


def test_no_spike_is_lost_when_a_line_is_thinned() -> None:
    values = np.zeros(200_000)
    values[123_456], values[7] = 5.0, -3.0
    heights = [y for _, y in _points(line_chart(np.arange(200_000.0), {"x": values}, PLAIN, []))]
    assert len(heights) < 2_000
    top, bottom = min(heights), max(heights)
    assert sum(y == top for y in heights) == 1 and sum(y == bottom for y in heights) == 1


def test_missing_values_leave_a_gap_and_no_nan_in_the_page() -> None:
    values = np.array([1.0, 2.0, math.nan, 2.0, 1.0, math.inf])
    chart = line_chart(np.arange(6.0), {"x": values}, PLAIN, [])
    assert chart.count("M") == 2 and "nan" not in chart and "inf" not in chart


def test_nothing_to_draw_says_so() -> None:
    assert "Nothing to draw" in line_chart(np.arange(3.0), {"x": np.full(3, math.nan)}, PLAIN, [])


def test_names_are_escaped() -> None:
    assert "<i>" not in line_chart(np.arange(3.0), {"<i>": np.arange(3.0)}, PLAIN, [])


@pytest.mark.parametrize(("step", "bars", "label"), [(HOUR, 100, "2021-02-02"), (DAY, 200, "2021-03"), (DAY, 4_000, "2022")])
def test_dates_are_round(step: int, bars: int, label: str) -> None:
    times = parse_time("2021-02-01") + step * np.arange(bars)
    chart = over_time(times, {"x": np.arange(float(bars))}, PLAIN)
    assert f">{label}<" in chart and 2 <= chart.count('text-anchor="middle"') <= 9


def test_month_table_compounds_the_year_and_shades_by_sign() -> None:
    table = month_table({2021: {1: 0.1, 3: -0.5}}, lambda v: f"{100 * v:.0f}")
    assert '<td class="sum">-45</td>' in table
    assert '<td class="gain" style="--strength:0.20">10</td>' in table and '<td class="loss" style="--strength:1.00">-50</td>' in table
    assert table.count("<td></td>") == 10
