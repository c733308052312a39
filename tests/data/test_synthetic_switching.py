"""Three regimes: each is what its docstring says, each rule earns in one and loses in the others, and the hidden ones look alike."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.core.types import Array
from tradewind.data.synthetic_switching import STAYS, three_regimes

COSTS = tw.Costs(fee_bps=10, slippage_bps=2)


def sides(close: Array, bars: int) -> Array:
    held = np.zeros(len(close))
    held[bars:] = np.sign(close[bars:] / close[:-bars] - 1.0)
    return held


def test_volatilities_are_one_to_three_to_nine_and_stays_five_hundred() -> None:
    path = three_regimes(400_000, 1, 0.01, 3, True)
    returns = np.diff(path.logs[:, 0])
    deviations = np.array([returns[path.states == k].std() for k in range(3)])
    np.testing.assert_allclose(deviations, [0.01 / 3, 0.01, 0.03], rtol=0.05)
    switches = int((np.diff(path.states) != 0).sum())
    assert 400_000 / (switches + 1) == pytest.approx(STAYS, rel=0.1)
    np.testing.assert_allclose(np.bincount(path.states) / 400_000, 1 / 3, atol=0.06)


def test_each_rule_earns_in_its_own_regime_and_loses_in_the_others() -> None:
    made = tw.synthetic.three_regimes(bars=60_000, seed=7)
    close, states = made.market.close[:, 0], made.oracle.states
    assert states is not None
    rules = [sides(close, 24), -sides(close, 2), sides(close, 2)]
    net = np.array([tw.backtest(held, made.market, COSTS).returns for held in rules])
    table = np.array([[net[i, states == k].mean() for k in range(3)] for i in range(3)])
    assert (np.diag(table) > 0).all() and (table[~np.eye(3, dtype=bool)] < 0).all(), table


def test_the_oracle_holds_the_rule_of_the_regime_and_knows_the_mean() -> None:
    made = tw.synthetic.three_regimes(bars=20_000, seed=8)
    close, states, mean = made.market.close[:, 0], made.oracle.states, made.oracle.mean
    assert states is not None and mean is not None
    slow, fast = sides(close, 24), sides(close, 2)
    wanted = np.choose(states, [slow, -fast, fast])
    np.testing.assert_array_equal(made.oracle.targets[24:, 0], wanted[24:])
    # The next return less its mean, in a regime that goes on, has no mean left.
    left = (close[1:] / close[:-1] - 1.0 - mean[:-1, 0])[states[1:] == states[:-1]] / np.abs(mean).max()
    assert abs(left.mean()) < 4 * left.std() / np.sqrt(len(left))
    assert made.oracle.realised == pytest.approx(made.oracle.sharpe, rel=0.35)


def test_hidden_regimes_have_one_volatility_and_the_same_rules() -> None:
    path = three_regimes(300_000, 1, 0.01, 4, False)
    returns = np.diff(path.logs[:, 0])
    np.testing.assert_allclose([returns[path.states == k].std() for k in range(3)], 0.01, rtol=0.03)
    seen = three_regimes(300_000, 1, 0.01, 4, True)
    np.testing.assert_array_equal(path.states, seen.states)


def test_symbols_share_the_regime_and_a_longer_market_begins_alike() -> None:
    made = tw.synthetic.three_regimes(bars=3000, seed=9, symbols=2)
    assert made.market.close.shape == (3000, 2) and not np.allclose(made.market.close[:, 0], made.market.close[:, 1])
    assert np.abs(made.oracle.targets).sum(axis=1).max() == pytest.approx(1.0)
    again, other = tw.synthetic.three_regimes(bars=3000, seed=9, symbols=2), tw.synthetic.three_regimes(bars=3000, seed=10, symbols=2)
    assert again.market.digest == made.market.digest != other.market.digest
    with pytest.raises(SettingsError, match="at least 2"):
        tw.synthetic.three_regimes(bars=1)
