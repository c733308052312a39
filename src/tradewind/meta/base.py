"""`MetaLearner`: what learns over many tasks how to learn a new one from a handful of samples. An algorithm is three methods."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError, StateError
from tradewind.core.limits import whole
from tradewind.core.types import State
from tradewind.meta.optimizer import MetaOptimizer, MetaOptimizerConfig
from tradewind.meta.tasks import Task, accuracy, check_answers, check_support, check_tasks, sample_losses
from tradewind.nets.checkpoint import load_net, net_state

__all__ = ["MetaLearner"]


class MetaLearner(ABC):
    """Meta-trains `model` on batches of tasks and adapts copies of it to new ones.

    An algorithm implements `learned`, `gradients` and `adapt`; its config is a frozen dataclass with at least `loss` ("cross_entropy" or
    "mse"), `outer_lr`, `num_inner_steps` and `clip`. `ways` is how many classes the model answers, None where that is free.
    """

    name: ClassVar[str]
    """By which `tradewind.meta.learner(name)` makes it."""

    def __init__(self, model: nn.Module, config: Any, ways: int | None = None) -> None:
        self.model, self.config, self.ways = model, config, ways
        self.iterations = 0
        self.optimiser = MetaOptimizer(self.learned().parameters(), MetaOptimizerConfig(clip=config.clip), config.outer_lr)

    # -- what an algorithm is ------------------------------------------------------------------------------------------
    @abstractmethod
    def learned(self) -> nn.Module:
        """All that meta-training moves: the model, and whatever else is learned beside it (learning rates, context, embeddings)."""

    @abstractmethod
    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Leave the meta-gradient of a batch of tasks in `learned()`; at least `meta_loss`, the mean query loss after adapting."""

    @abstractmethod
    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A model of its own for one task, answering (sample, ...) with logits or numbers; this object is left as it is."""

    # -- the same for all ------------------------------------------------------------------------------------------------
    def optimise(self, config: MetaOptimizerConfig) -> Self:
        """Meta-train as `config` says from here on, also its `clip`, instead of by plain Adam; moments start from none."""
        self.optimiser = MetaOptimizer(self.learned().parameters(), config, self.config.outer_lr)
        return self

    def meta_train_step(self, task_batch: Sequence[Task]) -> dict[str, float]:
        """One step on a batch of tasks; `meta_loss` and what else the algorithm tells.

        Raises DataError for a task that cannot be learned, SettingsError when the loss is no finite number any more.
        """
        check_tasks(task_batch, self.config.loss, self.ways)
        told = self.optimiser.gather(self.gradients, task_batch)
        if not math.isfinite(told["meta_loss"]):
            raise SettingsError(f"the meta loss is {told['meta_loss']} at iteration {self.iterations}; lower inner_lr or outer_lr")
        self.optimiser.step(told["meta_loss"])
        self.iterations += 1
        return told

    def few_shot_adapt(self, support_data: Tensor, support_labels: Tensor, num_adaptation_steps: int | None = None) -> nn.Module:
        """A model adapted to these samples, in evaluation mode; `num_adaptation_steps` None takes as many steps as were trained.

        Raises DataError for a support of one class, of shapes that do not match or with numbers that are not finite.
        """
        check_support(support_data, support_labels, self.config.loss, self.ways)
        steps = self.config.num_inner_steps if num_adaptation_steps is None else num_adaptation_steps
        whole(0, num_adaptation_steps=steps)
        return self.adapt(support_data, support_labels, steps).eval()

    def meta_validate(self, validation_tasks: Iterable[Task]) -> dict[str, float]:
        """Mean query loss (and accuracy, for classes) over tasks after adapting, with the standard error over tasks; learns nothing."""
        losses, hits = [], []
        for task in validation_tasks:
            check_tasks([task], self.config.loss, self.ways)
            adapted = self.few_shot_adapt(task["support_data"], task["support_labels"])
            with torch.no_grad():
                outputs = adapted(task["query_data"])
            check_answers(outputs, task["query_labels"], self.config.loss)
            losses.append(float(sample_losses(outputs, task["query_labels"], self.config.loss).mean()))
            if self.config.loss == "cross_entropy":
                hits.append(accuracy(outputs, task["query_labels"]))
        if not losses:
            raise SettingsError("there is no task to validate on; give at least one")
        told = {"loss": _mean(losses), "loss_error": _error(losses)}
        return told | ({"accuracy": _mean(hits), "accuracy_error": _error(hits)} if hits else {})

    def state(self) -> State:
        """What was meta-learned, and where meta-training stands, as data."""
        about = State({"learner": self.name, "config": asdict(self.config), "iterations": self.iterations})
        return about.nest("learned", net_state(self.learned())).nest("optimiser", self.optimiser.state())

    def restore(self, state: State) -> Self:
        """Become the learner that `state` describes. Raises StateError when it is of another algorithm or another build of the model."""
        if state.values.get("learner") != self.name:
            raise StateError(f"this is the state of {state.values.get('learner', 'no meta-learner')!r}, not of {self.name!r}")
        load_net(self.learned(), state.child("learned"))
        self.optimiser.restore(state.child("optimiser"))
        self.iterations = int(state.values["iterations"])
        return self


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return math.nan
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
