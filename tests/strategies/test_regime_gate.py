from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tradewind as tw
from tradewind.core.errors import NotFitted, SettingsError, StateError
from tradewind.core.types import View
from tradewind.engine import backtest
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.strategies.momentum import Momentum
from tradewind.strategies.regime_gate import RegimeGate, gate

from .markets import behaves, flat, gappy, panel, same
from .told import Told, telling

DAILY = ("momentum-mix", {"lookbacks": [24, 72], "volatility_window": 48})


def bull(**settings: object) -> RegimeGate:
    return RegimeGate(**{"member": ("momentum", {"lookback": 10}), "regimes": ("bull",), "detector": Told(), **settings})


def test_gate_by_hand() -> None:
    p = np.array([[np.nan], [0.55], [0.61], [0.5], [np.nan], [0.45], [0.4], [0.55], [0.7]])
    opened = gate(p, np.zeros(1, dtype=bool), 0.6, 0.15)[:, 0]
    assert opened.tolist() == [False, False, True, True, True, True, False, False, True]
    assert gate(p, np.ones(1, dtype=bool), 0.6, 0.15)[:, 0].tolist() == [True, True, True, True, True, True, False, False, True]
    assert gate(p, np.zeros(1, dtype=bool), 0.6, 0.0)[:, 0].tolist() == [False, False, True, False, False, False, False, False, True]


probability = arrays(np.float64, (20, 2), elements=st.one_of(st.floats(0.0, 1.0), st.just(np.nan)))


@given(probability, st.floats(0.0, 0.99), st.floats(0.0, 1.0), st.integers(0, 20))
def test_gate_in_pieces_is_the_gate_and_more_hysteresis_trades_less(p: np.ndarray, threshold: float, share: float, cut: int) -> None:
    shut, hysteresis = np.zeros(2, dtype=bool), share * threshold
    whole = gate(p, shut, threshold, hysteresis)
    first = gate(p[:cut], shut, threshold, hysteresis)
    rest = gate(p[cut:], first[-1] if cut else shut, threshold, hysteresis)
    assert (np.vstack([first, rest]) == whole).all()
    there = ~np.isnan(p)
    assert whole[there & (p > threshold)].all() and not whole[there & (p <= threshold - hysteresis)].any()
    bare = gate(p, shut, threshold, 0.0)
    assert (np.diff(whole, axis=0).sum(axis=0) <= np.diff(bare, axis=0).sum(axis=0)).all()
    assert (whole | ~bare).all()


@pytest.mark.parametrize(
    "make",
    [
        bull,
        lambda: bull(member=DAILY, history=60, hysteresis=0.4),
        lambda: bull(member="hold", threshold=0.7, costs={"latency": 2, "fee_bps": 30}),
        lambda: bull(regimes=("bear", "bull"), history=0),
    ],
)
@pytest.mark.parametrize("market", [gappy(bars=300, symbols=2), flat(120)], ids=["gappy", "flat"])
def test_promises(make: object, market: tw.Market, tmp_path: object) -> None:
    assert np.isfinite(behaves(make, telling(market), tmp_path)).any()


@pytest.mark.parametrize("market", [gappy(bars=300, symbols=2), flat(120)], ids=["gappy", "flat"])
def test_promises_under_the_rules(market: tw.Market, tmp_path: object) -> None:
    behaves(lambda: RegimeGate(member=("momentum", {"lookback": 10})), market, tmp_path)


def test_an_open_gate_is_the_member_and_a_closed_one_is_flat() -> None:
    market = telling(gappy(symbols=1, missing=0.0)[120:], 0.9)
    alone = Momentum(10).decide_all(market)
    same(bull(history=0).fit(market).decide_all(market)[11:], alone[11:])
    assert (bull(regimes=("bear",)).fit(market).decide_all(market)[11:] == 0.0).all()


def test_a_member_that_keeps_is_taken_at_what_it_holds_when_the_gate_opens() -> None:
    market = gappy(bars=200, symbols=2, missing=0.0)[60:]
    told = np.zeros(market.close.shape)
    told[40:80] = told[100:, :1] = 1.0
    market = telling(market, told)
    decided = bull(member="hold", history=500, hysteresis=0.5).fit(market).decide_all(market)
    alone = backtest("hold" and tw.strategy("hold"), market, Costs()).weights
    # The mean of two volumes is over a half one bar after the first of them, and at nothing one bar after the last.
    np.testing.assert_array_equal(decided[41], alone[41])
    assert np.isnan(decided[42:81]).all() and (decided[81:101] == 0).all() and (decided[1:41] == 0).all()
    np.testing.assert_array_equal(decided[101], [alone[101, 0], 0.0])
    assert np.isnan(decided[102:, 0]).all() and (decided[102:, 1] == 0).all()


def test_the_gate_costs_no_more_than_it_says() -> None:
    """What it earns is the member's account where the gate was open, less its own way in and out."""
    market = telling(panel(100 * np.exp(0.01 * np.arange(200.0))[:, None]), np.repeat([0.0, 1.0, 0.0], [50, 100, 50])[:, None])
    made = bull(member="hold", costs={"fee_bps": 0, "slippage_bps": 0}).fit(market)
    earned = backtest(made, market, Costs(fee_bps=0, slippage_bps=0))
    # Decided when the second high volume is in, filled one bar later; sold likewise.
    assert earned.equity[-1] == pytest.approx(market.open[152, 0] / market.open[52, 0], rel=1e-12)


def test_it_says_why() -> None:
    market = telling(gappy(bars=200, symbols=1, missing=0.0)[50:110], np.repeat([0.8, 0.55, 0.2], 20)[:, None])
    made = bull(threshold=0.6, hysteresis=0.1).fit(market)
    book = Book(market.symbols).portfolio()

    def why(row: int) -> tuple[str, ...]:
        return made.explain(View(market[: row + 1], int(market.known[row]), book), 0).words

    assert why(19)[:2] == ("The probability of bull is 80.0%.", "The gate, which opens over 60.0% and closes at 50.0%, is open.")
    assert why(19)[2].startswith("The member stands for ")
    assert why(35)[:2] == ("The probability of bull is 55.0%.", "The gate, which opens over 60.0% and closes at 50.0%, is open.")
    assert why(50) == (
        "The probability of bull is 20.0%.", "The gate, which opens over 60.0% and closes at 50.0%, is closed.", "So nothing is held.",
    )  # fmt: skip
    kept = bull(member="hold").fit(market)
    kept.decide(View(market[:19], int(market.known[18]), book))
    assert (
        kept.explain(View(market[:20], int(market.known[19]), book), 0).words[2] == "The member keeps what it holds, and so does the gate."
    )


def test_fit_and_seeds_reach_the_parts() -> None:
    market = telling(gappy(bars=120, symbols=1))
    made = bull(member=("forecast", {"features": ["return_1"]}))
    made.reseed(5)
    with pytest.raises(NotFitted):
        made.decide_all(market)
    made.fit(market)
    assert made.member.fitted and made.member.seed != 0
    assert made._detecting.filter.bars == len(market)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"regimes": ()}, "at least one"),
        ({"regimes": "bull"}, "at least one"),
        ({"regimes": ("bul",)}, "did you mean 'bull'"),
        ({"detector": "rules", "regimes": ("trending_bul",)}, "did you mean 'trending_bull'"),
        ({"detector": "rule"}, "did you mean 'rules'"),
        ({"detector": 3}, "detector is 3"),
        ({"detector_settings": {"states": 2}}, "go with a detector's name"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"threshold": 0.2, "hysteresis": 0.3}, "hysteresis is 0.3"),
        ({"hysteresis": -0.1}, "hysteresis is -0.1"),
        ({"member": "momentun"}, "did you mean 'momentum'"),
        ({"member": 7}, "is no strategy"),
        ({"history": -1}, "history is -1"),
        ({"costs": {"fee": 3}}, "did you mean 'fee_bps'"),
        ({"refit_every": 0}, "refit_every is 0"),
    ],
)
def test_impossible_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        bull(**settings)


def test_a_member_that_wants_outcomes_is_refused() -> None:
    taught = Momentum(5)
    taught.horizon = 3
    with pytest.raises(SettingsError, match="a regime gate does not deliver"):
        bull(member=taught)


def test_a_foreign_state_is_refused() -> None:
    market = telling(gappy(bars=100, symbols=1))
    with pytest.raises(StateError, match="restore it into what saved it"):
        bull().restore(Momentum(10).state())
    with pytest.raises(StateError):
        bull(member="hold").restore(bull().fit(market).state())
