"""Meta-SGD: MAML that learns the inner learning rate as well, one for every single weight, with its sign.

Paper: Li, Zhou, Chen, Li 2017, https://arxiv.org/abs/1707.09835. Costs what second-order MAML costs on its general way, and twice the
learned numbers: rates that differ from weight to weight leave nothing of low rank. Fails where it takes more steps than it was trained
with (the rates are made for those; the guard of `guarded_weights` stops it then), and sooner than MAML where training tasks are few: it has
twice the numbers to fit to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from tradewind.core.limits import number, whole
from tradewind.core.spaces import Real, Space, Whole
from tradewind.meta.base import MetaLearner
from tradewind.meta.inner_loop import Unrolled, Weights, adapted_names, adapting, descend_query, observe, stacked, with_weights
from tradewind.meta.tasks import LossName, Task, check_loss

__all__ = ["SPACES", "MetaSGD", "MetaSGDConfig"]

SPACES: Final[Space] = {
    "inner_lr": Real(1e-3, 1e-1, log=True),
    "outer_lr": Real(1e-4, 1e-2, log=True),
    "num_inner_steps": Whole(1, 10),
    "lr_regularization": Real(1e-4, 1.0, log=True),
}


@final
@dataclass(frozen=True)
class MetaSGDConfig:
    """`num_inner_steps` of descent, each weight with its own rate, all of them `inner_lr` at first; Adam with `outer_lr` on both.

    `outer_lr` is the paper's beta, elsewhere called meta_lr. `lr_regularization` adds the mean squared relative distance
    of the rates from `inner_lr`, times itself, to the meta-loss. `learn_rates` false freezes them, which is MAML. `clip` bounds the
    norm of the meta-gradient, 0 does not.
    """

    inner_lr: float = 0.01
    outer_lr: float = 0.001
    num_inner_steps: int = 10
    lr_regularization: float = 0.01
    learn_rates: bool = True
    loss: LossName = "cross_entropy"
    clip: float = 10.0

    def __post_init__(self) -> None:
        number(inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        number(positive=False, clip=self.clip, lr_regularization=self.lr_regularization)
        whole(num_inner_steps=self.num_inner_steps)
        check_loss(self.loss)


@final
class MetaSGD(MetaLearner):
    """Meta-learns weights and inner rates of any `nn.Module` that maps (sample, ...) to (sample, class) logits, or numbers for mse.

    `rates` holds the rates by the weights' names, in their shapes. `ways` is how many classes the model answers, None where tasks are
    not to be checked for it. Raises SettingsError for a batch norm without running statistics.
    """

    name: ClassVar[str] = "meta-sgd"

    def __init__(self, model: nn.Module, config: MetaSGDConfig | None = None, ways: int | None = None) -> None:
        config = config or MetaSGDConfig()
        self._names = adapted_names(model)
        start = [torch.full_like(model.get_parameter(name), config.inner_lr) for name in self._names]
        self._rates = nn.ParameterList(nn.Parameter(rate, config.learn_rates) for rate in start)
        self._learned = nn.ModuleDict({"model": model, "rates": self._rates})
        self._unrolled = Unrolled(model, self._names)
        super().__init__(model, config, ways)

    @property
    def rates(self) -> Weights:
        """The inner learning rate of every weight, by name."""
        return dict(zip(self._names, self._rates, strict=True))

    def learned(self) -> nn.Module:
        """The model and the rates."""
        return self._learned

    def gradients(self, tasks: Sequence[Task]) -> dict[str, float]:
        """`meta_loss` and `query_loss`, both the mean query loss after adapting, `accuracy` for classes, and the `mean_rate`."""
        with adapting(self.model):
            told = [self._group(group, len(group["query_labels"]) / len(tasks)) for group in stacked(tasks)]
        if self.config.learn_rates and self.config.lr_regularization:
            self._pull()
        observe(self.model, tasks)
        rates = torch.cat([rate.detach().flatten() for rate in self._rates])
        return {name: sum(one[name] for one in told) for name in told[0]} | {"mean_rate": float(rates.mean())}

    def adapt(self, support_data: Tensor, support_labels: Tensor, steps: int) -> nn.Module:
        """A copy of the model after `steps` on the support; those beyond `num_inner_steps` only while the support loss falls."""
        config = self.config
        adapted = self._unrolled.adapted(support_data, support_labels, config.loss, self.rates, steps, config.num_inner_steps)
        return with_weights(self.model, adapted)

    def _group(self, group: Mapping[str, Tensor], share: float) -> dict[str, float]:
        config = self.config
        outputs = self._unrolled.query_outputs(group, config.loss, self.rates, config.num_inner_steps)
        return descend_query(outputs, group["query_labels"], config.loss, share)

    def _pull(self) -> None:
        count = sum(rate.numel() for rate in self._rates)
        distance = torch.stack([(rate / self.config.inner_lr - 1).square().sum() for rate in self._rates]).sum()
        torch.autograd.backward(distance * (self.config.lr_regularization / count))
