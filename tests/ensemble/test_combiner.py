"""The combiner: its bound on any returns, sleepers, the flat fallback, what moves its weights, and its state."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.files import load_state, save_state
from tradewind.core.types import Array
from tradewind.ensemble.combiner import WAYS, Combiner, Decision, Evidence
from tradewind.ensemble.presets import preset
from tradewind.simulate.costs import Costs

FREE = Costs.zero()
RETURNS = st.integers(2, 4).flatmap(
    lambda members: st.integers(1, 40).flatmap(
        lambda bars: arrays(np.float64, (bars, members), elements=st.sampled_from([0.0, 0.01, -0.01, 0.5, -0.5, 1e-6]) | st.floats(-1, 1))
    )
)


def evidence(returns: Array, regime: Array | None = None, awake: Array | None = None, side: Array | None = None) -> Evidence:
    """Members with one symbol each on their own side, long where nothing is said."""
    count = len(returns)
    wanted = np.ones((count, 1)) if side is None else side[:, None]
    told = np.empty(0) if regime is None else regime
    return Evidence(returns, wanted, np.zeros((count, 1)), np.ones(count, dtype=bool) if awake is None else awake, told, np.zeros(1))


def combiner(members: int = 3, regimes: int = 0, name: str = "custom", costs: Costs = FREE, **changes: Any) -> Combiner:
    names = [f"member {i}" for i in range(members)]
    return Combiner(preset(name, **changes), names, ["A"], [f"regime {k}" for k in range(regimes)], costs=costs)


def walked(made: Combiner, returns: Array, regime: Array | None = None) -> list[Decision]:
    return [made.step(evidence(row, None if regime is None else regime[t])) for t, row in enumerate(returns)]


def bound(gained: Array, weights: Array) -> float:
    """Theorem 6 of de Rooij et al. (2014), for gains (time, expert) under weights (time, expert)."""
    mean = (weights * gained).sum(axis=1, keepdims=True)
    variance, widest, count = (weights * (gained - mean) ** 2).sum(), np.ptp(gained, axis=1).max(), math.log(gained.shape[1])
    return float(2 * math.sqrt(variance * count) + widest * (4 / 3 * count + 2))


# -- the bound ------------------------------------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(RETURNS, st.integers(0, 2**31))
def test_the_whole_is_never_below_the_best_way_by_more_than_the_bound(returns: Array, seed: int) -> None:
    regime = np.random.default_rng(seed).dirichlet([0.3, 0.3], len(returns))
    decided = walked(combiner(returns.shape[1], 2, meta_learning_enabled=False), returns, regime)
    ways, trust = (np.array([getattr(each, name) for each in decided[:-1]]) for name in ("ways", "trust"))
    if len(ways):
        gained = np.einsum("tci,ti->tc", ways, returns[1:])
        whole = sum(float(each.weights @ row) for each, row in zip(decided[:-1], returns[1:], strict=True))
        assert whole >= gained.sum(axis=0).max() - bound(gained, trust) - 1e-9


@settings(max_examples=60, deadline=None)
@given(RETURNS, st.integers(0, 2**31))
def test_the_bound_holds_for_what_the_ways_earn_after_the_costs_of_their_own_trades(returns: Array, seed: int) -> None:
    random = np.random.default_rng(seed)
    made, members = combiner(returns.shape[1], costs=Costs(fee_bps=100.0), meta_learning_enabled=False), returns.shape[1]
    decided = [made.step(evidence(row, side=random.choice([-1.0, 0.0, 1.0], members))) for row in returns]
    if len(decided) > 1:
        gained = np.array([[each.parts[f"earned by {way}"] for way in WAYS] for each in decided[1:]])
        trust = np.array([each.trust for each in decided[:-1]])
        assert (trust * gained).sum() >= gained.sum(axis=0).max() - bound(gained, trust) - 1e-9
        # The whole pays for the net of the ways' trades and for moving trust between them: no more than both apart.
        whole = sum(each.parts["earned by whole"] for each in decided[1:])
        moved = np.abs(np.diff(trust, axis=0)).sum() * 0.0102
        assert whole >= (trust * gained).sum() - moved - 1e-9


@settings(max_examples=60, deadline=None)
@given(RETURNS)
def test_the_whole_is_never_below_the_best_member_by_more_than_both_bounds(returns: Array) -> None:
    decided = walked(combiner(returns.shape[1], meta_learning_enabled=False), returns)[:-1]
    if decided:
        lived = returns[1:]
        ways, trust = (np.array([getattr(each, name) for each in decided]) for name in ("ways", "trust"))
        whole = sum(float(each.weights @ row) for each, row in zip(decided, lived, strict=True))
        allowed = bound(np.einsum("tci,ti->tc", ways, lived), trust) + bound(lived, ways[:, WAYS.index("leader")])
        assert whole >= lived.sum(axis=0).max() - allowed - 1e-9


@settings(max_examples=40, deadline=None)
@given(RETURNS, st.data())
def test_weights_sum_to_one_under_the_cap_and_sleepers_have_none(returns: Array, data: st.DataObject) -> None:
    members = returns.shape[1]
    made = combiner(members, max_agent_weight=0.7, min_diversification_agents=2, meta_learning_enabled=False)
    for row in returns:
        awake = data.draw(arrays(np.bool_, members))
        decided = made.step(evidence(np.where(awake, row, np.nan), awake=awake))
        assert decided.flat == (awake.sum() < 2)
        assert decided.weights.sum() == pytest.approx(0.0 if decided.flat else 1.0)
        assert (decided.weights[~awake] == 0).all() and decided.weights.max() <= 0.7 + 1e-12
        assert (decided.target == 0).all() or not decided.flat


# -- what moves the weights ---------------------------------------------------------------------------------------------------
def test_the_first_decision_is_the_mean() -> None:
    decided = combiner(4).step(evidence(np.zeros(4), side=np.array([1.0, 1.0, -1.0, 0.0])))
    np.testing.assert_allclose(decided.weights, 0.25)
    np.testing.assert_allclose(decided.target, 0.25)


def test_returns_move_the_weights_before_the_decision_of_that_close() -> None:
    made = combiner(2)
    made.step(evidence(np.zeros(2)))
    assert made.step(evidence(np.array([0.01, -0.01]))).weights[0] > 0.5
    # What a member earned before anybody trusted it with anything teaches nothing.
    np.testing.assert_allclose(combiner(2).step(evidence(np.array([0.5, -0.5]))).weights, 0.5)


def test_a_known_regime_moves_the_weights_at_once() -> None:
    random = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1, 0], 80)
    returns = random.normal(0.0, 0.01, (400, 2))
    returns[np.arange(400), states] += 0.004
    decided = walked(combiner(2, 2, meta_learning_enabled=False), returns, np.eye(2)[states])
    for switch in (240, 320):
        assert decided[switch - 1].weights[states[switch]] < 0.2
        assert decided[switch + 3].weights[states[switch]] > 0.6
    assert decided[-1].trust[WAYS.index("regimes")] == max(decided[-1].trust)


def test_without_a_regime_the_way_by_regimes_follows_the_experts() -> None:
    decided = walked(combiner(3, 2), np.random.default_rng(1).normal(0.0, 0.01, (30, 3)), np.full((30, 2), np.nan))[-1]
    np.testing.assert_array_equal(decided.ways[WAYS.index("regimes")], decided.ways[WAYS.index("experts")])
    assert decided.stability == 1.0


def test_a_shaky_regime_draws_its_weights_to_equal_ones() -> None:
    random = np.random.default_rng(2)
    returns = random.normal([0.005, 0.0, -0.005], 0.01, (200, 3))
    shaky, steady = (combiner(3, 2, regime_stability_threshold=threshold, meta_learning_enabled=False) for threshold in (1.0, 0.0))
    steadily = np.tile([1.0, 0.0], (200, 1))
    for made in (shaky, steady):
        assert walked(made, returns, steadily)[-1].stability > 0.99
    # Sure of the regime still, but less than before: the stability is the root of certainty times persistence.
    last = np.array([0.9, 0.1])
    a, b = (made.step(evidence(returns[0], last)) for made in (shaky, steady))
    certainty = 1.0 + (last * np.log(last)).sum() / np.log(2.0)
    assert a.stability == b.stability == pytest.approx(np.sqrt(certainty), abs=1e-3)
    row = WAYS.index("regimes")
    np.testing.assert_allclose(a.ways[row] - 1 / 3, a.stability * (b.ways[row] - 1 / 3), atol=1e-12)


def test_the_gate_counts_where_it_is_proven_and_not_on_noise() -> None:
    changes = {"performance_prediction_window": 10, "meta_lookback": 400, "meta_training_frequency": 20}
    side = np.where(np.arange(2500) // 15 % 2 == 0, 1.0, -1.0)
    random = np.random.default_rng(3)
    rhythm = np.stack([side, -side], axis=1) * 0.004 + random.normal(0.0, 0.004, (2500, 2))
    learned, blind = combiner(2, **changes), combiner(2, **changes)
    with_gate = walked(learned, rhythm)
    noise = walked(blind, random.normal(0.0, 0.004, (2500, 2)))
    assert np.mean([each.gate for each in with_gate[1000:]]) > 0.9
    assert np.mean([each.gate for each in noise[1000:]]) < 0.3
    assert with_gate[-1].parts["candidate"] > with_gate[-1].parts["experts"]
    without = walked(combiner(2, meta_learning_enabled=False), rhythm)
    gained = [sum(float(each.weights @ row) for each, row in zip(d[:-1], rhythm[1:], strict=True)) for d in (with_gate, without)]
    assert gained[0] > 1.3 * gained[1] > 0
    assert not any(each.gate for each in without)


def test_members_that_trade_against_each_other_cost_their_mix_nothing() -> None:
    # Each member pays a thousandth a unit to turn round at every bar; the mean of both never holds anything.
    made, costs = combiner(2, costs=Costs(fee_bps=10.0, slippage_bps=0.0), meta_learning_enabled=False), np.array([-0.002, -0.002])
    for bar in range(50):
        side = np.array([1.0, -1.0]) * (-1.0) ** bar
        decided = made.step(evidence(costs if bar > 1 else costs / 2, side=side))
        np.testing.assert_allclose(decided.weights, 0.5)
        assert decided.parts["earned by equal"] == pytest.approx(0.0, abs=1e-15)
        assert decided.parts["earned by whole"] == pytest.approx(0.0, abs=1e-15)


def test_turnover_of_a_way_is_charged_to_it() -> None:
    random = np.random.default_rng(4)
    returns = random.normal(0.0, 0.01, (300, 3))
    side = np.array([1.0, -1.0, 0.0])
    free, dear = (combiner(3, meta_learning_enabled=False, costs=costs) for costs in (FREE, Costs(fee_bps=500.0)))
    for made in (free, dear):
        for row in returns:
            last = made.step(evidence(row, side=side))
        assert last.trust.sum() == pytest.approx(1.0)
    # Equal weights never move, the experts always do.
    equal, experts = WAYS.index("equal"), WAYS.index("experts")
    trusts = [made.step(evidence(np.zeros(3), side=side)).trust for made in (free, dear)]
    assert trusts[1][equal] / trusts[1][experts] > trusts[0][equal] / trusts[0][experts]


# -- size ------------------------------------------------------------------------------------------------------------------
def test_gross_exposure_never_exceeds_the_most_there_may_be() -> None:
    made = combiner(3, max_position_risk=0.6)
    assert made.step(evidence(np.zeros(3))).target == pytest.approx(0.6)
    assert made.step(evidence(np.zeros(3), side=np.array([0.3, 0.3, 0.3]))).target == pytest.approx(0.3)


def test_kelly_and_the_volatility_target_size_the_whole() -> None:
    random = np.random.default_rng(5)
    losing = random.normal(-0.004, 0.01, (600, 3))
    assert walked(combiner(3, kelly_criterion_enabled=True), losing)[-1].size == 0.0
    assert walked(combiner(3), losing)[-1].size == 1.0
    aimed = walked(combiner(3, volatility_target=0.2, max_position_risk=3.0), random.normal(0.0, 0.01, (600, 3)))[-1]
    # Three independent members make a mix of .0058 a bar, .54 a year of hours.
    assert 0.2 < aimed.size < 0.6


# -- faults ----------------------------------------------------------------------------------------------------------------
def test_too_few_members_are_refused_and_too_few_awake_are_flat() -> None:
    with pytest.raises(SettingsError, match="2 members, the config asks for 3 or more"):
        combiner(2, name="balanced")
    made = combiner(3, name="balanced")
    made.step(evidence(np.zeros(3)))
    decided = made.step(evidence(np.array([0.01, 0.0, np.nan]), awake=np.array([True, True, False])))
    assert decided.flat and (decided.target == 0).all() and decided.confidence == 0.0 and decided.agreement == 0.0
    assert not made.step(evidence(np.zeros(3))).flat


def test_a_top_without_a_bound_is_refused() -> None:
    with pytest.raises(SettingsError, match="adahedge and boa have a bound"):
        combiner(3, mixing="follow-the-leader")
    with pytest.raises(SettingsError, match="expert_weights is 'ons', which takes returns as they are"):
        combiner(3, expert_weights="ons")
    with pytest.raises(SettingsError, match="did you mean 'fixed-share'"):
        combiner(3, expert_weights="fixed-shar")
    assert walked(combiner(3, mixing="boa"), np.zeros((3, 3)))[-1].trust.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("broken", ["returns", "wanted", "held", "awake", "regime"])
def test_evidence_of_another_shape_is_named(broken: str) -> None:
    given_ = evidence(np.zeros(3), np.array([1.0, 0.0]))
    wrong = dataclasses.replace(given_, **{broken: np.zeros((4, 2), dtype=getattr(given_, broken).dtype)})
    with pytest.raises(DataError, match=rf"evidence: {broken} has shape \(4, 2\), expected"):
        combiner(3, 2).step(wrong)


# -- state -----------------------------------------------------------------------------------------------------------------
def test_state_goes_on_to_the_bit_in_mid_stream(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    returns, regime = random.normal(0.0, 0.01, (700, 4)), random.dirichlet([1.0, 1.0, 1.0], 700)
    awake = random.random((700, 4)) > 0.02
    changes = {"performance_prediction_window": 10, "meta_lookback": 200, "meta_training_frequency": 25}

    def on(made: Combiner, first: int, last: int) -> list[Decision]:
        return [made.step(evidence(returns[t], regime[t], awake[t])) for t in range(first, last)]

    one = combiner(4, 3, "balanced", Costs(), **changes)
    on(one, 0, 350)
    other = combiner(4, 3, "balanced", Costs(), **changes).restore(load_state(save_state(tmp_path / "combiner", one.state())))
    for mine, theirs in zip(on(one, 350, 700), on(other, 350, 700), strict=True):
        for part in dataclasses.fields(Decision):
            assert np.array_equal(getattr(mine, part.name), getattr(theirs, part.name)), part.name
    assert one.state() == other.state()


def test_a_state_of_something_else_is_refused() -> None:
    state = combiner(3, 2).state()
    with pytest.raises(StateError, match="same members"):
        combiner(4, 2).restore(state)
    with pytest.raises(StateError, match="same members"):
        combiner(3, 0).restore(state)


def test_decisions_are_kept_where_asked() -> None:
    logged, silent = combiner(3, name="research"), combiner(3)
    for made in (logged, silent):
        walked(made, np.zeros((5, 3)))
    assert len(logged.history) == 5 and silent.history == []
