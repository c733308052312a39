"""Returns as distributions over fixed atoms: the projected target of C51, the loss against it, and how much of it stands at the edge.

Paper: Bellemare, Dabney, Munos 2017, https://arxiv.org/abs/1707.06887 (algorithm 1). Costs O(batch * atoms), where the sum over pairs of
atoms that is often written costs O(batch * atoms^2). Fails where returns leave the support: their mass is moved to the outermost atom,
so that the mean is wrong by as much as was cut off, and all actions whose returns lie beyond look alike; `at_edge` tells. Support that is
much wider than the returns wastes atoms: differences far below the distance of two atoms are learned slowly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tradewind.core.settings import require

__all__ = ["at_edge", "categorical_cross_entropy", "categorical_mean", "categorical_target", "project"]


def project(values: Tensor, probabilities: Tensor, support: Tensor) -> Tensor:
    """(batch, atoms): the distributions that put `probabilities` (batch, k) on `values` (batch, k), moved onto the atoms of `support`.

    `support` (atoms,) ascends in equal steps. Each value's mass is shared by the two atoms beside it so that its mean stays; what lies
    beyond the support goes to the outermost atom. Source: Bellemare et al. 2017, equation 7.
    """
    require(values.dim() == 2 and values.shape == probabilities.shape, "values and probabilities are two alike: (batch, k)")
    require(support.dim() == 1 and len(support) > 1, "support is (atoms,), two at least")
    atoms = len(support)
    low, high = support[0], support[-1]
    # Where in the support a value lies, counted in atoms; division may step over the last one by a rounding.
    place = ((values.clamp(low, high) - low) * ((atoms - 1) / (high - low))).clamp(max=atoms - 1)
    below = place.floor().clamp(max=atoms - 2)
    upper = probabilities * (place - below)
    first = below.long() + torch.arange(len(values), device=values.device)[:, None] * atoms
    flat = torch.zeros(len(values) * atoms, dtype=probabilities.dtype, device=probabilities.device)
    flat.index_add_(0, first.flatten(), (probabilities - upper).flatten())
    flat.index_add_(0, first.flatten() + 1, upper.flatten())
    return flat.view(len(values), atoms)


def categorical_target(r_t: Tensor, discount_t: Tensor, probabilities_t: Tensor, support: Tensor) -> Tensor:
    """(batch, atoms): the distribution of r_t + discount_t * Z_t on `support`, where Z_t has `probabilities_t` (batch, atoms) on it.

    `r_t` (batch,) is the reward (of n steps) and `discount_t` (batch,) what the rest is worth: 0 where the episode terminated.
    Source: Bellemare et al. 2017, algorithm 1; with n steps Hessel et al. 2018, https://arxiv.org/abs/1710.02298, section 3.
    """
    require(r_t.dim() == 1 and r_t.shape == discount_t.shape, "r_t and discount_t are (batch,)")
    require(probabilities_t.shape == (len(r_t), len(support)), "probabilities_t is (batch, atoms)")
    return project(r_t[:, None] + discount_t[:, None] * support, probabilities_t, support)


def categorical_cross_entropy(target_tm1: Tensor, logits_tm1: Tensor) -> Tensor:
    """(batch,) -sum over atoms of target * log softmax(logits), both (batch, atoms): KL(target, net) and the target's entropy."""
    require(logits_tm1.dim() == 2 and logits_tm1.shape == target_tm1.shape, "target and logits are two alike: (batch, atoms)")
    return -(target_tm1 * torch.log_softmax(logits_tm1, dim=1)).sum(dim=1)


def categorical_mean(logits: Tensor, support: Tensor) -> Tensor:
    """(...): the mean of softmax(`logits`) (..., atoms) on `support` (atoms,): Q, where `logits` are of actions."""
    require(logits.shape[-1:] == support.shape, "logits are (..., atoms) for a support (atoms,)")
    return (torch.softmax(logits, dim=-1) * support).sum(dim=-1)


def at_edge(probabilities: Tensor) -> Tensor:
    """The share of the mass of `probabilities` (batch, atoms) on the two outermost atoms, meaned: far above 0, widen the support."""
    require(probabilities.dim() == 2, "probabilities are (batch, atoms)")
    return (probabilities[:, 0] + probabilities[:, -1]).mean()
