"""Metrics by hand, and the edges at which they are not defined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind import stats
from tradewind.core.clock import DAY, parse_time
from tradewind.core.errors import DataError

RETURNS = arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.5, 0.5, width=32))


def test_sharpe_by_hand():
    assert stats.sharpe([0.01, 0.03]) == pytest.approx(0.02 / math.sqrt(0.0002))
    assert stats.sharpe([0.01, 0.03], 365) == pytest.approx(0.02 / math.sqrt(0.0002) * math.sqrt(365))
    assert stats.sharpe([0.01, np.nan, 0.03]) == stats.sharpe([0.01, 0.03])


@pytest.mark.parametrize(
    ("returns", "expected"), [([], math.nan), ([0.01], math.nan), ([0.0, 0.0], 0.0), ([0.1, 0.1, 0.1], math.nan), ([0.0], math.nan)]
)
def test_sharpe_where_it_is_not_defined(returns, expected):
    assert stats.sharpe(returns) == pytest.approx(expected, nan_ok=True)


@given(RETURNS, st.floats(0.1, 50.0))
def test_sharpe_does_not_depend_on_scale_and_changes_sign(returns, scale):
    ratio = stats.sharpe(returns)
    assert stats.sharpe(returns * scale) == pytest.approx(ratio, nan_ok=True, rel=1e-6, abs=1e-9)
    assert stats.sharpe(-returns) == pytest.approx(-ratio, nan_ok=True)


def test_shapes_and_infinities_are_named():
    with pytest.raises(DataError, match=r"shape \(2, 2\), expected \(time,\)"):
        stats.sharpe(np.ones((2, 2)))
    with pytest.raises(DataError, match="bar 1: the return is infinite"):
        stats.sharpe([0.1, math.inf])


def test_drawdown_by_hand():
    equity = [1.0, 1.2, 0.9, 1.2, 1.1, 1.0, 1.15]
    assert stats.drawdown(equity) == pytest.approx([0, 0, -0.25, 0, 1.1 / 1.2 - 1, 1.0 / 1.2 - 1, 1.15 / 1.2 - 1])
    assert stats.drawdown_bars(equity) == 3
    assert stats.drawdown_bars([1.0, 2.0]) == 0 and len(stats.drawdown([])) == 0


def test_summary_by_hand():
    returns = np.array([0.1, -0.2, 0.0, 0.05])
    x = stats.summary(
        returns, 2.0, weights=[[0.5, -0.5], [1.0, 0.0], [0.0, np.nan], [0.0, 0.5]], turnover=[1, 0, 1, 2], costs=[0.01, 0, 0.02, 0.03]
    )
    assert x["net_return"] == pytest.approx(1.1 * 0.8 * 1.05 - 1)
    assert x["annual_return"] == pytest.approx((1.1 * 0.8 * 1.05) ** 0.5 - 1)
    assert x["max_drawdown"] == pytest.approx(-0.2) and x["drawdown_bars"] == 3
    assert x["calmar"] == pytest.approx(x["annual_return"] / 0.2)
    assert x["hit_rate"] == pytest.approx(2 / 3) and x["profit_factor"] == pytest.approx(0.15 / 0.2)
    assert x["sortino"] == pytest.approx(-0.0125 / math.sqrt(0.04 / 4) * math.sqrt(2))
    assert x["exposure"] == pytest.approx((1 + 1 + 0 + 0.5) / 4) and x["turnover"] == pytest.approx(2.0)
    assert x["annual_cost"] == pytest.approx(0.03) and x["cost_share"] == pytest.approx(0.06 / 0.01)
    assert x["years"] == 2.0


def test_summary_of_a_first_bar_that_loses_counts_the_capital_as_the_peak():
    assert stats.summary([-0.1, 0.05], 365)["max_drawdown"] == pytest.approx(-0.1)


def test_summary_of_nothing_and_of_ruin():
    empty = stats.summary([], 365, weights=np.empty((0, 1)), turnover=[], costs=[])
    assert empty["net_return"] == 0.0 and math.isnan(empty["sharpe"]) and math.isnan(empty["exposure"])
    idle = stats.summary(np.zeros(10), 365, costs=np.zeros(10))
    assert idle["sharpe"] == 0.0 and idle["max_drawdown"] == 0.0 and math.isnan(idle["cost_share"])
    assert stats.summary([0.1, -1.0, 0.0], 365)["annual_return"] == -1.0


@given(RETURNS)
def test_moments_obey_pearsons_inequality(returns):
    skew, kurtosis = stats.skewness(returns), stats.kurtosis(returns)
    assert math.isnan(skew) == math.isnan(kurtosis)
    if not math.isnan(skew):
        assert kurtosis >= skew**2 + 1 - 1e-6


@given(RETURNS, st.integers(2, 12))
def test_rolling_sharpe_equals_the_plain_one_on_each_window(returns, window):
    rolled = stats.rolling_sharpe(returns, window, 4.0)
    assert np.isnan(rolled[: window - 1]).all()
    for t in range(window - 1, len(returns)):
        cut = returns[t - window + 1 : t + 1]
        if cut.std() > 1e-3:
            assert rolled[t] == pytest.approx(stats.sharpe(cut, 4.0), rel=1e-6, abs=1e-6)


def test_months_compound_and_rebuild_the_whole():
    start = parse_time("2021-11-15")
    times = start + DAY * np.arange(70)
    returns = np.random.default_rng(0).normal(0, 0.02, 70)
    table = stats.monthly_returns(returns, times)
    assert [(y, m) for y in table for m in table[y]] == [(2021, 11), (2021, 12), (2022, 1)]
    assert table[2021][11] == pytest.approx(np.prod(1 + returns[:16]) - 1)
    whole = np.prod([1 + r for months in table.values() for r in months.values()])
    assert whole == pytest.approx(np.prod(1 + returns))
    with pytest.raises(DataError, match="must be alike"):
        stats.monthly_returns(returns, times[:-1])
