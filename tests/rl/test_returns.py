"""Advantages by hand, as Monte-Carlo returns, as temporal differences, and as Stable-Baselines3 has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tradewind.core.errors import SettingsError
from tradewind.rl.returns import generalised_advantages


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def flags(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.bool)[:, None]


def drawn(seed: int, steps: int, lanes: int, ends: float) -> tuple[Tensor, ...]:
    """Rewards, values, values after, terminated, ended; a value after a step that ends nothing is the next step's value."""
    torch.manual_seed(seed)
    rewards, values, after = (torch.randn(steps, lanes, dtype=torch.float64) for _ in range(3))
    ended = torch.rand(steps, lanes) < ends
    terminated = ended & (torch.rand(steps, lanes) < 0.5)
    after[:-1] = torch.where(ended[:-1], after[:-1], values[1:])
    return rewards, values, after, terminated, ended


def test_by_hand() -> None:
    # Differences 1 + .5*2 - 1 = 1, 2 + 0 - 2 = 0 (terminated), 3 + .5*4 - 3 = 2 (cut), 1 + .5*8 - 5 = 0 (the rollout's end).
    rewards, values, after = column(1, 2, 3, 1), column(1, 2, 3, 5), column(2, 99, 4, 8)
    advantages = generalised_advantages(rewards, values, after, flags(0, 1, 0, 0), flags(0, 1, 1, 0), 0.5, 0.8)
    torch.testing.assert_close(advantages, column(1, 0, 2, 0))
    unbroken = generalised_advantages(rewards, values, after, flags(0, 1, 0, 0), flags(0, 1, 0, 0), 0.5, 0.8)
    torch.testing.assert_close(unbroken, column(1, 0, 2, 0))
    longer = generalised_advantages(column(1, 1, 1), column(0, 0, 0), column(0, 0, 0), flags(0, 0, 0), flags(0, 0, 0), 0.5, 0.8)
    torch.testing.assert_close(longer, column(1 + 0.4 * 1.4, 1.4, 1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1))
def test_lambda_one_is_the_monte_carlo_return_less_the_value(seed: int, steps: int, lanes: int, ends: float, discount: float) -> None:
    rewards, values, after, terminated, ended = drawn(seed, steps, lanes, ends)
    advantages = generalised_advantages(rewards, values, after, terminated, ended, discount, 1.0)
    for lane in range(lanes):
        for t in range(steps):
            total, weight, k = 0.0, 1.0, t
            while True:
                total += weight * float(rewards[k, lane])
                weight *= discount
                if bool(ended[k, lane]) or k == steps - 1:
                    total += 0.0 if bool(terminated[k, lane]) else weight * float(after[k, lane])
                    break
                k += 1
            assert float(advantages[t, lane]) == pytest.approx(total - float(values[t, lane]), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1))
def test_lambda_zero_is_the_temporal_difference(seed: int, steps: int, lanes: int, ends: float, discount: float) -> None:
    rewards, values, after, terminated, ended = drawn(seed, steps, lanes, ends)
    advantages = generalised_advantages(rewards, values, after, terminated, ended, discount, 0.0)
    torch.testing.assert_close(advantages, rewards + discount * torch.where(terminated, 0.0, after) - values)


def test_nothing_beyond_an_end_reaches_back() -> None:
    rewards, values, after, terminated, ended = drawn(3, 12, 3, 0.0)
    ended[5], terminated[5, 0] = True, True
    before = generalised_advantages(rewards, values, after, terminated, ended, 0.9, 0.9)
    rewards[6:], values[6:], after[6:] = 1e6, -1e6, float("nan")
    after[5, 0] = float("nan")
    torch.testing.assert_close(generalised_advantages(rewards, values, after, terminated, ended, 0.9, 0.9)[:6], before[:6], rtol=0, atol=0)


def test_as_stable_baselines3_has_them() -> None:
    buffers = pytest.importorskip("stable_baselines3.common.buffers", reason="Stable-Baselines3 is not installed")
    from gymnasium.spaces import Box, Discrete

    rewards, values, after, _, ended = (tensor.float() if tensor.is_floating_point() else tensor for tensor in drawn(11, 40, 5, 0.2))
    # It knows no cut: there an end is an end, and what a cut would be worth is added to the reward beforehand.
    terminated = ended.clone()
    buffer: Any = buffers.RolloutBuffer(40, Box(-1, 1, (2,)), Discrete(2), device="cpu", gae_lambda=0.93, gamma=0.97, n_envs=5)
    buffer.rewards, buffer.values = rewards.numpy(), values.numpy()
    buffer.episode_starts = np.concatenate([np.zeros((1, 5)), ended[:-1].numpy()]).astype(np.float32)
    buffer.compute_returns_and_advantage(after[-1], ended[-1].numpy())
    advantages = generalised_advantages(rewards, values, after, terminated, ended, 0.97, 0.93)
    np.testing.assert_allclose(advantages.numpy(), buffer.advantages, rtol=1e-5, atol=1e-5)


def test_shapes_that_do_not_fit() -> None:
    fine, flag = torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.bool)
    with pytest.raises(SettingsError, match=r"expected \(time, lane\)"):
        generalised_advantages(fine[0], fine, fine, flag, flag, 0.9, 0.9)
    with pytest.raises(SettingsError, match=r"values_tp1 have shape \(3, 2\), rewards \(4, 2\)"):
        generalised_advantages(fine, fine, fine[1:], flag, flag, 0.9, 0.9)
