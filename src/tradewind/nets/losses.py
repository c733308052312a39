"""What a net is trained to make small: weighted mean losses for classes, returns and quantiles, and the contract for any other.

Papers: Koenker and Bassett 1978, https://doi.org/10.2307/1913643 (the pinball loss of a quantile); cross-entropy and the squared error are
the negative log-likelihoods of a class and of a Gaussian return. Costs a few elementwise passes over a batch's outputs. A mean loss
fails where a few enormous targets outweigh all others: put returns into units of their own size first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, final

import torch
from torch import Tensor
from torch.nn import functional

from tradewind.core.limits import fraction
from tradewind.core.settings import require

__all__ = ["CLASSES", "RETURN", "TWO_CLASSES", "Loss", "Mean", "quantiles"]


class Loss(Protocol):
    """A loss that is a function of sums over samples, so that batches can be added up: a mean is, and a Sharpe ratio is.

    `terms` gives the sums (k,) of one batch from float32 `outputs` (sample, ...), `targets` (sample, ...) and `weights` (sample,); sums of
    two batches add. `value` () turns the sums of all batches into the loss. Both must be differentiable.
    """

    def terms(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor: ...

    def value(self, sums: Tensor) -> Tensor: ...


@final
@dataclass(frozen=True)
class Mean:
    """The weighted mean of `measure(outputs, targets)`, a loss (sample, ...) whose further axes are averaged with equal weight."""

    measure: Callable[[Tensor, Tensor], Tensor]

    def terms(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """(2,): the weighted sum of the losses, and that of the weights."""
        each = self.measure(outputs, targets)
        each = each.flatten(1).mean(dim=1) if each.dim() > 1 else each
        return torch.stack([(each * weights).sum(), weights.sum()])

    def value(self, sums: Tensor) -> Tensor:
        """(): one sum divided by the other."""
        return sums[0] / sums[1]

    def slope(self, weights: Tensor) -> Tensor:
        """(2,): how the value changes with the terms, which the weights alone tell before any output is known."""
        total = weights.sum()
        return torch.stack([1.0 / total, torch.zeros_like(total)])


def quantiles(levels: tuple[float, ...]) -> Mean:
    """The pinball loss, averaged over `levels`: outputs (sample, ..., level) learn those quantiles of the targets (sample, ...).

    Raises SettingsError unless the levels lie between 0 and 1 and ascend.
    """
    require(len(levels) > 0, "quantiles need at least one level")
    for level in levels:
        fraction(quantile=level)
    require(all(low < high for low, high in pairwise(levels)), f"quantiles {levels} do not ascend")

    def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
        level = torch.tensor(levels, dtype=outputs.dtype, device=outputs.device)
        error = targets[..., None] - outputs
        return torch.maximum(level * error, (level - 1.0) * error)

    return Mean(pinball)


def _two_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")


def _classes(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets.long(), reduction="none")


def _return(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets) ** 2


TWO_CLASSES: Final = Mean(_two_classes)
"""Cross-entropy of logits (sample, 1) of the higher class; targets (sample,) are 0 or 1."""
CLASSES: Final = Mean(_classes)
"""Cross-entropy of logits (sample, class); targets (sample,) are positions of classes."""
RETURN: Final = Mean(_return)
"""Squared error of means (sample, 1); targets (sample,) are returns."""
