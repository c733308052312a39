"""CAVIA: a few context numbers beside the inputs adapt to a task, all weights are shared; what a regime is, told in four numbers.

Paper: Zintgraf et al. 2019, https://arxiv.org/abs/1810.03642. A meta-step differentiates through the inner steps as MAML does, but
what moves in them is the context alone, so that all tasks of a batch are one forward and one backward pass a step, and an adapted model
is the shared one and a handful of numbers. Costs some three passes of the supports an inner step. Fails where tasks differ in more than a
context can say through the model's first layer, and on a model whose answer to a sample depends on its neighbours in the batch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, cast, final

import torch
from torch import Tensor, nn

from tradewind.core.errors import SettingsError
from tradewind.core.limits import number, whole
from tradewind.core.spaces import Real, Space, Whole
from tradewind.meta.base import MetaLearner
from tradewind.meta.inner_loop import Forward, Weights, adapting, descend_query, fast_weights, guarded_weights, observe, stacked
from tradewind.meta.tasks import LossName, Task, check_loss

__all__ = ["CAVIA", "SPACES", "CAVIAConfig", "ContextModel"]

SPACES: Final[Space] = {
    "context_size": Whole(2, 16),
    "inner_lr": Real(1e-1, 10.0, log=True),
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "num_inner_steps": Whole(1, 5),
}


@final
@dataclass(frozen=True)
class CAVIAConfig:
    """`context_size` numbers, 0 before a task, after `num_inner_steps` of descent with `inner_lr` on the support.

    The rate is that of the paper, a hundred times MAML's: so few numbers bear it. Adam with `outer_lr` descends the query loss after them;
    `first_order` takes the inner gradients for constants, `clip` bounds the norm of the meta-gradient, 0 does not.
    """

    context_size: int = 4
    inner_lr: float = 1.0
    outer_lr: float = 0.001
    num_inner_steps: int = 2
    first_order: bool = False
    loss: LossName = "cross_entropy"
    clip: float = 10.0

    def __post_init__(self) -> None:
        whole(context_size=self.context_size, num_inner_steps=self.num_inner_steps)
        number(inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip)
        check_loss(self.loss)


@final
class ContextModel(nn.Module):
    """A net and the context of one task: (sample, ..., inputs) -> what the net answers to (sample, ..., inputs + context_size)."""

    context: Tensor

    def __init__(self, net: nn.Module, context: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("context", context)

    def forward(self, data: Tensor) -> Tensor:
        return _answer(self.net, data, self.context.expand(len(data), -1))


@final
class CAVIA(MetaLearner):
    """Meta-learns the weights of any `nn.Module` that was built for `context_size` inputs more than a sample has on its last axis.

    The context stands behind the inputs, the same in every row of a sample. The model answers each sample by itself, (sample, class)
    logits or, where the loss is mse, numbers.
    """

    name: ClassVar[str] = "cavia"

    def __init__(self, model: nn.Module, config: CAVIAConfig | None = None, ways: int | None = None) -> None:
        super().__init__(model, config or CAVIAConfig(), ways)

    def learned(self) -> nn.Module:
        """The model; a context belongs to its task."""
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """`meta_loss` and `query_loss`, both the mean query loss under the adapted contexts, and `accuracy` for classes."""
        with adapting(self.model):
            told = [self._group(group, len(group["query_labels"]) / len(tasks)) for group in stacked(tasks)]
        self._observe(tasks)
        return {name: sum(one[name] for one in told) for name in told[0]}

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A copy of the model and its context after `steps`; those beyond `num_inner_steps` only while the support loss falls."""
        config = self.config
        with adapting(self.model):
            weights = guarded_weights(
                self._forward,
                self._nothing(support_data[None]),
                support_data[None],
                support_labels,
                config.loss,
                config.inner_lr,
                steps,
                config.num_inner_steps,
            )
        return ContextModel(copy.deepcopy(self.model), weights["context"][0].detach().clone())

    # -- tasks of equal shapes, side by side --------------------------------------------------------------------------------
    @property
    def _forward(self) -> Forward:
        """(contexts (task, context), data (task, sample, ...)) -> answers (task * sample, ...)."""

        def forward(weights: Weights, data: Tensor) -> Tensor:
            contexts = weights["context"].repeat_interleave(data.shape[1], dim=0)
            return _answer(self.model, data.flatten(0, 1), contexts)

        return forward

    def _group(self, group: Mapping[str, Tensor], share: float) -> dict[str, float]:
        config, data, labels = self.config, group["support_data"], group["support_labels"].flatten(0, 1)
        steps, first_order, tasks = config.num_inner_steps, config.first_order, len(data)
        start = self._nothing(data)
        weights = fast_weights(self._forward, start, data, labels, config.loss, config.inner_lr, steps, first_order, tasks)
        return descend_query([self._forward(weights, group["query_data"])], group["query_labels"], config.loss, share)

    def _nothing(self, data: Tensor) -> dict[str, Tensor]:
        return {"context": data.new_zeros(len(data), self.config.context_size)}

    def _observe(self, tasks: Sequence[Task]) -> None:
        size = self.config.context_size
        observe(self.model, [{"support_data": _join(task["support_data"], task["support_data"].new_zeros(1, size))} for task in tasks])


def _join(data: Tensor, context: Tensor) -> Tensor:
    """(sample, ..., inputs) and (sample or 1, context) -> (sample, ..., inputs + context)."""
    middle = (1,) * (data.dim() - 2)
    return torch.cat([data, context.reshape(len(context), *middle, -1).expand(*data.shape[:-1], -1)], dim=-1)


def _answer(model: nn.Module, data: Tensor, context: Tensor) -> Tensor:
    joined = _join(data, context)
    try:
        return cast(Tensor, model(joined))
    except RuntimeError as error:
        inputs, size = data.shape[-1], context.shape[-1]
        raise SettingsError(
            f"the model cannot take samples of {inputs} inputs and a context of {size}: {error}; build it for {inputs + size} inputs"
        ) from error
