"""Running moments against those of all numbers at once, and what is done with them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.nets.checkpoint import load_net, net_state
from tradewind.rl.normalise import ObservationNorm, RewardScale


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(1, 4))
def test_moments_in_pieces_are_those_of_the_whole(seed: int, sizes: list[int], inputs: int) -> None:
    torch.manual_seed(seed)
    pieces = [3 * torch.randn(size, inputs) + 50 for size in sizes]
    norm = ObservationNorm(inputs)
    for piece in pieces:
        norm.update(piece)
    told = torch.cat(pieces).double()
    assert float(norm.count) == len(told)
    if len(told):
        torch.testing.assert_close(norm.mean, told.mean(dim=0), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(norm.variance, told.var(dim=0, correction=0), rtol=1e-7, atol=1e-7)


def test_scores_are_cut_and_without_inputs_nothing_is_done() -> None:
    norm = ObservationNorm(2)
    norm.update(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
    # Means 1 and 5, deviations 1 and 0: what never moved and then does is far out, and cut.
    torch.testing.assert_close(norm(torch.tensor([[3.0, 5.0], [-99.0, 6.0]])), torch.tensor([[2.0, 0.0], [-10.0, 10.0]]))
    seen = torch.randn(3, 2)
    none = ObservationNorm(0)
    none.update(seen)
    assert none(seen) is seen


def test_rewards_are_scaled_by_the_deviation_of_their_discounted_sum() -> None:
    torch.manual_seed(0)
    rewards, ended = torch.randn(40, 3).double() + 0.5, torch.rand(40, 3) < 0.2
    scale, sums, told = RewardScale(3, 0.9), torch.zeros(3).double(), []
    for t in range(40):
        sums = 0.9 * sums + rewards[t]
        told.append(sums)
        sums = torch.where(ended[t], 0.0, sums)
        scale.update(rewards[t], ended[t])
    torch.testing.assert_close(scale.variance, torch.cat(told).var(correction=0))
    given_ = torch.tensor([-1.0, 0.0, 1.0, 1e6])
    expected = given_.double() / torch.cat(told).std(correction=0)
    torch.testing.assert_close(scale(given_), expected.clamp(-10, 10).float())
    other = RewardScale(3, 0.9)
    load_net(other, net_state(scale))
    assert torch.equal(other(given_), scale(given_)) and torch.equal(other.running, scale.running)
