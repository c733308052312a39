"""MAML: weights from which a few steps of gradient descent on a handful of samples lead far, found by differentiating through the steps.

Papers: Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400 (second and first order); Raghu et al. 2020,
https://arxiv.org/abs/1909.09157 (ANIL: only the head adapts); Antoniou, Edwards, Storkey 2019, https://arxiv.org/abs/1810.09502
(multi-step loss). Costs, a meta-step, some three passes of a support a task and inner step, and the memory of all the steps; first order
costs two and the memory of one. Plain stacks of linear layers go the way of `low_rank`, which is several times faster. Fails where tasks
want different features, not different weights of them, and below some thousands of meta-steps, when nothing has been learned yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor, nn

from tradewind.core.limits import number, whole
from tradewind.core.spaces import Choice, Real, Space, Whole
from tradewind.meta.base import MetaLearner
from tradewind.meta.inner_loop import Unrolled, adapted_names, adapting, descend_query, observe, stacked, with_weights
from tradewind.meta.low_rank import plain_stack
from tradewind.meta.tasks import LossName, Task, check_loss

__all__ = ["MAML", "SPACES", "MAMLConfig"]

SPACES: Final[Space] = {
    "inner_lr": Real(1e-3, 3e-1, log=True),
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "num_inner_steps": Whole(1, 10),
    "first_order": Choice((False, True)),
}


@final
@dataclass(frozen=True)
class MAMLConfig:
    """`num_inner_steps` of gradient descent with `inner_lr` on the support; Adam with `outer_lr` on the query loss after them.

    `first_order` takes the inner gradients for constants (FOMAML). `anil` names what adapts: "head" for the last layer, or parameters and
    modules by name; None adapts all. `multi_step_loss` counts the query after every inner step: at first all steps alike, after
    `multi_step_iterations` meta-steps the last alone. `clip` bounds the norm of the meta-gradient, 0 does not. `low_rank` allows the
    faster way for plain stacks of linear layers, whose results differ by rounding.
    """

    inner_lr: float = 0.01
    outer_lr: float = 0.001
    num_inner_steps: int = 5
    first_order: bool = False
    anil: str | tuple[str, ...] | None = None
    multi_step_loss: bool = False
    multi_step_iterations: int = 5000
    loss: LossName = "cross_entropy"
    clip: float = 10.0
    low_rank: bool = True

    def __post_init__(self) -> None:
        number(inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip)
        whole(num_inner_steps=self.num_inner_steps, multi_step_iterations=self.multi_step_iterations)
        check_loss(self.loss)


@final
class MAML(MetaLearner):
    """Meta-learns the weights of any `nn.Module` that maps (sample, ...) to (sample, class) logits, or to numbers where the loss is mse.

    `ways` is how many classes the model answers, None where tasks are not to be checked for it. Raises SettingsError for a name in
    `anil` that the model does not have, and for a batch norm without running statistics.
    """

    name: ClassVar[str] = "maml"

    def __init__(self, model: nn.Module, config: MAMLConfig | None = None, ways: int | None = None) -> None:
        config = config or MAMLConfig()
        super().__init__(model, config, ways)
        names = adapted_names(model, config.anil)
        self._unrolled = Unrolled(model, names)
        self._stack = plain_stack(model, names) if config.low_rank else None

    def learned(self) -> nn.Module:
        """The model itself."""
        return self.model

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """`meta_loss`, which is descended, `query_loss`, that after the last inner step, and `accuracy` for classes."""
        with adapting(self.model):
            told = [self._group(group, len(group["query_labels"]) / len(tasks)) for group in stacked(tasks)]
        observe(self.model, tasks)
        return {name: sum(one[name] for one in told) for name in told[0]}

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A copy of the model after `steps` on the support; those beyond `num_inner_steps` only while the support loss falls."""
        config, trained = self.config, self.config.num_inner_steps
        if self._stack is not None and steps <= trained and self._stack.takes(support_data):
            return with_weights(self.model, self._stack.adapted(support_data, support_labels, config.loss, config.inner_lr, steps))
        adapted = self._unrolled.adapted(support_data, support_labels, config.loss, config.inner_lr, steps, trained)
        return with_weights(self.model, adapted)

    # -- a batch of tasks of equal shapes ----------------------------------------------------------------------------------
    def _group(self, group: Mapping[str, Tensor], share: float) -> dict[str, float]:
        config = self.config
        stack = self._stack if self._stack is not None and self._stack.takes(group["support_data"][0]) else None
        outputs = (stack or self._unrolled).query_outputs(
            group, config.loss, config.inner_lr, config.num_inner_steps, config.first_order, config.multi_step_loss
        )
        return descend_query(outputs, group["query_labels"], config.loss, share, self._step_weights())

    def _step_weights(self) -> list[float]:
        if not self.config.multi_step_loss:
            return [1.0]
        steps = self.config.num_inner_steps
        early = max(1.0 - self.iterations / self.config.multi_step_iterations, 0.0) / steps
        return [early] * (steps - 1) + [1.0 - early * (steps - 1)]
