"""Numbers told while meta-learning: what adapting gained and took, and what meta-training said, kept as histories.

There is no paper to it. Costs a number in memory for each that is tracked. Fails to say whether a gain is luck: that takes many tasks and
the intervals of the benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, pstdev
from typing import Final, final

from tradewind.core.limits import number, whole
from tradewind.core.settings import require

__all__ = ["MetaLearningMetrics"]

RECENT: Final = 100
"""How many of the newest entries `summary` counts as recent."""


@final
class MetaLearningMetrics:
    """Histories by name, in the order of telling: `metrics_history[name]` is a list of numbers."""

    def __init__(self) -> None:
        self.metrics_history: dict[str, list[float]] = {}

    def track(self, metrics: Mapping[str, float]) -> None:
        """Append each number to the history of its name, such as what `meta_train_step` tells."""
        for name, value in metrics.items():
            self.metrics_history.setdefault(name, []).append(float(value))

    def compute_adaptation_metrics(
        self, initial_performance: float, final_performance: float, num_adaptation_steps: int, adaptation_time: float
    ) -> dict[str, float]:
        """What adapting gained, for performances that are better the higher they are, and `adaptation_time` in seconds; tracked as well.

        `improvement`; `relative_improvement`, of the initial performance (NaN where that is 0); `improvement_per_step` and
        `improvement_per_second` (NaN for no step and no time); `adaptation_time`. Raises SettingsError for numbers that cannot be.
        """
        told = f"performances are {initial_performance!r} and {final_performance!r}; they are finite numbers"
        require(math.isfinite(initial_performance) and math.isfinite(final_performance), told)
        whole(least=0, num_adaptation_steps=num_adaptation_steps)
        number(positive=False, adaptation_time=adaptation_time)
        gained = final_performance - initial_performance
        metrics = {
            "initial_performance": initial_performance,
            "final_performance": final_performance,
            "improvement": gained,
            "relative_improvement": gained / abs(initial_performance) if initial_performance else math.nan,
            "improvement_per_step": gained / num_adaptation_steps if num_adaptation_steps else math.nan,
            "improvement_per_second": gained / adaptation_time if adaptation_time else math.nan,
            "adaptation_time": adaptation_time,
        }
        self.track(metrics)
        return metrics

    def summary(self) -> dict[str, dict[str, float]]:
        """By name: `count`, `mean`, `deviation`, `lowest`, `highest`, `last`, and `recent`, the mean of the newest 100; without NaN."""
        return {name: _summary(history) for name, history in self.metrics_history.items()}


def _summary(history: list[float]) -> dict[str, float]:
    known = [value for value in history if not math.isnan(value)]
    if not known:
        return {"count": 0.0, **dict.fromkeys(("mean", "deviation", "lowest", "highest", "last", "recent"), math.nan)}
    return {
        "count": float(len(known)),
        "mean": fmean(known),
        "deviation": pstdev(known),
        "lowest": min(known),
        "highest": max(known),
        "last": known[-1],
        "recent": fmean(known[-RECENT:]),
    }
