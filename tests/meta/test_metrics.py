"""Numbers of adaptation by hand, and what histories say."""

from __future__ import annotations

import math

import pytest

from tradewind.core.errors import SettingsError
from tradewind.meta.metrics import MetaLearningMetrics


def test_what_adapting_gained_by_hand() -> None:
    metrics = MetaLearningMetrics()
    told = metrics.compute_adaptation_metrics(initial_performance=0.6, final_performance=0.85, num_adaptation_steps=5, adaptation_time=2.5)
    assert told["improvement"] == pytest.approx(0.25)
    assert told["relative_improvement"] == pytest.approx(0.25 / 0.6)
    assert told["improvement_per_step"] == pytest.approx(0.05)
    assert told["improvement_per_second"] == pytest.approx(0.1)
    assert metrics.metrics_history["final_performance"] == [0.85]


def test_a_performance_below_zero_that_rises_has_risen() -> None:
    told = MetaLearningMetrics().compute_adaptation_metrics(-0.5, -0.25, 1, 1.0)
    assert told["relative_improvement"] == pytest.approx(0.5)


def test_what_cannot_be_divided_is_nan_and_counts_nowhere() -> None:
    metrics = MetaLearningMetrics()
    told = metrics.compute_adaptation_metrics(0.0, 0.5, 0, 0.0)
    assert all(math.isnan(told[name]) for name in ("relative_improvement", "improvement_per_step", "improvement_per_second"))
    metrics.compute_adaptation_metrics(0.5, 1.0, 2, 1.0)
    assert metrics.summary()["relative_improvement"] == pytest.approx(
        {"count": 1, "mean": 1.0, "deviation": 0.0, "lowest": 1.0, "highest": 1.0, "last": 1.0, "recent": 1.0}
    )


def test_histories_are_summed_up() -> None:
    metrics = MetaLearningMetrics()
    for step in range(200):
        metrics.track({"meta_loss": float(step), "accuracy": 0.5})
    one = metrics.summary()["meta_loss"]
    assert (one["count"], one["mean"], one["lowest"], one["highest"], one["last"], one["recent"]) == (200, 99.5, 0, 199, 199, 149.5)
    metrics.track({"odd": math.nan})
    assert metrics.summary()["odd"]["count"] == 0


@pytest.mark.parametrize("wrong", [(math.nan, 1.0, 1, 1.0), (0.0, math.inf, 1, 1.0), (0.0, 1.0, -1, 1.0), (0.0, 1.0, 1, -1.0)])
def test_numbers_that_cannot_be_are_refused(wrong: tuple[float, float, int, float]) -> None:
    with pytest.raises(SettingsError):
        MetaLearningMetrics().compute_adaptation_metrics(*wrong)
