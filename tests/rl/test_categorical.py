"""The projection by hand, its mass and mean as properties, and the cross-entropy that is least at the target."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.rl.categorical import at_edge, categorical_cross_entropy, categorical_mean, categorical_target, project

SUPPORT = torch.tensor([-1.0, 0.0, 1.0, 2.0])


def test_projection_by_hand() -> None:
    # On an atom; a quarter of the way from 0 to 1; half-way; beyond both ends.
    values = torch.tensor([[0.0, 0.25, 1.5, 7.0, -9.0]])
    masses = torch.tensor([[0.1, 0.2, 0.3, 0.25, 0.15]])
    wanted = torch.tensor([[0.15, 0.1 + 0.15, 0.05 + 0.15, 0.15 + 0.25]])
    assert torch.allclose(project(values, masses, SUPPORT), wanted, atol=1e-6)


def test_the_outermost_atoms_keep_their_mass() -> None:
    assert torch.equal(project(SUPPORT[None], torch.full((1, 4), 0.25), SUPPORT), torch.full((1, 4), 0.25))


def test_target_by_hand() -> None:
    likely = torch.tensor([[0.5, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    r_t, discount_t = torch.tensor([0.5, 1.0, 1.5]), torch.tensor([0.5, 0.9, 0.0])
    # .5 + .5 * {-1, 2} = {0, 1.5}; 1 + .9 * 0 = 1; terminated: 1.5 for sure.
    wanted = torch.tensor([[0.0, 0.5, 0.25, 0.25], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    assert torch.allclose(categorical_target(r_t, discount_t, likely, SUPPORT), wanted, atol=1e-6)


@given(
    atoms=st.integers(2, 60), low=st.floats(-50, 10), width=st.floats(0.1, 100), batch=st.integers(1, 6), reach=st.floats(0, 3),
    seed=st.integers(0, 999),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_mass_and_mean_stay(atoms: int, low: float, width: float, batch: int, reach: float, seed: int) -> None:
    torch.manual_seed(seed)
    support = torch.linspace(low, low + width, atoms, dtype=torch.float64)
    values = low + width * (0.5 + reach * (torch.rand(batch, 7, dtype=torch.float64) - 0.5))
    masses = torch.softmax(torch.randn(batch, 7, dtype=torch.float64), dim=1)
    onto = project(values, masses, support)
    assert bool((onto >= 0).all()) and torch.allclose(onto.sum(dim=1), torch.ones(batch, dtype=torch.float64))
    # Inside the support the mean stays; what lies beyond counts as its edge.
    cut = (values.clamp(support[0], support[-1]) * masses).sum(dim=1)
    assert torch.allclose(onto @ support, cut, atol=1e-9 * (abs(low) + width))


@given(seed=st.integers(0, 999), discount=st.floats(0, 1), atoms=st.integers(2, 51))
@settings(deadline=None, max_examples=50)
def test_equals_the_sum_over_pairs_of_atoms(seed: int, discount: float, atoms: int) -> None:
    torch.manual_seed(seed)
    support = torch.linspace(-10, 10, atoms, dtype=torch.float64)
    likely = torch.softmax(torch.randn(4, atoms, dtype=torch.float64), dim=1)
    r_t, discount_t = 8 * torch.randn(4, dtype=torch.float64), torch.full((4,), discount, dtype=torch.float64)
    moved = (r_t[:, None] + discount_t[:, None] * support).clamp(-10, 10)
    near = (1 - (moved[:, None, :] - support[None, :, None]).abs() / (support[1] - support[0])).clamp(0, 1)
    assert torch.allclose(categorical_target(r_t, discount_t, likely, support), (near * likely[:, None, :]).sum(dim=2), atol=1e-9)


def test_cross_entropy_by_hand_and_least_at_the_target() -> None:
    target = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    assert torch.allclose(categorical_cross_entropy(target, logits), torch.tensor([math.log(2), math.log(4 / 3)]))
    least = categorical_cross_entropy(target[:1], target[:1].log())
    for move in (-0.3, 0.3):
        assert float(categorical_cross_entropy(target[:1], target[:1].log() + torch.tensor([[move, 0.0]]))) > float(least)


def test_mean_and_edge_by_hand() -> None:
    logits = torch.tensor([[[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]]]).log()
    assert torch.allclose(categorical_mean(logits, SUPPORT), torch.tensor([[0.5, -0.125]]))
    assert float(at_edge(logits.exp()[0])) == pytest.approx((0.5 + 0.625) / 2)


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2), (4,)), ((2,), (2,), (4,)), ((2, 3), (2, 3), (1,)), ((2, 3), (2, 3), (2, 2))], ids=str)
def test_other_ranks_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(SettingsError):
        project(*(torch.ones(shape) for shape in shapes))
    with pytest.raises(SettingsError):
        categorical_target(torch.ones(2), torch.ones(3), torch.ones(2, 4), SUPPORT)
