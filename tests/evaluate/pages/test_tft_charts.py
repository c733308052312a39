"""The figures of a TFT's weights: what is drawn, how long, and that it is well-formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tradewind.evaluate.pages.tft_charts import attention_chart, selection_chart, weights_figures
from tradewind.models.tft_reading import Interpretation


def read(n: int = 3, horizons: tuple[int, ...] = (1, 5)) -> Interpretation:
    steps = len(horizons)
    encoder = np.tile([0.1, 0.6, 0.3], (n, 1))
    decoder = np.full((n, steps, 2), 0.5)
    attention = np.zeros((n, steps, 4 + steps))
    attention[:, :, 3] = 1.0
    places = np.arange(n)
    return Interpretation(
        places, places * 0, ("a", "b<c", "d"), ("distance", "hour"), horizons, np.ones((n, 1)), encoder, decoder, attention
    )


def _lengths(chart: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect [^>]*width="([0-9.]+)"', chart)]


def test_bars_are_as_long_as_their_weights_the_largest_first() -> None:
    chart = selection_chart(read().selected()["encoder"])
    ElementTree.fromstring(chart)
    lengths = _lengths(chart)
    assert lengths == sorted(lengths, reverse=True) and lengths[0] == pytest.approx(6 * lengths[2], abs=0.4)
    assert re.findall(r">([^<]+)</text>", chart) == ["b&lt;c", "60.0%", "d", "30.0%", "a", "10.0%"]
    short = selection_chart(read().selected()["encoder"], most=1)
    assert "2 others" in short and "40.0%" in short and len(_lengths(short)) == 2
    assert "Nothing to draw" in selection_chart({})


def test_attention_is_a_line_a_horizon_up_to_six() -> None:
    chart = attention_chart(read())
    ElementTree.fromstring(f"<div>{chart}</div>")
    assert "1 bar ahead" in chart and "5 bars ahead" in chart and ">now<" in chart and chart.count("<title>") == 2
    many = attention_chart(read(horizons=tuple(range(1, 21))))
    assert many.count("<title>") == 6 and "20 bars ahead" in many and ">1 bar ahead" in many


def test_all_figures_and_none() -> None:
    page = weights_figures(read())
    assert page.count("<figure>") == 3 and "mean of 3 forecasts" in page
    ElementTree.fromstring(f"<div>{page}</div>")
    assert "mean of 1 forecast." in weights_figures(read(1))
    assert "Nothing to draw" in weights_figures(read(0))
