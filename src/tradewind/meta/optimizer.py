"""The outer loop's descent: how the meta-gradient of a batch of tasks moves what is learned. Schedules, accumulation, bfloat16, clipping.

Papers: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980 (Adam, decoupled decay as in https://arxiv.org/abs/1711.05101); Baydin et al.
2018, https://arxiv.org/abs/1703.04782 (`adaptive`: a rate that follows its own gradient, here in proportion, by the cosine of the gradient
and the last direction). Costs two numbers a weight, and for `adaptive` two more passes over the weights a step. `adaptive` fails where
meta-gradients are mostly noise: successive ones then point anywhere and the rate wanders; bfloat16 fails where an inner step is smaller
than the eighth digit, as second-order gradients of small rates are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal, Self, TypeAlias, final

import torch
from torch import Tensor, nn

from tradewind.core.errors import StateError
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.meta.tasks import Task
from tradewind.nets.checkpoint import load_optimiser, optimiser_state
from tradewind.nets.device import supports_bfloat16

__all__ = ["Gradients", "MetaOptimizer", "MetaOptimizerConfig"]

Gradients: TypeAlias = Callable[[Sequence[Task]], dict[str, float]]
"""Leaves the meta-gradient of tasks in the parameters and tells `meta_loss`: `MetaLearner.gradients`."""
TYPES: Final = ("adam", "sgd", "adaptive")
SCHEDULES: Final = ("constant", "cosine", "step", "plateau")
RANGE: Final = 100.0
"""The adaptive rate stays within this factor of where it began."""


@final
@dataclass(frozen=True)
class MetaOptimizerConfig:
    """`learning_rate` None is the learner's `outer_lr`. `momentum` is that of `sgd`; `weight_decay` is decoupled in the other two.

    The `schedule` multiplies the rate: `cosine` falls over `schedule_steps` to the share `decay` and stays there; `step` multiplies by
    `decay` every `schedule_steps`; `plateau` does where the mean meta loss of `schedule_steps` is no lower than that of those before.
    `warmup` steps rise to the rate evenly. `adaptive` changes the rate by up to the share `adaptation` a step, within a factor of 100.
    `accumulation` is in how many parts a batch of tasks is taken, one after the other, which saves memory and changes nothing else.
    `bfloat16` "auto" is on where the processor multiplies it. `clip` bounds the norm of the gradient, 0 does not. Raises SettingsError.
    """

    optimizer_type: Literal["adam", "sgd", "adaptive"] = "adam"
    learning_rate: float | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "step", "plateau"] = "constant"
    schedule_steps: int = 1000
    decay: float = 0.1
    warmup: int = 0
    adaptation: float = 0.02
    accumulation: int = 1
    bfloat16: bool | Literal["auto"] = False
    clip: float = 10.0

    def __post_init__(self) -> None:
        require(self.optimizer_type in TYPES, f"optimizer_type {self.optimizer_type!r} is none of {', '.join(TYPES)}")
        require(self.schedule in SCHEDULES, f"schedule {self.schedule!r} is none of {', '.join(SCHEDULES)}")
        require(self.bfloat16 in (True, False, "auto"), f"bfloat16 is {self.bfloat16!r}; it is True, False or 'auto'")
        require(self.momentum == 0.0 or self.optimizer_type == "sgd", "momentum is that of sgd; adam and adaptive have their own")
        whole(schedule_steps=self.schedule_steps, accumulation=self.accumulation)
        whole(least=0, warmup=self.warmup)
        fraction(zero=True, momentum=self.momentum, decay=self.decay)
        fraction(adaptation=self.adaptation)
        number(positive=False, weight_decay=self.weight_decay, clip=self.clip)
        if self.learning_rate is not None:
            number(learning_rate=self.learning_rate)


@final
class MetaOptimizer:
    """Moves `parameters` by the meta-gradients of batches: `gather` them, then `step`. `learning_rate` where the config says none."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: MetaOptimizerConfig, learning_rate: float = 0.001) -> None:
        self.config = config
        self.parameters = list(parameters)
        self.base = learning_rate if config.learning_rate is None else config.learning_rate
        self.steps = 0
        self._factor = 1.0
        self._sum, self._counted, self._before = 0.0, 0, math.inf
        self._device = self.parameters[0].device if self.parameters else torch.device("cpu")
        self._bfloat16 = supports_bfloat16(self._device) if config.bfloat16 == "auto" else config.bfloat16
        self._inner: torch.optim.Optimizer
        # As a group, since there may be none: an embedding that only looks has nothing to learn and can adapt all the same.
        group = [{"params": self.parameters}]
        if config.optimizer_type == "sgd":
            self._inner = torch.optim.SGD(group, self.base, config.momentum, weight_decay=config.weight_decay)
        else:
            self._inner = torch.optim.AdamW(group, self.base, weight_decay=config.weight_decay)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.base * self._factor * self._share()

    def gather(self, gradients: Gradients, tasks: Sequence[Task]) -> dict[str, float]:
        """Leave the mean gradient of all tasks in the parameters, taken in `accumulation` parts; what is told is the mean over tasks."""
        require(bool(self.parameters), "there is no parameter to meta-train; this learner can only adapt")
        parts = min(self.config.accumulation, len(tasks))
        ends = [round(part * len(tasks) / parts) for part in range(parts + 1)]
        total: list[Tensor | None] = [None] * len(self.parameters)
        told: dict[str, float] = {}
        for first, last in pairwise(ends):
            self._inner.zero_grad(set_to_none=True)
            share = (last - first) / len(tasks)
            with torch.autocast(self._device.type, torch.bfloat16) if self._bfloat16 else nullcontext():
                one = gradients(tasks[first:last])
            told = {name: told.get(name, 0.0) + share * value for name, value in one.items()}
            if parts > 1:
                total = [_added(sum_, parameter.grad, share) for sum_, parameter in zip(total, self.parameters, strict=True)]
        if parts > 1:
            for parameter, sum_ in zip(self.parameters, total, strict=True):
                parameter.grad = sum_
        return told

    def step(self, meta_loss: float) -> None:
        """One step down the gathered gradient; `meta_loss` is what `plateau` watches."""
        if self.config.optimizer_type == "adaptive":
            self._adapt_rate()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        for group in self._inner.param_groups:
            group["lr"] = self.rate
        self._inner.step()
        self.steps += 1
        if self.config.schedule == "plateau":
            self._watch(meta_loss)

    def state(self) -> State:
        """Where the descent stands, as data."""
        values: dict[str, Any] = {
            "config": asdict(self.config), "base": self.base, "steps": self.steps, "factor": self._factor,
            "sum": self._sum, "counted": self._counted, "before": None if math.isinf(self._before) else self._before,
        }  # fmt: skip
        return State(values).nest("moments", optimiser_state(self._inner))

    def restore(self, state: State) -> Self:
        """Go on where `state` stood. Raises StateError when it is of another config or of other weights."""
        values = state.values
        if values.get("config") != asdict(self.config):
            differ = [name for name, value in asdict(self.config).items() if values.get("config", {}).get(name) != value]
            raise StateError(f"the saved meta-optimiser has other settings: {', '.join(differ)}; optimise with those that were saved")
        load_optimiser(self._inner, state.child("moments"))
        self.base, self.steps, self._factor = float(values["base"]), int(values["steps"]), float(values["factor"])
        self._sum, self._counted = float(values["sum"]), int(values["counted"])
        self._before = math.inf if values["before"] is None else float(values["before"])
        return self

    def _share(self) -> float:
        config, over = self.config, self.steps / self.config.schedule_steps
        risen = min(1.0, (self.steps + 1) / config.warmup) if config.warmup else 1.0
        if config.schedule == "cosine":
            return risen * (config.decay + (1.0 - config.decay) * 0.5 * (1.0 + math.cos(math.pi * min(over, 1.0))))
        return risen * config.decay ** int(over) if config.schedule == "step" else risen

    def _watch(self, meta_loss: float) -> None:
        self._sum, self._counted = self._sum + meta_loss, self._counted + 1
        if self._counted == self.config.schedule_steps:
            mean = self._sum / self._counted
            if mean >= self._before:
                self._factor *= self.config.decay
            self._sum, self._counted, self._before = 0.0, 0, mean

    @torch.no_grad()
    def _adapt_rate(self) -> None:
        """The last step went along `-direction`: where the gradient still points with it the step was too short, else too long."""
        dot = slopes = directions = 0.0
        for parameter in self.parameters:
            moments = self._inner.state.get(parameter)
            if parameter.grad is None or not moments:
                continue
            direction = moments["exp_avg"] / (moments["exp_avg_sq"].sqrt() + 1e-8)
            dot += float((parameter.grad * direction).sum())
            slopes += float(parameter.grad.square().sum())
            directions += float(direction.square().sum())
        if slopes > 0.0 and directions > 0.0:
            factor = self._factor * (1.0 + self.config.adaptation * dot / math.sqrt(slopes * directions))
            self._factor = min(max(factor, 1.0 / RANGE), RANGE)


def _added(total: Tensor | None, gradient: Tensor | None, share: float) -> Tensor | None:
    if gradient is None:
        return total
    return gradient * share if total is None else total.add_(gradient, alpha=share)
