"""Running means and deviations of observations, and the scale of rewards: learned while learning, frozen while acting.

Source: Andrychowicz et al. 2021, https://arxiv.org/abs/2006.05990 (section 3.3: normalised inputs matter most); the parallel update is
Chan, Golub, LeVeque 1983, https://doi.org/10.2307/2683386. Costs one pass over a batch. Fails where observations drift: scores then wander
off, as with every scaler of the past.
"""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

__all__ = ["ObservationNorm", "RewardScale"]

FARTHEST: Final = 10.0
"""Scores and scaled rewards beyond so many deviations are cut."""
LEAST: Final = 1e-8


@final
class ObservationNorm(nn.Module):
    """(batch, inputs) -> scores, cut at 10; with `inputs` 0 it answers what it is given. Its buffers are its state."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(inputs, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Learn from a batch (batch, inputs)."""
        if len(self.mean) == 0 or len(observations) == 0:
            return
        variance, mean = torch.var_mean(observations.double(), dim=0, correction=0)
        _join(self.mean, self.variance, self.count, mean, variance, len(observations))

    def forward(self, observations: Tensor) -> Tensor:
        """Scores (batch, inputs) float32 under what was learned so far."""
        if len(self.mean) == 0:
            return observations
        deviation = torch.sqrt(self.variance + LEAST)
        return ((observations - self.mean.float()) / deviation.float()).clamp(-FARTHEST, FARTHEST)


@final
class RewardScale(nn.Module):
    """Rewards over the running deviation of their discounted sum, cut at 10; their sign and zero stay. Its buffers are its state."""

    variance: Tensor
    mean: Tensor
    count: Tensor
    running: Tensor

    def __init__(self, lanes: int, discount: float) -> None:
        super().__init__()
        self.discount = discount
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("variance", torch.ones((), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("running", torch.zeros(lanes, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rewards: Tensor, ended: Tensor) -> None:
        """Learn from one step of all lanes: `rewards` (lane,), and whether the episode `ended` (lane,) with it."""
        running = self.running
        running.mul_(self.discount).add_(rewards)
        variance, mean = torch.var_mean(running, dim=0, correction=0)
        _join(self.mean, self.variance, self.count, mean, variance, len(running))
        running.masked_fill_(ended, 0.0)

    def forward(self, rewards: Tensor) -> Tensor:
        """Scaled rewards of any shape."""
        return (rewards / torch.sqrt(self.variance + LEAST).float()).clamp(-FARTHEST, FARTHEST)


def _join(mean: Tensor, variance: Tensor, count: Tensor, other_mean: Tensor, other_variance: Tensor, n: int) -> None:
    """Make the moments of `count` numbers those of n more as well, in place: few operations, since each costs as much as eight lanes."""
    count.add_(n)
    share = n / count
    gap = other_mean - mean
    variance.lerp_(other_variance, share).addcmul_(gap * gap, share * (1.0 - share))
    mean.addcmul_(gap, share)
