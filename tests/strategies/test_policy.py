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


def interval(mean: list[float], low: list[float], high: list[float]) -> Forecast:
    middle = np.array([mean])
    return Forecast(mean=middle, quantiles=np.stack([np.array([low]), middle, np.array([high])], axis=2), levels=(0.05, 0.5, 0.95))


def test_size_by_interval_by_hand() -> None:
    policy = Policy(threshold=0.0, size="interval", gain=1.5)
    # Half widths of .04, .02, infinite and 0: shares are 1.5 * mean / half, at most 1, of a fifth of equity each.
    found = policy.desired(interval([0.01, -0.005, 0.3, 0.001, NO], [-0.05, -0.02, -np.inf, 0.001, NO], [0.03, 0.02, np.inf, 0.001, NO]))
    np.testing.assert_allclose(found[0] * 5, [0.375, -0.375, 0.0, 1.0, NO])
    # An interval that is not known keeps what is held; no mean is no position, however narrow.
    found = policy.desired(interval([0.01, 0.0, 0.0], [NO, 0.0, -1.0], [0.1, 0.0, 1.0]))
    np.testing.assert_allclose(found[0], [NO, 0.0, 0.0])
    # The threshold stays what it was: in round trips of a return.
    cautious = Policy(threshold=2.0, size="interval", gain=1.5)
    np.testing.assert_allclose(cautious.desired(interval([0.0047, 0.0049], [-0.1, -0.1], [0.1, 0.1]))[0], [0.0, 1.5 * 0.049 / 2])


def test_size_by_interval_of_class_codes() -> None:
    probabilities = np.array([[[0.2, 0.8], [0.5, 0.5]]])
    for classes in ((-1.0, 1.0), (0.0, 1.0)):
        half = (classes[1] - classes[0]) * 0.9
        quantiles = np.array([[[-half, half], [-half, half]]])
        forecast = Forecast(probabilities=probabilities, classes=classes, quantiles=quantiles, levels=(0.05, 0.95))
        # The codes' scale does not matter: .6 of half the scale against 1.8 of it.
        np.testing.assert_allclose(Policy(threshold=0.0, size="interval", gain=1.0).desired(forecast)[0] * 2, [0.6 / 1.8, 0.0], atol=1e-12)


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 0.2), st.floats(1.0, 5.0))
def test_a_wider_interval_never_asks_for_more(mean: float, half: float, factor: float) -> None:
    policy = Policy(threshold=0.0, size="interval", gain=1.0)
    narrow, wide = (policy.desired(interval([mean], [mean - w], [mean + w]))[0, 0] for w in (half, half * factor))
    assert abs(wide) <= abs(narrow) + 1e-12 and wide * narrow >= 0


def test_size_by_interval_asks_for_intervals() -> None:
    one = np.array([[0.01]])
    for forecast in (Forecast(mean=one), Forecast(mean=one, quantiles=one[:, :, None], levels=(0.5,))):
        with pytest.raises(SettingsError, match="'conformal'"):
            Policy(size="interval").desired(forecast)


def test_band_compares_with_what_is_held() -> None:
    policy = Policy(threshold=0, gain=1, band=0.5)
    held = Portfolio(np.array([0.5, 0.0, 0.1, 0.1]), np.ones(4), 0.3, 1.0)
    target = policy.decide(Forecast(mean=np.array([[1.0, 0.4, 0.9, NO]]) * policy.cost), held)
    # Full shares are .25 and the band half of one: .5 held against .25 moves, 0 against .1 keeps, .1 against .225 moves.
    np.testing.assert_allclose(target.weights, [0.25, NO, 0.225, NO])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from(["linear", "sign"]),
    st.sampled_from(["whole", "edge"]),
    st.integers(1, 3),
)
def test_walk_is_the_loop_over_decide(seed: int, band: float, size: str, move: str, latency: int) -> None:
    market = gappy(bars=120, seed=seed)
    draw = np.random.default_rng(seed)
    mean = np.where(np.isnan(market.close), NO, 0.003 * draw.standard_normal(market.close.shape))
    policy = Policy(threshold=0.2, size=size, band=band, move=move)

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
    [{"size": "kelly"}, {"move": "half"}, {"threshold": -1}, {"gain": 0}, {"cost": 0}, {"band": NO}, {"band": "wide"}, {"threshold": True}],
)
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Policy(**wrong)
