"""Pages of meta-learning: what is drawn, what is said instead, and that equal numbers give equal bytes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from tradewind.core.errors import SettingsError
from tradewind.evaluate.pages.meta_charts import Visualizer, adaptation_page, flow_page, training_page
from tradewind.meta.gradients import GradientInspection
from tradewind.meta.metrics import MetaLearningMetrics


def charts(page: str) -> list[ElementTree.Element]:
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    return [svg for svg in found if svg.get("role") == "img"]


def heights(path: str) -> list[float]:
    return [float(y) for _, y in re.findall(r"[ML](\S+) (\S+?)(?=[ML]|$)", path)]


def test_training_progress_is_drawn_and_smoothed(tmp_path: Path) -> None:
    metrics = MetaLearningMetrics()
    random = np.random.default_rng(0)
    for step in range(400):
        metrics.track({"meta_loss": 1.0 / (1 + step / 50) + 0.1 * random.standard_normal(), "odd<name>": math.nan})
    place = Visualizer(tmp_path / "plots").plot_training_progress(metrics.metrics_history)
    page = place.read_text()
    assert place == tmp_path / "plots" / "training_progress.html"
    (chart,) = charts(page)
    told, mean = (heights(path.get("d", "")) for path in chart.iter("path"))
    assert len(told) == 400 and len(mean) == 351
    assert np.abs(np.diff(mean)).max() < 0.2 * np.abs(np.diff(told)).max()
    assert mean[-1] > mean[0]  # further down on the page: the loss fell
    recent = np.mean(metrics.metrics_history["meta_loss"][-50:])
    assert f"meta_loss: {recent:.3g} over the last 50" in page
    assert "Nothing to draw of odd&lt;name&gt;." in page
    assert page == training_page(metrics.metrics_history)


def test_a_short_history_is_drawn_as_it_was_told() -> None:
    (chart,) = charts(training_page({"accuracy": [0.5, math.nan, 0.75]}))
    (line,) = chart.iter("path")
    assert line.get("d", "").count("M") == 2


def test_nothing_is_said_where_nothing_was_told() -> None:
    assert "Nothing was tracked yet." in training_page({})
    assert "Nothing was adapted yet." in adaptation_page({}, "accuracy")


def test_curves_of_adapting_have_a_line_and_a_key_each(tmp_path: Path) -> None:
    place = Visualizer(tmp_path).plot_adaptation({"maml": [0.5, 0.7, 0.8, 0.8], "from scratch": [0.5, 0.55]})
    (chart,) = charts(place.read_text())
    lines = {path[0].text: heights(path.get("d", "")) for path in chart.iter("path")}
    assert {name: len(points) for name, points in lines.items()} == {"maml": 4, "from scratch": 2}
    assert lines["maml"][0] == lines["from scratch"][0] and lines["maml"][1] < lines["from scratch"][1]
    assert all(f">{name}</li>" in place.read_text() for name in lines)


def test_bars_of_a_gradient_are_logarithmic(tmp_path: Path) -> None:
    model = nn.ParameterDict(
        {"large": nn.Parameter(torch.zeros(1)), "small": nn.Parameter(torch.zeros(1)), "none": nn.Parameter(torch.zeros(1))}
    )
    (model["large"] + 1e-4 * model["small"] + 0.0 * model["none"]).sum().backward()
    place = Visualizer(tmp_path).plot_gradient_flow(GradientInspection().analyze_gradient_flow(model))
    (chart,) = charts(place.read_text())
    widths = (float(bar.get("width", "nan")) for bar in chart.iter("rect"))
    large, none, small = widths  # the names in the order of the alphabet, as a ParameterDict has them
    assert small == pytest.approx(large / 2, abs=0.1)
    assert none == 0.0
    assert "Every gradient is zero" in flow_page({})


@pytest.mark.parametrize("name", ["", "../up", "a/b"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="no name of a page"):
        Visualizer(tmp_path).plot_training_progress({}, name)
