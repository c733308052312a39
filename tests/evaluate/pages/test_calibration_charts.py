"""Calibration charts: every bin stands where its numbers say, and names cannot break the page."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tradewind.evaluate.pages.calibration_charts import LEFT, SIDE, TOP, calibration_chart
from tradewind.stats import Calibration, calibration, quantile_calibration


def circles(chart: str) -> list[dict[str, str]]:
    return [element.attrib for element in ET.fromstring(chart).iter() if element.tag.endswith("circle")]


def test_every_bin_is_a_circle_where_its_numbers_say() -> None:
    curve = Calibration(np.array([0.0, 0.5, 1.0]), np.array([0.25, 0.5, 1.0]), np.array([1, 98, 1]), 0.01)
    chart = calibration_chart({"ridge": curve}, "probability", "rose")
    found = circles(chart)
    assert [float(c["cx"]) for c in found] == [LEFT, LEFT + SIDE / 2, LEFT + SIDE]
    assert [float(c["cy"]) for c in found] == [TOP + 0.75 * SIDE, TOP + SIDE / 2, TOP]
    sizes = [float(c["r"]) for c in found]
    assert sizes[0] == sizes[2] < sizes[1] / 3
    assert "ridge: probability 0.500, rose 0.500, 98 rows" in chart and ">probability<" in chart and ">rose<" in chart
    path = re.search(r'class="line c0" d="([^"]*)"', chart)
    assert path is not None and len(re.findall(r"[ML]", path[1])) == 3


def test_a_perfect_forecast_lies_on_the_diagonal() -> None:
    levels = (0.1, 0.3, 0.5, 0.7, 0.9)
    truth = np.arange(1000) / 1000.0
    curve = quantile_calibration(truth, np.tile(np.array(levels) - 0.0005, (1000, 1)), levels)
    for circle in circles(calibration_chart({"perfect": curve})):
        assert float(circle["cx"]) - LEFT == pytest.approx(TOP + SIDE - float(circle["cy"]), abs=0.11)


def test_curves_without_rows_are_left_out_and_colours_stay_with_their_names() -> None:
    nothing = calibration([], [])
    some = calibration([0, 1], [0.2, 0.8])
    chart = calibration_chart({"first": nothing, "<b>second": some}, first=1)
    assert "c2" in chart and 'class="line c1"' not in chart and "<b>" not in chart
    assert "nan" not in chart and len(circles(chart)) == 2
    assert "Nothing to draw" in calibration_chart({"first": nothing}) == calibration_chart({})
    assert math.isnan(nothing.error)
