from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tradewind.evaluate.explaining.charts import bar_chart, heat_map


def _rects(drawn: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawn).iter("rect"))


def test_bars_are_as_long_as_their_values_and_on_their_side_of_zero() -> None:
    drawn = bar_chart({"a": 2.0, "b": -1.0, "c": 0.0}, lambda value: f"{value:g}")
    a, b, c = _rects(drawn)
    zero = float(a.get("x", ""))
    assert float(a.get("width", "")) == pytest.approx(2 * float(b.get("width", "")), abs=0.2) and float(c.get("width", "")) == 0.0
    assert float(b.get("x", "")) + float(b.get("width", "")) == pytest.approx(zero, abs=0.1)
    assert "--gain" in a.get("style", "") and "--loss" in b.get("style", "")


def test_intervals_are_drawn_inside_the_chart() -> None:
    drawn = bar_chart({"a": 1.0}, str, {"a": (-3.0, 4.0)})
    path = next(iter(ElementTree.fromstring(drawn).iter("path"))).get("d", "")
    first, last = (float(point.split()[0]) for point in path[1:].split("L"))
    assert 0 < first < last < 760


def test_names_are_escaped_and_nan_is_an_empty_bar() -> None:
    drawn = bar_chart({"a<b&c": math.nan}, lambda value: "–")
    assert ElementTree.fromstring(drawn).findtext("text") == "a<b&c" and _rects(drawn)[0].get("width") == "0.0"
    assert bar_chart({"a": 0.0}, str).count("rect") == 1


def test_the_map_has_a_cell_for_every_lag_and_feature_shaded_by_size() -> None:
    values = np.array([[0.0, -4.0], [1.0, 2.0], [0.5, 0.0]])
    cells = _rects(heat_map(values, ["x", "y"], lambda value: f"{value:g}"))
    shades = [float(cell.get("style", "").rpartition(", ")[2].rstrip(")")) for cell in cells]
    assert shades == pytest.approx([0.0, 0.25, 0.125, 1.0, 0.5, 0.0])
    titles = [cell.findtext("title") for cell in cells]
    assert titles[0] == "x, 2 rows before: 0" and titles[3] == "y, 2 rows before: -4" and titles[5] == "y, 0 rows before: 0"
