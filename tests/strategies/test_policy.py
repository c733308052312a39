from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.core.types import Forecast, Portfolio, View
from tradewind.engine import walk
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.base import Strategy
from tradewind.strategies.policy import Policy, edge

from .markets import gappy, same

NO = np.nan


def shares(policy: Policy, mean: list[float]) -> list[float]:
    return policy.desired(Forecast(mean=np.array([mean]) * policy.cost)).ravel().tolist()


def test_edge_of_classes_is_the_expected_code_between_minus_one_and_one() -> None:
    three = np.array([[[0.2, 0.5, 0.3]], [[NO] * 3]])
    np.testing.assert_allclose(edge(Forecast(probabilities=three, classes=(-1.0, 0.0, 1.0)), 1.0), [[0.1], [NO]], atol=1e-15)
    two = np.array([[[0.25, 0.75]]])
    for classes in ((0.0, 1.0), (-1.0, 1.0)):
        np.testing.assert_allclose(edge(Forecast(probabilities=two, classes=classes), 1.0), [[0.5]])
    np.testing.assert_array_equal(edge(Forecast(probabilities=np.array([[[1.0]], [[NO]]]), classes=(1.0,)), 1.0), [[0.0], [NO]])


def test_edge_of_a_return_is_measured_in_round_trips() -> None:
    np.testing.assert_allclose(edge(Forecast(mean=np.array([[0.0048, -0.0012]])), 0.0024), [[2.0, -0.5]])


def test_sizes_by_hand() -> None:
    linear = Policy(threshold=0.5, gain=0.5)
    np.testing.assert_allclose(shares(linear, [0.5, 0.6, -1.0, 9.0, NO]), [0, 0.06, -0.1, 0.2, NO])
    np.testing.assert_allclose(shares(Policy(threshold=0.5, size="sign"), [0.5, 0.6, -1.0, -0.1]), [0, 0.25, -0.25, 0])
    np.testing.assert_allclose(shares(Policy(threshold=0, gain=1, long_only=True), [0.5, -0.6, NO]), [1 / 6, 0, NO])


def test_band_compares_with_what_is_held() -> None:
    policy = Policy(threshold=0, gain=1, band=0.5)
    held = Portfolio(np.array([0.5, 0.0, 0.1, 0.1]), np.ones(4), 0.3, 1.0)
    target = policy.decide(Forecast(mean=np.array([[1.0, 0.4, 0.9, NO]]) * policy.cost), held)
    # Full shares are .25 and the band half of one: .5 held against .25 moves, 0 against .1 keeps, .1 against .225 moves.
    np.testing.assert_allclose(target.weights, [0.25, NO, 0.225, NO])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from(["linear", "sign"]), st.integers(1, 3))
def test_walk_is_the_loop_over_decide(seed: int, band: float, size: str, latency: int) -> None:
    market = gappy(bars=120, seed=seed)
    draw = np.random.default_rng(seed)
    mean = np.where(np.isnan(market.close), NO, 0.003 * draw.standard_normal(market.close.shape))
    policy = Policy(threshold=0.2, size=size, band=band)

    class Loop(Strategy):
        def decide(self, view: View) -> tw.Target:
            return policy.decide(Forecast(mean=mean[: len(view.market)]), view.portfolio)

    book = Book(market.symbols, Costs(latency=latency, slippage_volatility=0.1))
    desired = policy.desired(Forecast(mean=mean))
    for start in (0, 40):
        same(policy.walk(desired, market, book, start), walk(Loop(), market, book, start))
    same(policy.walk(desired, market), walk(Loop(), market))


def test_a_wider_band_trades_less() -> None:
    market = gappy(bars=300, missing=0.0, symbols=1)
    desired = np.clip(np.cumsum(np.random.default_rng(1).normal(0, 0.1, (len(market), 1)), axis=0), -1, 1)
    moves = [int(np.isfinite(Policy(band=band).walk(desired, market)).sum()) for band in (0.0, 0.05, 0.2, 0.8)]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] == np.isfinite(desired).sum()
    assert moves[-1] < moves[0] / 10


@pytest.mark.parametrize(
    "wrong",
    [{"size": "kelly"}, {"threshold": -1}, {"gain": 0}, {"cost": 0}, {"band": NO}, {"band": "wide"}, {"threshold": True}],
)
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Policy(**wrong)
