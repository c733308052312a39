"""The targets of Q-learning's family: by hand, by plain numpy, and beside Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tradewind.core.errors import SettingsError
from tradewind.rl.targets import (
    clipped_double_q_target,
    double_q_target,
    n_step,
    q_learning_target,
    taken,
    temporal_difference_loss,
)

R = torch.tensor([1.0, 2.0, -1.0])
DISCOUNT = torch.tensor([0.5, 0.0, 0.9])
OLDER = torch.tensor([[4.0, 8.0], [1.0, 3.0], [-2.0, 5.0]])
CHOOSER = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])


def test_targets_by_hand() -> None:
    # The largest of the older net: 8, 3, 5.
    assert q_learning_target(R, DISCOUNT, OLDER).tolist() == pytest.approx([5.0, 2.0, 3.5])
    # What the chooser likes best is worth 4, 3, 5 to the older net.
    assert double_q_target(R, DISCOUNT, OLDER, CHOOSER).tolist() == pytest.approx([3.0, 2.0, 3.5])
    # And the smaller of two older nets at that action: 4, 3, 1.
    second = torch.tensor([[6.0, 0.0], [9.0, 9.0], [0.0, 1.0]])
    assert clipped_double_q_target(R, DISCOUNT, OLDER, second, CHOOSER).tolist() == pytest.approx([3.0, 2.0, -0.1])


def test_the_loss_by_hand() -> None:
    q = torch.tensor([[1.0, 0.0], [0.0, 5.0]], requires_grad=True)
    actions, target = torch.tensor([0, 1]), torch.tensor([1.5, 2.0])
    loss, surprise = temporal_difference_loss(q, actions, target)
    # Errors of .5 and 3: a half of the square, and the length less a half.
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)
    assert surprise.tolist() == pytest.approx([0.5, 3.0])
    loss.backward()
    assert q.grad is not None
    assert q.grad.tolist() == [[pytest.approx(-0.25), 0.0], [0.0, pytest.approx(0.5)]]
    weighted, _ = temporal_difference_loss(q, actions, target, torch.tensor([2.0, 0.0]))
    assert weighted.item() == pytest.approx(0.125)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 6))
def test_double_targets_are_those_of_plain_numpy(seed: int, batch: int, actions: int) -> None:
    stream = np.random.default_rng(seed)
    r, discount = stream.normal(size=batch), stream.uniform(0, 1, batch) * (stream.uniform(size=batch) < 0.8)
    first, second, chooser = stream.normal(size=(3, batch, actions))
    best = chooser.argmax(axis=1)
    rows = np.arange(batch)
    as_torch = [torch.from_numpy(array) for array in (r, discount, first, second, chooser)]
    double = double_q_target(*as_torch[:3], as_torch[4]).numpy()
    assert double == pytest.approx(r + discount * first[rows, best])
    clipped = clipped_double_q_target(*as_torch).numpy()
    assert clipped == pytest.approx(r + discount * np.minimum(first[rows, best], second[rows, best]))
    # None of them hopes for more than plain Q-learning does.
    plain = q_learning_target(*as_torch[:3]).numpy()
    assert (clipped <= double + 1e-12).all()
    assert (double <= plain + 1e-12).all()


# -- several steps -------------------------------------------------------------------------------------------------------
def _lived(seed: int, steps: int, lanes: int) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    rewards = [torch.randn(lanes, generator=generator, dtype=torch.float64) for _ in range(steps)]
    terminated = [torch.rand(lanes, generator=generator) < 0.2 for _ in range(steps)]
    ended = [over | (torch.rand(lanes, generator=generator) < 0.2) for over in terminated]
    following = [torch.randn(lanes, 2, generator=generator, dtype=torch.float64) for _ in range(steps)]
    return rewards, terminated, ended, following


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 4))
def test_returns_stop_at_the_end_of_an_episode(seed: int, steps: int, lanes: int) -> None:
    rewards, terminated, ended, following = _lived(seed, steps, lanes)
    returns, rest, led_to = n_step(rewards, terminated, ended, following, 0.9)
    for lane in range(lanes):
        expected, worth = 0.0, 1.0
        for k in range(steps):
            expected += worth * float(rewards[k][lane])
            worth *= 0.9
            if ended[k][lane]:
                break
        assert float(returns[lane]) == pytest.approx(expected)
        assert float(rest[lane]) == pytest.approx(0.0 if terminated[k][lane] else worth)
        assert torch.equal(led_to[lane], following[k][lane])


def test_an_end_by_the_clock_is_no_end_of_the_task() -> None:
    yes, no = torch.tensor([True]), torch.tensor([False])
    here, there = torch.zeros(1, 1), torch.ones(1, 1)
    one = [torch.tensor([1.0])]
    truncated = n_step(one, [no], [yes], [there], 0.5)
    terminated = n_step(one, [yes], [yes], [there], 0.5)
    assert (float(truncated[1]), float(terminated[1])) == (0.5, 0.0)
    # Two steps of which the first ended the episode by the clock: bootstrapped from there, the second is another's.
    returns, rest, led_to = n_step([*one, torch.tensor([100.0])], [no, no], [yes, no], [there, here], 0.5)
    assert (float(returns), float(rest), float(led_to)) == (1.0, 0.5, 1.0)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(SettingsError, match="q_t is"):
        q_learning_target(R, DISCOUNT, R)
    with pytest.raises(SettingsError, match=r"discount_t are \(batch,\)"):
        double_q_target(R, DISCOUNT[:2], OLDER, CHOOSER)
    with pytest.raises(SettingsError, match="chooser_t"):
        double_q_target(R, DISCOUNT, OLDER, CHOOSER[:2])
    with pytest.raises(SettingsError, match="second_t"):
        clipped_double_q_target(R, DISCOUNT, OLDER, OLDER[:2], CHOOSER)
    with pytest.raises(SettingsError, match="a_tm1"):
        taken(OLDER, OLDER)
    with pytest.raises(SettingsError, match="no gradient"):
        temporal_difference_loss(OLDER, torch.tensor([0, 1, 0]), R.clone().requires_grad_(True))
    with pytest.raises(SettingsError, match="one tensor a step"):
        n_step([], [], [], [], 0.9)
