from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradewind as tw
from tradewind.core.errors import SettingsError, StateError
from tradewind.core.types import Portfolio, View
from tradewind.engine import backtest
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.by_regime import ByRegime, shares
from tradewind.strategies.momentum import Momentum

from .markets import behaves, flat, gappy, panel, same
from .told import Told, telling

FAST, SLOW = ("momentum", {"lookback": 5}), ("momentum", {"lookback": 30})


def two(**settings: object) -> ByRegime:
    return ByRegime(**{"members": {"bull": FAST, "bear": SLOW}, "detector": Told(), **settings})


P = np.array([[[0.6, 0.3, 0.1]], [[0.2, 0.3, 0.5]], [[np.nan, np.nan, np.nan]], [[0.4, 0.4, 0.2]]])


def test_shares_by_hand() -> None:
    # The first member serves the regimes 0 and 2, nobody serves 1, the second is the default.
    np.testing.assert_allclose(shares(P, (0, -1, 0), 2, 1, "probability")[:, 0], [[0.7, 0], [0.7, 0], [0, 1], [0.6, 0]])
    # Of equals the first regime is the most probable one.
    np.testing.assert_allclose(shares(P, (0, -1, 1), 2, -1, "most-probable")[:, 0], [[1, 0], [0, 1], [0, 0], [1, 0]])


@given(st.integers(0, 2**32 - 1), st.sampled_from(["probability", "most-probable"]))
def test_shares_are_shares(seed: int, blend: str) -> None:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(4), size=(15, 2))
    p[random.random((15, 2)) < 0.2] = np.nan
    serves = tuple(int(place) for place in random.integers(0, 3, 4))
    weights = shares(p, serves, 3, 2, blend)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=2), 1.0, atol=1e-12)
    cash = shares(p, (-1, *serves[1:]), 3, -1, blend)
    assert (cash <= weights + 1e-12).all() and (cash[np.isnan(p).any(axis=2)] == 0).all()


@pytest.mark.parametrize(
    "make",
    [
        two,
        lambda: two(blend="most-probable", band=0.0, history=50),
        lambda: two(members={"bull": FAST, "default": "hold"}, costs={"latency": 2, "fee_bps": 30}),
        lambda: two(members={"bear": SLOW}, history=0),
    ],
)
@pytest.mark.parametrize("market", [gappy(bars=300, symbols=2), flat(120)], ids=["gappy", "flat"])
def test_promises(make: object, market: tw.Market, tmp_path: object) -> None:
    decided = behaves(make, telling(market), tmp_path)
    assert np.isfinite(decided).any() or (market.close == 50.0).all()


@pytest.mark.parametrize("market", [gappy(bars=300, symbols=2), flat(120)], ids=["gappy", "flat"])
def test_promises_under_the_rules(market: tw.Market, tmp_path: object) -> None:
    behaves(lambda: ByRegime(history=100), market, tmp_path)


def test_a_certain_regime_is_its_member_alone() -> None:
    told = np.repeat([1.0, 0.0], [100, 200])[:, None]
    market = telling(gappy(bars=330, symbols=1, missing=0.0)[:300], told[: len(gappy(bars=330, symbols=1, missing=0.0)[:300])])
    made = two(band=0.0, history=0).fit(market).decide_all(market)
    fast, slow = Momentum(5).decide_all(market), Momentum(30).decide_all(market)
    same(made[40:100], fast[40:100])
    same(made[101:], slow[101:])
    np.testing.assert_array_equal(made[100], (fast[100] + slow[100]) / 2)


def test_weights_are_the_probabilities() -> None:
    market = telling(gappy(bars=200, symbols=2, missing=0.0)[60:], 0.3)
    wanted = two(band=0.0, history=0).fit(market).decide_all(market)
    fast, slow = Momentum(5).decide_all(market), Momentum(30).decide_all(market)
    np.testing.assert_allclose(wanted[31:], 0.3 * fast[31:] + 0.7 * slow[31:], atol=1e-15)


def test_regimes_without_a_member_are_cash_and_bars_without_a_regime_are_the_defaults() -> None:
    market = telling(panel(np.linspace(100, 150, 60)), 0.25)
    cash = two(members={"bull": "hold"}, band=0.0, history=0, costs={"fee_bps": 0, "slippage_bps": 0}).fit(market).decide_all(market)
    np.testing.assert_allclose(cash[3:], 0.25, atol=1e-12)
    silent = market[:40]
    nobody = two(members={"bull": "hold", "default": FAST}, band=0.0, history=0).fit(market)
    no_regime = telling(silent, np.nan)
    same(nobody.decide_all(no_regime)[6:], Momentum(5).decide_all(silent)[6:])


def test_it_says_why() -> None:
    market = telling(gappy(bars=200, symbols=1, missing=0.0)[50:], 0.3)
    made = two(members={"bull": FAST, "default": SLOW}, history=0).fit(market)
    last, now = len(market) - 1, int(market.known[-1])
    said = made.explain(View(market, now, Book(market.symbols).portfolio()), 0)
    fast, slow = (float(Momentum(bars).decide_all(market)[last, 0]) for bars in (5, 30))
    assert said.words == (
        "Most probable: bear 70.0%, bull 30.0%.",
        f"The member of bull has the share 30.0% and stands for {fast:+.4f} of equity.",
        f"The member of default has the share 70.0% and stands for {slow:+.4f} of equity.",
        f"That is {0.3 * fast + 0.7 * slow:+.4f} together.",
    )
    assert said.values["share of bull"] == pytest.approx(0.3)
    near = Portfolio(np.array([0.3 * fast + 0.7 * slow + 0.01]), np.zeros(1), 1.0, 1.0)
    assert made.explain(View(market, now, near), 0).words[-1].startswith("That is too near to what is held")


def test_a_band_keeps_small_changes_from_trading() -> None:
    market = telling(gappy(bars=300, symbols=2, missing=0.0))
    turnover = [backtest(two(band=band).fit(market), market, Costs()).turnover.sum() for band in (0.0, 0.1, 0.4)]
    assert turnover[0] > turnover[1] > turnover[2] > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": {}}, "give a strategy for each regime"),
        ({"members": ("hold",)}, "give a strategy for each regime"),
        ({"members": {"bul": "hold"}}, "did you mean 'bull'"),
        ({"members": {"bull": "hodl"}}, "did you mean 'hold'"),
        ({"blend": "probable"}, "unknown blend"),
        ({"band": -0.1}, "band is -0.1"),
        ({"detector": "rulez"}, "did you mean 'rules'"),
        ({"history": -1}, "history is -1"),
        ({"refit_every": 0}, "refit_every is 0"),
    ],
)
def test_impossible_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        two(**settings)


def test_a_foreign_state_is_refused() -> None:
    market = telling(gappy(bars=100, symbols=1))
    state = two().fit(market).state()
    with pytest.raises(StateError, match="by the regimes"):
        two(members={"bull": "hold"}).restore(state)
    with pytest.raises(StateError):
        two().restore(Momentum(3).state())
