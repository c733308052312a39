from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.simulate.account import Book

from .markets import behaves, flat, gappy, panel, same

RULES = {
    "ema-cross": {"fast": 5, "slow": 20},
    "rsi-reversal": {"period": 7},
    "bollinger-reversal": {"period": 10},
    "rsi-divergence": {"period": 7},
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("market", [gappy(), flat()], ids=["gappy", "flat"])
def test_promises(name: str, market: tw.Market, tmp_path: object) -> None:
    behaves(lambda: tw.strategy(name, **RULES[name]), market, tmp_path)


@pytest.mark.parametrize("name", RULES)
def test_takes_both_sides_and_one_side_when_asked(name: str) -> None:
    market = gappy(bars=1500, missing=0.0)
    both = tw.strategy(name, **RULES[name]).decide_all(market)
    assert set(np.unique(both[np.isfinite(both)])) >= {-1 / 3, 1 / 3}
    same(tw.strategy(name, **RULES[name], long_only=True).decide_all(market), np.maximum(both, 0.0))


def test_ema_cross_is_the_sign_of_the_averages() -> None:
    market = gappy(bars=300, symbols=1, missing=0.0)
    X = tw.features.compute(market, ["ema_5", "ema_20"]).values[:, 0]
    targets = tw.strategy("ema-cross", fast=5, slow=20).decide_all(market)[:, 0]
    np.testing.assert_array_equal(targets, np.sign(X[:, 0] - X[:, 1]))


def test_reversals_buy_what_has_fallen_and_leave_when_it_is_back() -> None:
    # A calm market, a fall, and the way back.
    calm = 100 + 0.1 * np.sin(np.arange(60))
    close = np.concatenate([calm, np.linspace(99, 80, 8), np.linspace(81, 110, 25)])
    for name in ("rsi-reversal", "bollinger-reversal"):
        targets = tw.strategy(name, **RULES[name]).decide_all(panel(close))[:, 0]
        assert targets[66] == 1.0, name
        assert 0.0 in targets[68:90], name


def test_warmup_is_exact_on_whole_bars() -> None:
    market = gappy(bars=300, symbols=1, missing=0.0)
    for name, settings in RULES.items():
        rule = tw.strategy(name, **settings)
        targets = rule.decide_all(market)[:, 0]
        assert np.flatnonzero(np.isfinite(targets))[0] == rule.warmup - 1, name


def test_start_blanks_the_history() -> None:
    market = gappy()
    rule = tw.strategy("ema-cross", **RULES["ema-cross"])
    whole = rule.decide_all(market)
    later = rule.decide_all(market, Book(market.symbols), 150)
    assert np.isnan(later[:150]).all()
    same(later[150:], whole[150:])


def test_impossible_periods() -> None:
    for settings in ({"fast": 20, "slow": 20}, {"fast": 0}, {"fast": -5}, {"fast": "5"}, {"fast": 2.5}):
        with pytest.raises(SettingsError):
            tw.strategy("ema-cross", **settings)
