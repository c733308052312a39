"""What action values should have been: the targets of Q-learning's family as pure functions; `_tm1` is a step, `_t` the one after it.

Papers: Mnih et al. 2015, https://doi.org/10.1038/nature14236 (one net aims at an older copy of itself); van Hasselt, Guez, Silver 2016,
https://arxiv.org/abs/1509.06461 (double); Fujimoto, van Hoof, Meger 2018, https://arxiv.org/abs/1802.09477 (clipped double); Sutton and
Barto 2018, chapter 7 (several steps). Costs a few operations on (batch, action). Fails where an end by the clock is taken for one of the
task: `discount_t` is 0 only where the episode terminated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tradewind.core.settings import require

__all__ = ["clipped_double_q_target", "double_q_target", "n_step", "q_learning_target", "taken", "temporal_difference_loss"]


def taken(q_tm1: Tensor, a_tm1: Tensor) -> Tensor:
    """(batch,) the values in `q_tm1` (batch, action) of the actions `a_tm1` (batch,)."""
    require(q_tm1.dim() == 2 and a_tm1.dim() == 1, "q_tm1 is (batch, action) and a_tm1 (batch,)")
    return q_tm1.gather(1, a_tm1[:, None]).squeeze(1)


def q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """(batch,) r_t + discount_t * max over actions of `q_t` (batch, action), from the older net. Source: Mnih et al. 2015, algorithm 1.

    The maximum of noisy values is too high on average, which is what the two below mend.
    """
    require(r_t.dim() == 1 and r_t.shape == discount_t.shape, "r_t and discount_t are (batch,)")
    require(q_t.dim() == 2, "q_t is (batch, action)")
    return torch.addcmul(r_t, discount_t, q_t.amax(dim=1))


def double_q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, chooser_t: Tensor) -> Tensor:
    """(batch,) r_t + discount_t * q_t at the action that `chooser_t` likes best; both are (batch, action).

    The net that learns chooses, the older one says what the choice is worth. Source: van Hasselt et al. 2016, equation 4.
    """
    require(r_t.dim() == 1 and r_t.shape == discount_t.shape, "r_t and discount_t are (batch,)")
    require(q_t.dim() == 2 and q_t.shape == chooser_t.shape, "q_t and chooser_t are (batch, action)")
    return torch.addcmul(r_t, discount_t, taken(q_t, chooser_t.argmax(dim=1)))


def clipped_double_q_target(r_t: Tensor, discount_t: Tensor, first_t: Tensor, second_t: Tensor, chooser_t: Tensor) -> Tensor:
    """(batch,) r_t + discount_t * the smaller of `first_t` and `second_t` at the action that `chooser_t` likes best; all (batch, action).

    Source: Fujimoto et al. 2018, equation 10, the policy there being the greedy one here.
    """
    require(first_t.shape == second_t.shape, "first_t and second_t are (batch, action)")
    return double_q_target(r_t, discount_t, torch.minimum(first_t, second_t), chooser_t)


def temporal_difference_loss(q_tm1: Tensor, a_tm1: Tensor, target_tm1: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean Huber loss of the actions' values against their targets, and (batch,) by how much each missed it.

    `weights` (batch,) weigh the samples. Source: Mnih et al. 2015 clip the error's gradient at 1, which is this loss.
    """
    require(target_tm1.dim() == 1 and not target_tm1.requires_grad, "target_tm1 is (batch,), and no gradient flows through it")
    values = taken(q_tm1, a_tm1)
    if weights is None:
        loss = functional.smooth_l1_loss(values, target_tm1)
    else:
        loss = (weights * functional.smooth_l1_loss(values, target_tm1, reduction="none")).mean()
    return loss, (target_tm1 - values.detach()).abs()


def n_step(
    rewards: Sequence[Tensor], terminated: Sequence[Tensor], ended: Sequence[Tensor], following: Sequence[Tensor], discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The return over several steps that begin with the first, what the rest is worth, and where the rest begins, for each lane.

    Each sequence has one tensor a step: `rewards`, `terminated`, `ended` (lane,) and `following` (lane, inputs). The sum stops with the
    step that ended an episode, and never takes anything of the next one. Answers (lane,) the discounted sum of rewards; (lane,) the
    discount of what follows, 0 where the episode terminated; and (lane, inputs) the observation from which it follows.
    Source: Sutton and Barto 2018, equation 7.1, cut at the end of an episode.
    """
    require(len(rewards) == len(terminated) == len(ended) == len(following) > 0, "every sequence has one tensor a step")
    require(rewards[0].dim() == 1 and following[0].dim() == 2, "rewards are (lane,) and following (lane, inputs)")
    returns, led_to = rewards[0], following[0]
    rest = discount * (~terminated[0]).to(returns.dtype)
    going, worth = ~ended[0], discount
    for k in range(1, len(rewards)):
        returns = returns + worth * rewards[k] * going
        worth *= discount
        rest = torch.where(going, worth * (~terminated[k]).to(returns.dtype), rest)
        led_to = torch.where(going[:, None], following[k], led_to)
        going = going & ~ended[k]
    return returns, rest, led_to
