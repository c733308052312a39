"""Tasks with known answers: sine waves to continue, and rules that flip their sign with a hidden regime. What a meta-learner must master.

Papers: Finn, Abbeel and Levine 2017, https://arxiv.org/abs/1703.03400 (waves of a random amplitude and phase); Li et al. 2017,
https://arxiv.org/abs/1707.09835 (of a random frequency as well); the regimes are ours. A task costs some twenty microseconds to draw,
a batch hardly more than one. A learner that fails here will not do better on a market; one that does well here has shown that it adapts,
nothing about markets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.limits import fraction, whole
from tradewind.core.settings import require
from tradewind.meta.tasks import Task

__all__ = ["FREQUENCIES", "SINUSOIDS", "RegimeTasks", "Sinusoids"]

Range = tuple[float, float]


@final
@dataclass(frozen=True)
class Sinusoids:
    """Regression of `amplitude * sin(frequency * x - phase)`: each task draws its own three numbers, evenly from these ranges, and x too.

    `spaced` has the inputs of a task evenly spaced from end to end instead of drawn, and draws which of them are the support, as in
    Reptile's paper.
    `support_data` is (num_support, 1), its labels the same shape; the query is like it. The loss is `mse`.
    """

    num_support: int = 10
    num_query: int = 10
    amplitude: Range = (0.1, 5.0)
    phase: Range = (0.0, math.pi)
    frequency: Range = (1.0, 1.0)
    inputs: Range = (-5.0, 5.0)
    spaced: bool = False

    def __post_init__(self) -> None:
        whole(num_support=self.num_support, num_query=self.num_query)
        for name in ("amplitude", "phase", "frequency", "inputs"):
            low, high = getattr(self, name)
            require(
                math.isfinite(low) and math.isfinite(high) and low <= high, f"{name} is {(low, high)}; it is a range, the lower end first"
            )

    def sample_task(self, generator: np.random.Generator) -> Task:
        """One wave, its points float32."""
        return self.sample_batch(generator, 1)[0]

    def sample_batch(self, generator: np.random.Generator, n: int) -> list[Task]:
        """`n` waves, drawn together."""
        whole(n=n)
        amplitude, phase, frequency = (generator.uniform(*ends, (n, 1)) for ends in (self.amplitude, self.phase, self.frequency))
        points = self.num_support + self.num_query
        if self.spaced:
            x = generator.permuted(np.tile(np.linspace(*self.inputs, points), (n, 1)), axis=1)
        else:
            x = generator.uniform(*self.inputs, (n, points))
        y = amplitude * np.sin(frequency * x - phase)
        return _tasks(_column(x), _column(y), self.num_support)


@final
@dataclass(frozen=True)
class RegimeTasks:
    """Classification into up (1) and down (0) by a rule whose sign is the regime's: what buys in one regime sells in the other.

    A bar is `features` standard normal numbers; the rule is the sign of their first half's sum less their second half's. A task is one
    regime, either with probability one half, and each label agrees with rule and regime with probability `agreement`, which is also how
    often an oracle is right. Over all tasks the classes are even in every bar: who does not adapt stays at chance. A support of one class
    teaches nothing and is drawn again.
    """

    num_support: int = 10
    num_query: int = 20
    features: int = 4
    agreement: float = 0.9

    def __post_init__(self) -> None:
        whole(num_query=self.num_query)
        whole(2, num_support=self.num_support, features=self.features)
        fraction(one=True, agreement=self.agreement)

    def sample_task(self, generator: np.random.Generator) -> Task:
        """One regime's bars, float32, and their classes, int64. The note `regime` is 1 or -1."""
        return self.sample_batch(generator, 1)[0]

    def sample_batch(self, generator: np.random.Generator, n: int) -> list[Task]:
        """`n` regimes, drawn together."""
        whole(n=n)
        regime = 2 * generator.integers(2, size=n) - 1
        bars, labels = self._draw(generator, regime)
        for task in range(n):
            while len(set(labels[task, : self.num_support].tolist())) == 1:
                again = self._draw(generator, regime[task : task + 1])
                bars[task], labels[task] = again[0][0], again[1][0]
        tasks = _tasks(bars, labels, self.num_support)
        return [{**task, "regime": torch.tensor(int(sign))} for task, sign in zip(tasks, regime, strict=True)]

    def rule(self, bars: NDArray[Any]) -> NDArray[np.int64]:
        """(...,) the class that the rule gives for bars (..., feature) in the regime 1."""
        half = self.features // 2
        return np.asarray(bars[..., :half].sum(-1) > bars[..., half:].sum(-1), dtype=np.int64)

    def _draw(self, generator: np.random.Generator, regime: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        bars = generator.standard_normal((len(regime), self.num_support + self.num_query, self.features))
        agrees = generator.random(bars.shape[:2]) < self.agreement
        return bars, np.where(agrees == (regime[:, None] > 0), self.rule(bars), 1 - self.rule(bars))


SINUSOIDS: Final = Sinusoids()
"""The waves of MAML's paper: amplitude in .1 to 5, phase in 0 to pi, ten points."""
FREQUENCIES: Final = Sinusoids(frequency=(0.8, 1.2))
"""The waves of Meta-SGD's paper: their frequency differs too."""


def _column(values: NDArray[Any]) -> NDArray[Any]:
    return values[..., None]


def _tasks(data: NDArray[Any], labels: NDArray[Any], num_support: int) -> list[Task]:
    inputs = torch.from_numpy(data.astype(np.float32))
    answers = torch.from_numpy(labels if labels.dtype == np.int64 else labels.astype(np.float32))
    return [
        {
            "support_data": x[:num_support],
            "support_labels": y[:num_support],
            "query_data": x[num_support:],
            "query_labels": y[num_support:],
        }
        for x, y in zip(inputs.unbind(), answers.unbind(), strict=True)
    ]
