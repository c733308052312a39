"""Online portfolios: the published wealth of six markets, the bounds of each, and what all of them have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind.portfolio
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import Array
from tradewind.portfolio.online_portfolio import HINDSIGHT, names, online, wealth

from .relatives import drawn, published

QUICK = settings(max_examples=30, deadline=None)
ONLINE = [name for name in names() if name not in HINDSIGHT]


def final(market: str, name: str, **chosen: float) -> float:
    relatives = published(market)
    return float(wealth(relatives, online(relatives, name, **chosen))[-1])


# -- published values -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("market", "name", "expected"),
    [
        ("nyse_o", "market", "14.50"), ("nyse_o", "best", "54.14"), ("nyse_o", "bcrp", "250.60"), ("nyse_o", "eg", "27.09"),
        ("nyse_o", "ons", "109.19"), ("sp500", "market", "1.34"), ("sp500", "best", "3.78"), ("sp500", "bcrp", "4.07"),
        ("sp500", "eg", "1.63"), ("sp500", "ons", "3.34"), ("sp500", "pamr", "5.09"), ("tse", "market", "1.61"), ("tse", "best", "6.28"),
        ("tse", "bcrp", "6.78"), ("tse", "eg", "1.59"), ("tse", "ons", "1.62"), ("tse", "pamr", "264.86"), ("msci", "market", "0.91"),
        ("msci", "best", "1.50"), ("msci", "bcrp", "1.51"), ("msci", "eg", "0.93"), ("msci", "ons", "0.86"), ("msci", "pamr", "15.23"),
        ("djia", "market", "0.76"), ("djia", "best", "1.19"), ("djia", "bcrp", "1.24"), ("djia", "eg", "0.81"), ("djia", "ons", "1.53"),
        ("djia", "pamr", "0.68"),
    ],
)  # fmt: skip
def test_wealth_is_the_published_one(market: str, name: str, expected: str) -> None:
    """Li, Hoi, Sahoo & Liu (2015), "Moving average reversion strategy for on-line portfolio selection", and the papers of each."""
    found = final(market, name)
    assert abs(found - float(expected)) < 0.0101, f"{market} {name}: {found:.4f}, published {expected}"


def test_mean_reversion_on_the_new_york_exchange() -> None:
    assert final("nyse_o", "pamr") == pytest.approx(5.14e15, rel=0.001)  # Li et al. (2012), table 4
    assert 1e16 < final("nyse_o", "olmar") < 1e17  # Li & Hoi (2012) print 4.04e16


def test_the_universal_portfolio_on_the_new_york_exchange() -> None:
    """Cover (1991), section 8: Iroquois and Kin Ark. His 38.67 is the mean over a grid of 21 portfolios; the integral itself is 40.31."""
    relatives = published("nyse_o")
    growth = np.prod(relatives, axis=0)
    pair = relatives[:, [int(np.abs(growth - value).argmin()) for value in (8.92, 4.13)]]
    assert [f"{value:.2f}" for value in np.prod(pair, axis=0)] == ["8.92", "4.13"]
    assert wealth(pair, online(pair, "bcrp"))[-1] == pytest.approx(73.70, abs=0.01)
    assert np.prod(pair @ grid(np.linspace(0, 1, 21)), axis=0).mean() == pytest.approx(38.67, abs=0.005)
    nodes, mass = np.polynomial.legendre.leggauss(500)
    exact = float(np.prod(pair @ grid((nodes + 1) / 2), axis=0) @ mass / 2)
    assert wealth(pair, online(pair, "universal"))[-1] == pytest.approx(exact, rel=1e-10)


def grid(first: Array) -> Array:
    """(2, portfolio) constant portfolios of two assets with the shares `first` of the first."""
    return np.vstack([first, 1 - first])


# -- the definitions, each beside a second way of computing it ----------------------------------------------------------
@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.floats(0.01, 0.5))
def test_the_universal_portfolio_of_two_assets_is_exact(seed: int, n: int, spread: float) -> None:
    relatives = drawn(seed, n, 2, spread)
    nodes, mass = np.polynomial.legendre.leggauss(64)  # exact up to degree 127
    share = (nodes + 1) / 2
    grown = np.cumprod(np.outer(relatives[:, 0], share) + np.outer(relatives[:, 1], 1 - share), axis=0)
    mean = (grown * mass / 2).sum(axis=1)
    held = online(relatives, "universal")
    np.testing.assert_allclose(wealth(relatives, held), mean, rtol=1e-11)
    np.testing.assert_allclose(held[1:, 0], ((grown * mass / 2 * share).sum(axis=1) / mean)[:-1], rtol=1e-10)


def test_the_sampled_universal_portfolio_earns_the_mean_of_its_draws_and_nears_the_exact_one() -> None:
    relatives = drawn(3, 200, 2, 0.05)
    # A third asset that equals the second: the mean over the triangle has a known density of the first, 2 (1 - b).
    triple = np.column_stack([relatives, relatives[:, 1]])
    nodes, mass = np.polynomial.legendre.leggauss(200)
    share = (nodes + 1) / 2
    grown = np.cumprod(np.outer(relatives[:, 0], share) + np.outer(relatives[:, 1], 1 - share), axis=0)
    mean = (grown * mass * (1 - share)).sum(axis=1)
    held = online(triple, "universal", samples=40_000, seed=1)
    np.testing.assert_allclose(wealth(triple, held), mean, rtol=0.02)
    assert np.array_equal(held, online(triple, "universal", samples=40_000, seed=1))
    assert not np.array_equal(held, online(triple, "universal", samples=40_000, seed=2))


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 8))
def test_no_constant_portfolio_beats_the_best_one(seed: int, n: int, assets: int) -> None:
    relatives = drawn(seed, n, assets, 0.1)
    held = online(relatives, "bcrp")
    assert (held == held[0]).all()
    # Its certificate: no asset would have grown the portfolio faster at the margin.
    assert (relatives / (relatives @ held[0])[:, None]).mean(axis=0).max() <= 1.0 + 1e-9
    others = np.random.default_rng(seed).dirichlet(np.full(assets, 0.5), 50)
    assert np.log(relatives @ held[0]).sum() >= np.log(relatives @ others.T).sum(axis=0).max() - 1e-9


def test_the_best_constant_portfolio_of_equal_assets_is_found() -> None:
    relatives = np.repeat(drawn(1, 50, 2), 3, axis=1)
    held = online(relatives, "bcrp")
    assert wealth(relatives, held)[-1] == pytest.approx(wealth(relatives[:, ::3], online(relatives[:, ::3], "bcrp"))[-1], rel=1e-9)


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 6), st.floats(0.01, 0.5))
def test_exponentiated_gradient_keeps_its_bound(seed: int, n: int, assets: int, eta: float) -> None:
    relatives = drawn(seed, n, assets, 0.1)
    least = float((relatives.min(axis=1) / relatives.max(axis=1)).min())
    behind = np.log(wealth(relatives, online(relatives, "bcrp"))[-1]) - np.log(wealth(relatives, online(relatives, "eg", eta=eta))[-1])
    assert behind <= math.log(assets) / eta + eta * n / (8 * least**2) + 1e-9


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(2, 4))
def test_the_universal_portfolio_keeps_its_bound(seed: int, n: int, assets: int) -> None:
    relatives = drawn(seed, n, assets, 0.02)
    behind = np.log(wealth(relatives, online(relatives, "bcrp"))[-1]) - np.log(wealth(relatives, online(relatives, "universal"))[-1])
    assert behind <= (assets - 1) * math.log(n + 1) + 0.01


def test_exponentiated_gradient_by_hand() -> None:
    held = online([[1.2, 0.9], [1.0, 1.0]], "eg", eta=0.5)
    first, second = math.exp(0.5 * 1.2 / 1.05), math.exp(0.5 * 0.9 / 1.05)
    np.testing.assert_allclose(held[1], [first / (first + second), second / (first + second)], rtol=1e-14)


def test_online_newton_is_the_least_of_its_quadratic() -> None:
    relatives = drawn(5, 40, 5, 0.05)
    held = online(relatives, "ons")
    gradients = relatives / (held * relatives).sum(axis=1, keepdims=True)
    curvature, pull = np.eye(5) + gradients[:-1].T @ gradients[:-1], 2.0 * gradients[:-1].sum(axis=0)
    centre = 0.125 * np.linalg.solve(curvature, pull)
    cost = (held[-1] - centre) @ curvature @ (held[-1] - centre)
    others = np.vstack([np.random.default_rng(0).dirichlet(np.full(5, 0.3), 3000), np.eye(5)])
    near = held[-1] + 1e-3 * (others - held[-1])  # points of the simplex close by
    for points in (others, near):
        assert (np.einsum("si,ij,sj->s", points - centre, curvature, points - centre) >= cost - 1e-12).all()
    mixed = online(relatives, "ons", eta=0.3)
    assert mixed.min() >= 0.3 / 5 - 1e-15


def test_passive_aggressive_reversion_by_hand() -> None:
    relatives = np.array([[1.04, 0.98], [1.0, 1.0]])
    # The portfolio grew 1.01; the step that brings its growth to .99 is .02 / (.03^2 + .03^2), times .03 each way.
    assert online(relatives, "pamr", epsilon=0.99)[1].tolist() == pytest.approx([0.5 - 1 / 3, 0.5 + 1 / 3])
    assert online(relatives, "pamr", epsilon=0.99, variant=1, aggressiveness=5.0)[1].tolist() == pytest.approx([0.35, 0.65])
    step = 0.02 / (0.0018 + 0.5 / 50)
    assert online(relatives, "pamr", epsilon=0.99, variant=2, aggressiveness=50.0)[1, 0] == pytest.approx(0.5 - step * 0.03)
    assert online(np.ones((3, 2)), "pamr").tolist() == [[0.5, 0.5]] * 3


def test_moving_average_reversion_by_hand() -> None:
    # Prices 1, 2 and 1, 1: their averages over the newest price are .75 and 1.
    held = online([[2.0, 1.0], [1.0, 1.0]], "olmar", window=2, epsilon=0.9)
    step = (0.9 - 0.875) / (2 * 0.125**2)
    assert held[1].tolist() == pytest.approx([0.5 - step * 0.125, 0.5 + step * 0.125])
    assert online(np.ones((3, 2)), "olmar").tolist() == [[0.5, 0.5]] * 3


def test_the_market_is_bought_once_and_held() -> None:
    relatives = drawn(2, 100, 3)
    np.testing.assert_allclose(wealth(relatives, online(relatives, "market")), np.cumprod(relatives, axis=0).mean(axis=1), rtol=1e-12)


# -- what all of them have in common --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", names())
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), assets=st.integers(1, 6))
def test_weights_are_long_only_and_fully_invested(name: str, seed: int, n: int, assets: int) -> None:
    held = online(drawn(seed, n, assets, 0.1), name)
    assert held.shape == (n, assets)
    assert (held >= 0).all()
    np.testing.assert_allclose(held.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", ONLINE)
def test_no_row_knows_what_is_to_come(name: str) -> None:
    relatives = drawn(8, 60, 3, 0.1)
    held = online(relatives, name)
    garbage = relatives.copy()
    garbage[30:] = np.random.default_rng(1).lognormal(0.0, 2.0, (30, 3))
    assert np.array_equal(online(relatives[:31], name), held[:31])
    assert np.array_equal(online(garbage, name)[:31], held[:31])


@pytest.mark.parametrize("name", HINDSIGHT)
def test_hindsight_knows_it(name: str) -> None:
    relatives = drawn(8, 60, 3, 0.1)
    for asset in range(3):
        future = np.vstack([relatives, np.full((60, 3), 0.9) + 0.5 * np.eye(3)[asset]])
        assert online(future, name)[0].argmax() == asset


def test_inputs_are_not_changed_and_lists_will_do() -> None:
    relatives = drawn(4, 20, 3)
    before = relatives.copy()
    for name in names():
        online(relatives, name)
    assert np.array_equal(relatives, before)
    assert tradewind.portfolio.online([[1.0, 2.0]], "eg").tolist() == [[0.5, 0.5]]


# -- faults -----------------------------------------------------------------------------------------------------------
def test_unknown_words_are_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'olmar'"):
        online(np.ones((2, 2)), "olmr")
    with pytest.raises(SettingsError, match="unknown setting 'etta' for eg; did you mean 'eta'"):
        online(np.ones((2, 2)), "eg", etta=0.1)
    with pytest.raises(SettingsError, match="unknown setting 'window' for universal"):
        online(np.ones((2, 2)), "universal", window=5)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("eg", {"eta": 0.0}), ("ons", {"delta": -1.0}), ("ons", {"eta": 1.0}), ("universal", {"samples": 0}), ("pamr", {"epsilon": -0.1}),
        ("pamr", {"variant": 3}), ("pamr", {"aggressiveness": 0.0}), ("olmar", {"window": 1}), ("olmar", {"epsilon": 0.0}),
    ],
)  # fmt: skip
def test_settings_have_limits(name: str, wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        online(np.ones((2, 2)), name, **wrong)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_relatives_that_are_none_are_named(wrong: float) -> None:
    relatives = np.ones((4, 3))
    relatives[2, 1] = wrong
    with pytest.raises(DataError, match="row 2, asset 1 is"):
        online(relatives, "ucrp")
    with pytest.raises(DataError, match="row 2, asset 1 is"):
        wealth(relatives, np.full((4, 3), 1 / 3))


def test_shapes_are_told() -> None:
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        online(np.ones(3), "ucrp")
    with pytest.raises(DataError, match=r"weights have shape \(2, 2\)"):
        wealth(np.ones((3, 2)), np.ones((2, 2)))


# -- beside the package that the data came with -----------------------------------------------------------------------------
def theirs(name: str, relatives: Array, **chosen: float) -> Array:
    """(time, asset) weights of the package's own algorithm over rows 1 and later, whose first price stands before row 1."""
    pandas, algos = pytest.importorskip("pandas"), pytest.importorskip("universal.algos", exc_type=ImportError)
    # Its solver of quadratic problems stops early: some .004 of a weight too early with ONS.
    pytest.importorskip("cvxopt").solvers.options.update(abstol=1e-13, reltol=1e-13, feastol=1e-13)
    prices = pandas.DataFrame(np.cumprod(relatives, axis=0))
    return np.asarray(getattr(algos, name)(**chosen).run(prices).B)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(("name", "their"), [("eg", "EG"), ("pamr", "PAMR"), ("ons", "ONS"), ("bcrp", "BCRP")])
def test_weights_are_those_of_universal_portfolios(name: str, their: str) -> None:
    relatives = published("djia")[:120, :8]
    own, other = online(relatives[1:], name), theirs(their, relatives)
    np.testing.assert_allclose(own, other[1:], atol=1e-5)
