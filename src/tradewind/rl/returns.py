"""What actions were worth, from rewards and values: pure functions over time, all lanes at once; `_t` is a step, `_tp1` the one after it.

Paper: Schulman, Moritz, Levine, Jordan, Abbeel 2016, https://arxiv.org/abs/1506.02438 (generalised advantage estimation). Costs one pass
backwards over the steps, a few operations on (lane,) each. Fails where an end by the clock is taken for an end of the task: pass
`terminated` and `ended` apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tradewind.core.settings import require

__all__ = ["generalised_advantages"]


def generalised_advantages(
    rewards_t: Tensor, values_t: Tensor, values_tp1: Tensor, terminated_t: Tensor, ended_t: Tensor, discount: float, decay: float
) -> Tensor:
    """(time, lane): the exponentially weighted sum of temporal differences from each step to the end of its episode.

    All tensors are (time, lane). `values_tp1` are values of the states that the actions led to: the last state of its episode where it
    `ended_t`, and nothing is expected of it where it `terminated_t`. `decay` is the paper's lambda: 0 gives the temporal difference,
    1 the discounted return less the value. Source: Schulman et al. 2016, equation 16.
    """
    shape = tuple(rewards_t.shape)
    require(len(shape) == 2, f"rewards have shape {shape}, expected (time, lane)")
    for name, tensor in (("values_t", values_t), ("values_tp1", values_tp1), ("terminated_t", terminated_t), ("ended_t", ended_t)):
        require(tuple(tensor.shape) == shape, f"{name} have shape {tuple(tensor.shape)}, rewards {shape}")
    differences = rewards_t + discount * values_tp1.masked_fill(terminated_t, 0.0) - values_t
    advantages = torch.empty_like(differences)
    following = torch.zeros_like(differences[0])
    for t in range(len(differences) - 1, -1, -1):
        following = torch.add(differences[t], following.masked_fill(ended_t[t], 0.0), alpha=discount * decay, out=advantages[t])
    return advantages
