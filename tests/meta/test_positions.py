"""What answers hold, and what that earns after costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tradewind.meta.positions import net_returns, positions


def logits(*classes: int, ways: int) -> torch.Tensor:
    return torch.eye(ways)[list(classes)]


@pytest.mark.parametrize(
    ("kind", "ways", "held"),
    [
        ("price_direction", 3, [-1, 0, 1]),
        ("price_direction", 2, [-1, 1]),
        ("market_regime", 4, [1, -1, 0, 0]),
        ("market_regime", 3, [1, -1, 0]),
        ("arbitrage", 2, [0, 1]),
        ("risk_assessment", 3, [1, 1, 0]),
    ],
)
def test_every_class_has_its_position(kind: str, ways: int, held: list[int]) -> None:
    found = positions(kind, logits(*range(ways), ways=ways))
    assert found is not None
    np.testing.assert_array_equal(found[:, 0], held)


def test_numbers_are_held_by_their_sign_and_portfolios_by_their_weights() -> None:
    single = positions("regression", torch.tensor([[0.2], [-0.1], [0.0]]))
    assert single is not None and single[:, 0].tolist() == [1.0, -1.0, 0.0]
    weights = positions("portfolio_optimization", torch.tensor([[3.0, 1.0, -2.0], [-1.0, -1.0, -1.0]]))
    assert weights is not None
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0.0], [0.0, 0.0, 0.0]])


def test_where_nothing_follows_nothing_is_held() -> None:
    assert positions("classification", torch.zeros(4, 5)) is None
    assert positions("regression", torch.zeros(4, 2)) is None


def test_every_change_is_paid_for_from_flat_to_flat() -> None:
    held = np.array([[1.0], [1.0], [-1.0], [0.0]])
    returns = np.array([[0.01], [-0.02], [0.03], [0.5]])
    np.testing.assert_allclose(net_returns("price_direction", held, returns, 0.001), [0.009, -0.02, -0.032, -0.001])
    closed = net_returns("price_direction", held[:1], returns[:1], 0.001)
    np.testing.assert_allclose(closed, [0.008])  # in and out again
    assert net_returns("price_direction", held, returns, 0.0).sum() == pytest.approx(0.01 - 0.02 - 0.03)


def test_the_returns_of_an_arbitrage_have_paid_already() -> None:
    held, returns = np.array([[1.0], [0.0]]), np.array([[0.004], [-0.1]])
    np.testing.assert_allclose(net_returns("arbitrage", held, returns, 0.01), [0.004, 0.0])
