"""The evaluation: every number against a hand's own, what it may be given, and a score that nothing but its formula makes."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind as tw
from strategies.markets import panel
from tradewind.core.errors import DataError
from tradewind.core.types import Array
from tradewind.engine import backtest
from tradewind.ensemble.conduct import Conduct
from tradewind.ensemble.evaluation import GRADES, WEIGHTS, Evaluation, evaluate
from tradewind.evaluate.plan import RunSettings
from tradewind.evaluate.run import run
from tradewind.simulate.costs import Costs
from tradewind.stats.metrics import sharpe, summary

FREE = Costs(fee_bps=0.0, slippage_bps=0.0)


def made(returns: Array, regime: Array, trust: Array, earned: Array, windows: tuple[tuple[int, int], ...]) -> Conduct:
    """A conduct whose account earns `returns`, always fully invested and free of costs."""
    n = len(returns)
    close = 100.0 * np.cumprod(1.0 + returns)
    # Bought at the open of the second bar, at the first close.
    market = dataclasses.replace(panel(close), open=np.concatenate([[close[0]], close[:-1]])[:, None])
    market = dataclasses.replace(market, high=np.maximum(market.open, market.close), low=np.minimum(market.open, market.close))
    probabilities = np.full((n, 2), np.nan)
    known = regime >= 0
    probabilities[known] = np.eye(2)[regime[known]] * 0.8 + 0.1
    half = np.full(n, 0.5)
    return Conduct(
        backtest(np.ones((n, 1)), market, FREE), ("a", "b"), ("calm", "wild"), trust, earned, np.ones((n, 2), dtype=bool), probabilities,
        half, half, half, windows,
    )  # fmt: skip


def drawn(seed: int, n: int = 400, mean: float = 0.0) -> Conduct:
    random = np.random.default_rng(seed)
    earned = random.normal(mean, 0.01, (n, 2))
    trust = random.dirichlet(np.ones(2), n)
    held = np.vstack([np.full((1, 2), 0.5), trust[:-1]])
    return made((held * earned).sum(axis=1), random.integers(-1, 2, n), trust, earned, ((0, n // 2), (n // 2, n)))


def test_the_portfolios_numbers_are_those_of_the_account() -> None:
    found = drawn(1)
    told = evaluate(found)
    periods = found.market.periods_per_year
    expected = summary(found.returns, periods)
    for name in ("sharpe", "annual_return", "max_drawdown", "hit_rate", "profit_factor", "calmar"):
        assert told.portfolio[name] == expected[name]
    assert told.portfolio["sharpe_low"] < told.portfolio["sharpe"] < told.portfolio["sharpe_high"]
    ups = [np.prod(1 + found.returns[a:b]) > 1 for a, b in found.windows]
    assert told.portfolio["success_rate"] == np.mean(ups)
    assert told.folds == 2


def test_a_bar_counts_for_the_regime_of_the_close_before_it() -> None:
    n = 200
    regime = (np.arange(n) // 50) % 2
    returns = np.where(np.concatenate([[0], regime[:-1]]) == 0, 0.002, -0.001) + 0.0005 * (np.arange(n) % 3 - 1)
    found = made(returns, regime, np.full((n, 2), 0.5), np.tile(returns[:, None], 2), ((0, 100), (100, 200)))
    calm, wild = evaluate(found).regimes
    assert (calm.regime, wild.regime) == ("calm", "wild")
    assert (calm.bars, wild.bars) == (100, 99)  # the first bar has no close before it
    assert calm.share == 100 / n
    assert (calm.win_rate, calm.consistency, wild.consistency) == (1.0, 1.0, 0.0)
    own = found.returns[1:][regime[:-1] == 1]
    assert wild.sharpe == sharpe(own, found.market.periods_per_year)
    assert wild.sharpe_low <= wild.sharpe <= wild.sharpe_high < 0 < calm.sharpe_low


def test_bars_of_no_known_regime_count_for_none() -> None:
    n = 60
    regime = np.where(np.arange(n) < 30, -1, 1)
    found = made(np.full(n, 0.001), regime, np.full((n, 2), 0.5), np.full((n, 2), 0.001), ((0, n),))
    calm, wild = evaluate(found).regimes
    assert (calm.bars, wild.bars) == (0, 29)
    assert math.isnan(calm.sharpe) and math.isnan(calm.consistency) and math.isnan(calm.win_rate)


def adaptability(trust: Array, earned: Array, regime: Array) -> float:
    n = len(earned)
    found = made(np.full(n, 0.001), regime, trust, earned, ((0, n),))
    return evaluate(found).meta["adaptability"]


def test_adaptability_is_one_for_the_oracle_zero_for_even_weights_and_below_for_worse() -> None:
    n = 100
    regime = (np.arange(n) // 20) % 2
    # In regime 0 the first member earns in the bar that follows, in regime 1 the second.
    right = np.eye(2)[regime]
    earned = np.zeros((n, 2))
    earned[1:] = 0.01 * right[:-1]
    assert adaptability(right, earned, regime) == pytest.approx(1.0)
    assert adaptability(np.full((n, 2), 0.5), earned, regime) == pytest.approx(0.0)
    assert adaptability(1.0 - right, earned, regime) == pytest.approx(-1.0)
    late = np.vstack([right[:5] * 0 + 0.5, right[:-5]])
    assert 0.3 < adaptability(late, earned, regime) < 0.9


def test_bars_in_which_it_was_flat_decide_nothing() -> None:
    trust = np.zeros((50, 2))
    assert evaluate(made(np.full(50, 0.001), np.zeros(50, dtype=int), trust, np.zeros((50, 2)), ((0, 50),))).meta == {}


def test_the_score_is_its_formula() -> None:
    told = evaluate(drawn(3, mean=0.001))
    p = told.portfolio
    periods = drawn(3, mean=0.001).market.periods_per_year
    folds = [sharpe(drawn(3, mean=0.001).returns[a:b], periods) for a, b in drawn(3, mean=0.001).windows]
    known = sum(row.share for row in told.regimes)
    raw = {
        "evidence": (p["positive"] - 0.5) / 0.5,
        "size": np.median(folds) / 2,
        "drawdown": 1 - abs(p["max_drawdown"]) / 0.3,
        "success": p["success_rate"],
        "breadth": sum(row.share for row in told.regimes if row.sharpe > 0) / known,
        "adaptability": told.meta["adaptability"],
    }
    cut = {name: min(max(value, 0.0), 1.0) for name, value in raw.items()}
    assert told.parts == pytest.approx(cut)
    points = (30, 20, 15, 15, 10, 10)
    assert told.score == pytest.approx(sum(weight * cut[name] for weight, name in zip(points, cut, strict=True)))
    assert sum(WEIGHTS.values()) == 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-0.003, 0.003))
def test_scores_stay_in_their_limits_and_luck_is_never_good(seed: int, mean: float) -> None:
    told = evaluate(drawn(seed, 120, mean))
    assert 0 <= told.score <= 100
    assert all(0 <= part <= 1 for part in told.parts.values())
    if told.portfolio["sharpe_low"] <= 0:
        assert told.grade in "CDF"
    else:
        assert told.grade == next(grade for grade, least in GRADES if told.score >= least)
    json.dumps(told.to_dict(), allow_nan=False)


def test_noise_gets_no_good_grade_and_an_edge_does() -> None:
    grades = [evaluate(drawn(seed, 1000)).grade for seed in range(20)]
    assert sum(grade in "AB" for grade in grades) <= 3
    steady = drawn(5, 2000, 0.002)
    strong = dataclasses.replace(steady, trust=np.eye(2)[np.concatenate([steady.earned[1:].argmax(axis=1), [0]])])
    assert evaluate(strong).grade == "A"


def test_the_same_seed_gives_the_same_evaluation() -> None:
    assert evaluate(drawn(1), seed=3).to_dict() == evaluate(drawn(1), seed=3).to_dict()
    assert evaluate(drawn(1), seed=3).portfolio["sharpe_low"] != evaluate(drawn(1), seed=4).portfolio["sharpe_low"]


def test_it_can_be_read() -> None:
    text = str(evaluate(drawn(2)))
    assert "of 100" in text and "calm" in text and "adaptability" in text and "out of sample" in text


def test_a_walk_forward_is_evaluated_by_what_it_has() -> None:
    result = tw.walk_forward(tw.strategy("momentum"), tw.data.sample("us-daily")[:1500], train=600, test=300)
    told = evaluate(result)
    assert told.meta == {} and "adaptability" not in told.parts
    assert told.folds == 3
    assert [row.regime for row in told.regimes] == list(tw.regimes.SEVEN)
    assert sum(row.share for row in told.regimes) > 0.8
    assert told.portfolio["sharpe"] == result.metrics["sharpe"]
    assert told.portfolio["hold_sharpe"] == result.hold["sharpe"]


def test_a_finished_run_is_evaluated_by_its_row_ensemble(tmp_path: object) -> None:
    rows = ("hold", "momentum", "rsi-reversal", "bollinger-reversal", "ensemble")
    chosen = RunSettings(market="us-daily", strategies=rows, train=1000, test=1000, start="2008-01-01")
    finished = run(chosen, f"{tmp_path}/runs", jobs=1)
    told = evaluate(finished)
    row = next(row for row in finished.rows if row.name == "ensemble")
    assert told.portfolio["sharpe"] == row.metrics["sharpe"]
    assert told.folds == len(finished.rows[0].windows) > 1
    assert {"confidence", "agreement", "stability", "adaptability"} == set(told.meta)
    with pytest.raises(DataError, match="no row ensemble"):
        evaluate(dataclasses.replace(finished, ensemble=None))


def test_what_cannot_be_evaluated_is_told() -> None:
    with pytest.raises(DataError, match="a dict has no returns, market, windows"):
        evaluate({})
    with pytest.raises(DataError, match="at least 2"):
        evaluate(SimpleNamespace(returns=[0.1], market=SimpleNamespace(periods_per_year=365.0), windows=()))
    assert isinstance(evaluate(drawn(0, 30)), Evaluation)
