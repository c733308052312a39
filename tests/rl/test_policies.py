"""Policies against torch's own distributions, and their convictions by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from tradewind.rl.policies import Categorical, Gaussian


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 6))
def test_categorical_as_torch_has_it(seed: int, batch: int, actions: int) -> None:
    torch.manual_seed(seed)
    logits = 3 * torch.randn(batch, actions)
    mine, theirs = Categorical(logits), distributions.Categorical(logits=logits)
    chosen = theirs.sample()
    torch.testing.assert_close(mine.log_probability(chosen), theirs.log_prob(chosen))
    torch.testing.assert_close(mine.entropy(), theirs.entropy())
    assert torch.equal(mine.mode(), logits.argmax(dim=1))
    assert mine.sample().shape == (batch,) and mine.sample().dtype == torch.int64
    assert bool((mine.conviction() >= 0).all())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 4))
def test_gaussian_as_torch_has_it(seed: int, batch: int, dimensions: int) -> None:
    torch.manual_seed(seed)
    means, logs = torch.randn(batch, dimensions), torch.randn(dimensions)
    mine, theirs = Gaussian(means, logs), distributions.Normal(means, logs.exp().expand_as(means))
    drawn = theirs.sample()
    torch.testing.assert_close(mine.log_probability(drawn), theirs.log_prob(drawn).sum(dim=1))
    torch.testing.assert_close(mine.entropy(), theirs.entropy().sum(dim=1))
    assert torch.equal(mine.mode(), means) and mine.sample().shape == means.shape


def test_draws_have_their_chances() -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    drawn = Categorical(chances.log().expand(40_000, 4)).sample()
    shares = torch.bincount(drawn, minlength=4) / 40_000
    # Four standard errors of the largest.
    assert float((shares - chances).abs().max()) < 4 * math.sqrt(0.25 / 40_000)


def test_draws_have_their_mean_and_deviation() -> None:
    torch.manual_seed(0)
    drawn = Gaussian(torch.tensor([[0.5, -2.0]]).expand(40_000, 2), torch.tensor([0.0, -1.0])).sample()
    torch.testing.assert_close(drawn.mean(dim=0), torch.tensor([0.5, -2.0]), rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.std(dim=0), torch.tensor([1.0, math.exp(-1.0)]), rtol=0.02, atol=0)


def test_convictions_by_hand() -> None:
    assert Categorical(torch.tensor([[1.0, 4.0, 3.5]])).conviction().item() == pytest.approx(0.5, abs=1e-6)
    assert Categorical(torch.tensor([[1.0]])).conviction().item() == 0.0
    assert Gaussian(torch.tensor([[3.0, -8.0]]), torch.tensor([0.0, math.log(2.0)])).conviction().item() == pytest.approx(5.0, rel=1e-6)
