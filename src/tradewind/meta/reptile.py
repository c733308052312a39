"""Reptile: learn each task by plain gradient descent, then move the shared weights some of the way to where it led; no second derivative.

Paper: Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999. One inner step is the direction of joint training, exactly; from
two on the weights also seek where the gradients of a task's batches agree. Costs one forward and one backward pass a task and inner step
and no memory of the steps: what training the tasks costs. Fails with few inner steps, when it learns the mean of the tasks and no more, and
where two tasks want the opposite: no query tells it to tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import number, whole
from tradewind.core.seeds import generator
from tradewind.core.settings import require
from tradewind.core.spaces import Real, Space, Whole
from tradewind.meta.base import MetaLearner
from tradewind.meta.inner_loop import (
    Weights,
    abreast,
    adapted_names,
    adapting,
    fast_weights,
    forward_of,
    guarded_weights,
    observe,
    with_weights,
)
from tradewind.meta.optimizer import MetaOptimizerConfig
from tradewind.meta.tasks import LossName, Task, check_loss, sample_losses

__all__ = ["SPACES", "Reptile", "ReptileConfig"]

Course: TypeAlias = tuple[Tensor, Tensor]
SPACES: Final[Space] = {
    "inner_lr": Real(1e-3, 1e-1, log=True),
    "outer_lr": Real(1e-2, 1.0, log=True),
    "num_inner_steps": Whole(2, 16),
}


@final
@dataclass(frozen=True)
class ReptileConfig:
    """`num_inner_steps` of descent with `inner_lr`; the weights then go the share `outer_lr` of the way to the mean of where tasks led.

    An inner step of meta-training takes `inner_batch` samples of the task, drawn without putting back until all were seen, 0 all of them.
    `learn_from` says of which: of the whole task, support and query, as the paper does it, or of the support alone. `outer_lr` falls
    evenly to 0 over `anneal_over` meta-steps, 0 keeps it. `clip` bounds the norm of the step from the weights to that mean, 0 does not.
    """

    inner_lr: float = 0.02
    outer_lr: float = 0.1
    num_inner_steps: int = 5
    inner_batch: int = 0
    learn_from: Literal["task", "support"] = "task"
    anneal_over: int = 0
    loss: LossName = "cross_entropy"
    clip: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        number(inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip)
        whole(num_inner_steps=self.num_inner_steps)
        whole(0, inner_batch=self.inner_batch, anneal_over=self.anneal_over, seed=self.seed)
        require(self.learn_from in ("task", "support"), f"learn_from {self.learn_from!r} is none of task, support")
        check_loss(self.loss)


@final
class Reptile(MetaLearner):
    """Meta-learns the weights of any `nn.Module` that maps (sample, ...) to (sample, class) logits, or to numbers where the loss is mse.

    Parameters that need no gradient stay as they are. One task a batch is the serial version of the paper, several the batched one; those
    of equal shapes are learned side by side where `torch.func.vmap` can run the model, which is found out at the first such batch.
    """

    name: ClassVar[str] = "reptile"

    def __init__(self, model: nn.Module, config: ReptileConfig | None = None, ways: int | None = None) -> None:
        config = config or ReptileConfig()
        super().__init__(model, config, ways)
        # The step of Reptile is an interpolation: descent with its rate and nothing else, where Adam would forget how far the tasks led.
        self.optimise(MetaOptimizerConfig("sgd", clip=config.clip))
        self._names = adapted_names(model)
        self._side_by_side = True

    def learned(self) -> nn.Module:
        """The model itself."""
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """The weights less the mean of where the tasks led; `meta_loss` is the query loss there.

        Where tasks are learned whole, that query has been learned from: `meta_validate` tells the loss on one that has not.
        """
        self._anneal()
        start = {name: self.model.get_parameter(name).detach().clone() for name in self._names}
        courses = [self._course(task, number) for number, task in enumerate(tasks)]
        with adapting(self.model):
            led = self._lead(start, courses)
            with torch.no_grad():
                losses = [self._query_loss(weights, task) for weights, task in zip(led, tasks, strict=True)]
        for name, weight in start.items():
            self.model.get_parameter(name).grad = weight - torch.stack([weights[name] for weights in led]).mean(dim=0)
        observe(self.model, tasks)
        return {"meta_loss": sum(losses) / len(losses)}

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A copy of the model after `steps` on the whole support; those beyond `num_inner_steps` only while the support loss falls."""
        config = self.config
        with adapting(self.model):
            start = {name: self.model.get_parameter(name) for name in self._names}
            forward = forward_of(self.model)
            weights = guarded_weights(
                forward, start, support_data, support_labels, config.loss, config.inner_lr, steps, config.num_inner_steps
            )
        return with_weights(self.model, weights)

    # -- where tasks lead ----------------------------------------------------------------------------------------------------
    def _lead(self, start: Weights, courses: Sequence[Course]) -> list[Weights]:
        if self._side_by_side and _alike(courses):
            try:
                return self._together(start, courses)
            except RuntimeError:  # what is wrong with the model itself is raised again below
                self._side_by_side = False
        return self._in_turn(start, courses)

    def _together(self, start: Weights, courses: Sequence[Course]) -> list[Weights]:
        """Tasks of equal shapes, all at once."""
        config, many = self.config, len(courses)
        weights: Weights = {name: weight.expand(many, *weight.shape) for name, weight in start.items()}
        data, labels = (torch.stack(part, dim=1) for part in zip(*courses, strict=True))
        with torch.no_grad():
            for inputs, answers in zip(data, labels.flatten(1, 2), strict=True):
                weights = fast_weights(abreast(forward_of(self.model)), weights, inputs, answers, config.loss, config.inner_lr, tasks=many)
        return [{name: tensor[task] for name, tensor in weights.items()} for task in range(many)]

    def _in_turn(self, start: Weights, courses: Sequence[Course]) -> list[Weights]:
        """One after the other in the model's own memory, which any model bears; its weights are put back whatever happens."""
        weights = {name: self.model.get_parameter(name) for name in self._names}
        led: list[Weights] = []
        try:
            for data, labels in courses:
                _fill(weights, start)
                for inputs, answers in zip(data.unbind(), labels.unbind(), strict=True):
                    loss = sample_losses(self.model(inputs), answers, self.config.loss).mean()
                    slopes = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
                    with torch.no_grad():
                        for weight, slope in zip(weights.values(), slopes, strict=True):
                            weight.sub_(slope, alpha=self.config.inner_lr)
                led.append({name: weight.detach().clone() for name, weight in weights.items()})
        finally:
            _fill(weights, start)
        return led

    # -- one task ----------------------------------------------------------------------------------------------------------
    def _course(self, task: Task, place: int) -> Course:
        """(step, sample, ...) data and labels: what each inner step learns from."""
        config = self.config
        keys = ("support", "query") if config.learn_from == "task" else ("support",)
        data, labels = (torch.cat([task[f"{key}_{part}"] for key in keys]) for part in ("data", "labels"))
        size = min(config.inner_batch or len(data), len(data))
        if size == len(data):
            return data.expand(config.num_inner_steps, *data.shape), labels.expand(config.num_inner_steps, *labels.shape)
        # Named by the iteration, not drawn from a running stream: a learner that was restored goes on with the same batches.
        random = generator(config.seed, "reptile", self.iterations, place)
        rounds = -(-config.num_inner_steps * size // len(data))
        drawn = torch.cat([torch.from_numpy(random.permutation(len(data))) for _ in range(rounds)])
        order = drawn[: config.num_inner_steps * size].reshape(config.num_inner_steps, size)
        return data[order], labels[order]

    def _query_loss(self, weights: Weights, task: Task) -> float:
        outputs = forward_of(self.model)(weights, task["query_data"])
        return float(sample_losses(outputs, task["query_labels"], self.config.loss).mean())

    def _anneal(self) -> None:
        if self.config.anneal_over:
            left = max(1.0 - self.iterations / self.config.anneal_over, 0.0)
            self.optimiser.base = self.config.outer_lr * left


def _alike(courses: Sequence[Course]) -> bool:
    return len(courses) > 1 and len({(data.shape, labels.shape) for data, labels in courses}) == 1


@torch.no_grad()
def _fill(weights: Weights, values: Weights) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])
