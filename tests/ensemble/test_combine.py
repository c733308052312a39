"""Combining finished rows: the loop over the combiner, causal, and the switching market in small (the large one is bench/ensemble.py)."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import Array
from tradewind.ensemble.combine import Combined, combined, last_closes, overall
from tradewind.ensemble.combiner import Combiner, Evidence
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.presets import preset

COSTS = tw.Costs(fee_bps=10, slippage_bps=2)
START = 300
LIGHT = {"meta_lookback": 200, "performance_prediction_window": 10, "meta_training_frequency": 20}


def members(market: tw.Market, start: int = START) -> tuple[list[Array], list[Array], list[Array]]:
    """Targets, held weights and returns from bar `start` on: slow trend, against the fast one, and with it."""
    slow, fast = (tw.strategy("momentum", lookback=bars).decide_all(market)[start:] for bars in (24, 2))
    accounts = [tw.backtest(targets, market[start:], COSTS) for targets in (slow, -fast, fast)]
    return [each.targets for each in accounts], [each.weights for each in accounts], [each.returns for each in accounts]


def combine(market: tw.Market, config: EnsembleConfig, start: int = START) -> Combined:
    return combined(market, *members(market, start), config, ("slow", "against", "fast"), start, COSTS)


def test_it_is_the_loop_over_the_combiner() -> None:
    market = tw.synthetic.gappy(bars=700, seed=1, symbols=3).market
    targets, held, returns = members(market)
    config = preset("balanced", **LIGHT)
    found = combined(market, targets, held, returns, config, ("slow", "against", "fast"), START, COSTS)
    regimes = tw.regimes.detector("rules").fit(market[:START]).filter(market)
    one = Combiner(config, found.members, market.symbols, regimes.names, market.periods_per_year)
    before, spoken = last_closes(market.close), np.zeros(3, dtype=bool)
    for t in range(START, len(market)):
        row = t - START
        wanted, holds = np.array([each[row] for each in targets]), np.array([each[row] for each in held])
        spoken |= np.isfinite(wanted).any(axis=1)
        there = regimes.probabilities[t][~np.isnan(regimes.probabilities[t]).any(axis=1)]
        told = there.sum(axis=0) / len(there) if len(there) else np.full(7, np.nan)
        decided = one.step(
            Evidence(np.array([e[row] for e in returns]), wanted, holds, spoken.copy(), told, market.close[t] / before[t] - 1)
        )
        for name in ("weights", "ways", "trust", "confidence", "agreement", "stability", "size", "gate", "flat"):
            assert np.array_equal(getattr(found, name)[row], getattr(decided, name)), (t, name)
        assert np.array_equal(found.desired[row], decided.target)
    assert len(found) == len(market) - START and found.regimes == regimes.names


def test_what_a_way_earns_on_paper_is_what_its_account_earns() -> None:
    market = tw.synthetic.three_regimes(bars=2500, seed=3).market
    targets, held, returns = members(market)
    found = combined(market, targets, held, returns, preset("custom", regime=None, **LIGHT), None, START, COSTS)
    positions = np.stack([np.where(np.isnan(w), h, w) for w, h in zip(targets, held, strict=True)], axis=1)
    for number, way in enumerate(("equal", "experts", "leader")):
        account = tw.backtest(np.einsum("ti,tis->ts", found.ways[:, number], positions), market[START:], COSTS).returns
        paper = found.parts[f"earned by {way}"]
        assert paper.sum() == pytest.approx(account.sum(), abs=0.05)
        assert np.corrcoef(paper, account)[0, 1] > 0.999
        # Alone, the members pay for trades that cancel in their mean.
        alone = float((found.ways[:-1, number] * np.column_stack(returns)[1:]).sum())
        assert alone < account.sum() - (0.5 if way == "equal" else 0.0)


def test_no_later_bar_changes_a_decision() -> None:
    market = tw.synthetic.planted(sharpe=3.0, bars=700, seed=2, symbols=2).market
    whole, cut = (combine(each, preset("aggressive", **LIGHT)) for each in (market, market[:550]))
    for name in ("desired", "targets", "weights", "trust", "confidence", "probabilities"):
        np.testing.assert_array_equal(getattr(whole, name)[: len(cut)], getattr(cut, name), err_msg=name)


def test_the_band_keeps_what_is_close_enough() -> None:
    market = tw.synthetic.planted(bars=700, seed=3).market
    wide, none = combine(market, preset("balanced", band=0.3, **LIGHT)), combine(market, preset("balanced", band=0.0, **LIGHT))
    np.testing.assert_array_equal(wide.desired, none.desired)
    traded = [np.isfinite(each.targets).mean() for each in (wide, none)]
    assert traded[0] < 0.5 * traded[1]
    there = np.isfinite(wide.targets)
    np.testing.assert_array_equal(wide.targets[there], wide.desired[there])


def test_a_member_sleeps_until_it_speaks() -> None:
    market = tw.synthetic.planted(bars=600, seed=4).market
    targets, held, returns = members(market)
    targets[2][:100] = np.nan
    held[2][:100], returns[2][:100] = 0.0, 0.0
    found = combined(market, targets, held, returns, preset("balanced", min_diversification_agents=2, **LIGHT), None, START, COSTS)
    assert (found.weights[:100, 2] == 0).all() and (found.weights[100:, 2] > 0).all()
    assert found.members == ("member 0", "member 1", "member 2")


def test_without_a_detector_and_with_one_that_is_given() -> None:
    market = tw.synthetic.planted(bars=600, seed=5).market
    none = combine(market, preset("balanced", regime=None, **LIGHT))
    assert none.regimes == () and none.probabilities.shape == (300, 0) and (none.stability == 1).all()
    fitted = tw.regimes.detector("hmm").fit(market[:START])
    given = combined(market, *members(market), preset("balanced", **LIGHT), None, START, COSTS, fitted)
    assert given.regimes == fitted.names


def test_faults() -> None:
    market = tw.synthetic.planted(bars=400, seed=6).market
    targets, held, returns = members(market)
    config = preset("balanced")
    with pytest.raises(SettingsError, match="3 targets, 2 held weights and 3 returns do not pair up"):
        combined(market, targets, held[:2], returns, config, start=START)
    with pytest.raises(DataError, match=r"member 1: .*from bar 300 on the market has \(time, symbol\) = \(100, 1\)"):
        combined(market, [targets[0], targets[1][1:], targets[2]], held, returns, config, start=START)
    with pytest.raises(SettingsError, match="2 members, the config asks for 3 or more"):
        combined(market, targets[:2], held[:2], returns[:2], config, start=START)


def test_helpers_count_what_is_there() -> None:
    close = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(last_closes(close), [[np.nan, np.nan], [1.0, np.nan], [1.0, 2.0]])
    told = np.array([[[0.2, 0.8], [0.6, 0.4]], [[np.nan, np.nan], [0.6, 0.4]], [[np.nan] * 2] * 2])
    np.testing.assert_allclose(overall(told), [[0.4, 0.6], [0.6, 0.4], [np.nan, np.nan]])


def test_in_a_market_that_switches_it_earns_most_of_what_the_oracle_does() -> None:
    first, made = 4000, tw.synthetic.three_regimes(bars=14_000, seed=100)
    config = preset(
        "custom", regime="hmm", regime_settings={"states": 3, "inputs": ("return", "range"), "starts": 3}, meta_learning_enabled=False
    )
    found, tested = combine(made.market, config, first), made.market[first:]

    def earned(targets: Array) -> float:
        return float(tw.backtest(targets, tested, COSTS).returns.sum())

    targets, held, returns = members(made.market, first)
    positions = np.stack([np.where(np.isnan(w), h, w) for w, h in zip(targets, held, strict=True)], axis=1)
    ours, oracle = earned(found.targets), earned(made.oracle.targets[first:])
    assert ours >= 0.85 * oracle
    for way in (0, 1):  # equal weights, and Fixed-Share alone
        assert ours > earned(np.einsum("ti,tis->ts", found.ways[:, way], positions))
    assert ours > max(each.sum() for each in returns)
    assert oracle is not None and made.oracle.states is not None
    states = made.oracle.states[first:]
    begins = np.flatnonzero(np.diff(states)) + 1
    late = [
        int(np.argmax(found.weights[begin:end, states[begin]] > 0.5)) if (found.weights[begin:end, states[begin]] > 0.5).any() else 999
        for begin, end in zip(begins, np.append(begins[1:], len(states)), strict=True)
        if end - begin >= 20
    ]
    assert len(late) >= 10 and np.median(late) <= 20
