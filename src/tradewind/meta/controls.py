"""Controls: what a meta-learner has to beat before its answer means anything, each adapted by `few_shot_adapt` as a learner is.

Jointly trained nets, fine-tuned or not, are the plain way of Chen et al. 2019, https://arxiv.org/abs/1904.04232, who found that they come
near most meta-learners; the nearest centroid of raw inputs is that of Snell et al. 2017, https://arxiv.org/abs/1703.05175, without a net.
The cost of a control is that of a plain fit on the support. They fail to be a fair measure where they are given less than the learner: the
same tasks, the same net and as many steps belong to them too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tradewind.core.errors import DataError, NotFitted
from tradewind.core.limits import number, whole
from tradewind.core.settings import require
from tradewind.core.types import Features, Labels
from tradewind.meta.base import MetaLearner
from tradewind.meta.embedding import count_classes, drawing
from tradewind.meta.inner_loop import adapting
from tradewind.meta.protonet import PrototypeClassifier, prototypes
from tradewind.meta.tasks import LossName, Task, accuracy, check_loss, check_support, check_tasks, sample_losses
from tradewind.models.registry import forecaster

__all__ = ["Adapts", "Answers", "BaseRate", "ForecasterOnSupport", "JointConfig", "JointTraining", "NearestCentroid"]

Answers: TypeAlias = Callable[[Tensor], Tensor]
"""From inputs (sample, ...) to logits (sample, class) or to numbers: an adapted model."""
RAREST = 1e-4
"""The probability that a class never seen is given, so that its logarithm is a number."""


class Adapts(Protocol):
    """What a benchmark can ask: every MetaLearner, and the controls of this file."""

    def few_shot_adapt(self, support_data: Tensor, support_labels: Tensor, num_adaptation_steps: int | None = None) -> Answers:
        """What answers, adapted to these samples."""


@final
@dataclass(frozen=True)
class JointConfig:
    """`num_inner_steps` of Adam with `inner_lr` on the support, unless a number of steps is asked for; 0: it never adapts.

    `outer_lr`, `clip` (0: none) and `seed`, of the dropout, are those of the joint training before.
    """

    inner_lr: float = 0.01
    outer_lr: float = 0.001
    num_inner_steps: int = 5
    loss: LossName = "cross_entropy"
    clip: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole(least=0, num_inner_steps=self.num_inner_steps, seed=self.seed)
        number(inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip)
        check_loss(self.loss)


@final
class JointTraining(MetaLearner):
    """A net trained on the queries of all tasks as if they were one, then fine-tuned on a support, all of its weights.

    Queries alone, as the outer loss of a learner: supports of as many samples of each class would teach it wrongly how often classes come.
    Three controls in one: never meta-trained it is the net trained from scratch, with `num_inner_steps` 0 the pretrained net that
    does not adapt. Several may share one `model`: what one learns the others know.
    """

    name: ClassVar[str] = "joint"

    def __init__(self, model: nn.Module, config: JointConfig | None = None, ways: int | None = None) -> None:
        super().__init__(model, config or JointConfig(), ways)

    def learned(self) -> nn.Module:
        """The model itself."""
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """`meta_loss`, here the mean over the queries, not adapted to anything, and `accuracy` for classes."""
        data, labels = (torch.cat([task[part] for task in tasks]) for part in ("query_data", "query_labels"))
        with drawing(self.config.seed, self.iterations):
            outputs = self.model(data)
        loss = sample_losses(outputs, labels, self.config.loss).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        told = {"meta_loss": float(loss.detach())}
        return told | ({"accuracy": accuracy(outputs, labels)} if self.config.loss == "cross_entropy" else {})

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A copy of the model after `steps` on the support; as it is where the config has it never adapt."""
        adapted = copy.deepcopy(self.model)
        if self.config.num_inner_steps == 0:
            return adapted
        descent = torch.optim.Adam(adapted.parameters(), self.config.inner_lr)
        with adapting(adapted):
            for _ in range(steps):
                descent.zero_grad()
                sample_losses(adapted(support_data), support_labels, self.config.loss).mean().backward()  # type: ignore[no-untyped-call]
                descent.step()
        return adapted


@final
class NearestCentroid:
    """The class whose mean of raw inputs over the support is nearest, squared Euclid; no net and nothing learned before.

    `ways` is how many classes are answered, None for as many as the support shows.
    """

    stepless: ClassVar[bool] = True

    def __init__(self, ways: int | None = None) -> None:
        self.ways = ways

    def few_shot_adapt(self, support_data: Tensor, support_labels: Tensor, num_adaptation_steps: int | None = None) -> Answers:
        """Logits: minus the distance to each centroid, over the number of inputs. Raises DataError for a support that teaches nothing."""
        check_support(support_data, support_labels, "cross_entropy", self.ways)
        flat = support_data.flatten(1)
        means, present = prototypes(flat, support_labels, count_classes(self.ways, support_labels))
        return PrototypeClassifier(nn.Flatten(), means, present, "squared_euclidean", float(flat.shape[1]))


@final
class BaseRate:
    """The same answer to every question: how often each class is right, or the mean number.

    `source`: "tasks", what the queries of all tasks given to `meta_train_step` had; "support", what the task's own support has. A support
    of as many samples of each class says nothing about how often they come, so for classes it is "tasks" that is the floor to beat.
    """

    stepless: ClassVar[bool] = True

    def __init__(self, loss: LossName = "cross_entropy", ways: int | None = None, source: Literal["tasks", "support"] = "tasks") -> None:
        check_loss(loss)
        require(source in ("tasks", "support"), f"source is {source!r}; it is 'tasks' or 'support'")
        require(loss == "mse" or ways is not None, "a base rate of classes needs `ways`, how many classes are answered")
        self.loss, self.ways, self.source = loss, ways, source
        self._sum: Tensor | None = None
        self._count = 0

    def meta_train_step(self, task_batch: Sequence[Task]) -> dict[str, float]:
        """Count the answers to the queries of these tasks. Raises DataError for a task that cannot be learned."""
        check_tasks(task_batch, self.loss, self.ways)
        for task in task_batch:
            described = self._described(task["query_labels"])
            self._sum = described.sum(dim=0) if self._sum is None else self._sum + described.sum(dim=0)
            self._count += len(described)
        return {"samples": float(self._count)}

    def few_shot_adapt(self, support_data: Tensor, support_labels: Tensor, num_adaptation_steps: int | None = None) -> Answers:
        """The constant answer. Raises NotFitted where the source is "tasks" and none was given."""
        check_support(support_data, support_labels, self.loss, self.ways)
        if self.source == "support":
            mean = self._described(support_labels).mean(dim=0)
        elif self._sum is None:
            raise NotFitted("this base rate has not seen a task; give it some by meta_train_step")
        else:
            mean = self._sum / self._count
        answer = mean.clamp_min(RAREST).log().float() if self.loss == "cross_entropy" else mean.to(support_labels)
        return lambda data: answer.expand(len(data), *answer.shape)

    def _described(self, labels: Tensor) -> Tensor:
        return torch.eye(self.ways or 0, dtype=torch.float64)[labels] if self.loss == "cross_entropy" else labels.double()


@final
class ForecasterOnSupport:
    """Any forecaster of `tradewind.models` by name, such as `lightgbm`, fitted on the support alone with `settings` of its own.

    `ways`: classes answered; those that the support lacks get probability 1e-4. Numbers of several outputs have a forecaster each.
    Raises SettingsError for an unknown name or setting, MissingExtra when it is used and its library is not installed.
    """

    stepless: ClassVar[bool] = True

    def __init__(self, name: str, loss: LossName = "cross_entropy", ways: int | None = None, **settings: Any) -> None:
        check_loss(loss)
        forecaster(name, **settings)
        self.name, self.loss, self.ways, self.settings = name, loss, ways, settings

    def few_shot_adapt(self, support_data: Tensor, support_labels: Tensor, num_adaptation_steps: int | None = None) -> Answers:
        """Fitted forecasters behind a function of tensors. Raises DataError for a support that teaches nothing."""
        check_support(support_data, support_labels, self.loss, self.ways)
        X, columns = _features(support_data), support_labels.reshape(len(support_labels), -1).double().numpy()
        if self.loss == "cross_entropy":
            ways = count_classes(self.ways, support_labels)
            fitted = forecaster(self.name, **self.settings).fit(X, _labels(X, columns[:, 0], ways))
            return lambda data: _logits(fitted.predict(_features(data)).probabilities, ways)
        each = [forecaster(self.name, **self.settings).fit(X, _labels(X, column, 0)) for column in columns.T]
        shape = support_labels.shape[1:]

        def answer(data: Tensor) -> Tensor:
            asked = _features(data)
            means = [_given(one.predict(asked).mean)[:, 0] for one in each]
            return torch.from_numpy(np.stack(means, axis=1)).float().reshape(len(data), *shape)

        return answer


def _features(data: Tensor) -> Features:
    """Samples (sample, ...) as the rows of one symbol, one after the other in time."""
    flat = data.flatten(1).double().numpy()
    times = np.arange(len(flat), dtype=np.int64)
    return Features(tuple(f"input_{i}" for i in range(flat.shape[1])), flat[:, None], 0, times, times + 1, ("sample",))


def _labels(X: Features, values: NDArray[np.float64], ways: int) -> Labels:
    rows = np.arange(len(X), dtype=np.int64)[:, None]
    return Labels(values[:, None], X.known[:, None], rows, np.ones((len(X), 1)), tuple(float(way) for way in range(ways)))


def _given(answers: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if answers is None:
        raise DataError("the forecaster answers no such thing; choose one that gives class probabilities, or a mean for numbers")
    return answers


def _logits(probabilities: NDArray[np.float64] | None, ways: int) -> Tensor:
    shares = _given(probabilities)[:, 0]
    if shares.shape[1] != ways:
        raise DataError(f"the forecaster answers {shares.shape[1]} classes of {ways}; choose another")
    return torch.from_numpy(np.log(np.maximum(shares, RAREST))).float()
