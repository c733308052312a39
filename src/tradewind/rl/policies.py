"""What an actor says, read as chances: a categorical policy over choices, or independent Gaussians over continuous actions.

Source: Williams 1992, https://doi.org/10.1007/BF00992696 (policies to draw from, whose log-probability has a gradient); drawing by Gumbel
noise: Maddison, Mnih, Teh 2017, https://arxiv.org/abs/1611.00712. Costs a few operations on (batch, actions). Fails, as
numbers that are not finite, where the net that speaks has diverged.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final, final

import torch
from torch import Tensor

__all__ = ["Categorical", "Gaussian", "Policy"]

LEAST: Final = 1e-20
HALF_LOG_TAU: Final = 0.5 * math.log(2.0 * math.pi)


class Policy(ABC):
    """Chances of actions, one row an observation."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The likeliest actions: (batch,) int64, or (batch, dimension)."""

    @abstractmethod
    def sample(self) -> Tensor:
        """Actions drawn by torch's random state, of the same shape."""

    @abstractmethod
    def log_probability(self, actions: Tensor) -> Tensor:
        """(batch,) the logarithm of the probability, or of the density, of `actions`."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """(batch,) in nats."""

    @abstractmethod
    def conviction(self) -> Tensor:
        """(batch,) from 0: how far the mode is from being any other action."""


@final
class Categorical(Policy):
    """Chances of `actions` choices by their `logits` (batch, actions)."""

    def __init__(self, logits: Tensor) -> None:
        self.logarithms = torch.log_softmax(logits, dim=-1)

    def mode(self) -> Tensor:
        return self.logarithms.argmax(dim=-1)

    def sample(self) -> Tensor:
        # The likeliest after Gumbel noise is a draw by the chances; log(-log(uniform)) is log(exponential).
        return (self.logarithms - torch.empty_like(self.logarithms).exponential_().clamp_min_(LEAST).log_()).argmax(dim=-1)

    def log_probability(self, actions: Tensor) -> Tensor:
        return self.logarithms.gather(-1, actions[:, None]).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logarithms.exp() * self.logarithms).sum(dim=-1)

    def conviction(self) -> Tensor:
        """The logarithm of how many times likelier the best choice is than the second; with a single choice 0."""
        if self.logarithms.shape[-1] == 1:
            return torch.zeros_like(self.logarithms[:, 0])
        best = self.logarithms.topk(2, dim=-1).values
        return best[:, 0] - best[:, 1]


@final
class Gaussian(Policy):
    """Independent normal actions around `means` (batch, dimension), with `log_deviations` (dimension,) that are the same in every row."""

    def __init__(self, means: Tensor, log_deviations: Tensor) -> None:
        self.means, self.log_deviations = means, log_deviations

    def mode(self) -> Tensor:
        return self.means

    def sample(self) -> Tensor:
        return self.means + torch.randn_like(self.means) * self.log_deviations.exp()

    def log_probability(self, actions: Tensor) -> Tensor:
        scores = (actions - self.means) * (-self.log_deviations).exp()
        constant = self.log_deviations.sum() + HALF_LOG_TAU * self.log_deviations.numel()
        return -0.5 * (scores * scores).sum(dim=-1) - constant

    def entropy(self) -> Tensor:
        total = self.log_deviations.sum() + (0.5 + HALF_LOG_TAU) * self.log_deviations.numel()
        return total.expand(len(self.means))

    def conviction(self) -> Tensor:
        """How many deviations the mean is from zero, the middle of what may be done; over several dimensions their distance."""
        return (self.means * (-self.log_deviations).exp()).square().sum(dim=-1).sqrt()
