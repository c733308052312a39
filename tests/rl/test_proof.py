"""Must-show: every agent near the known optimum and none above it; near the oracle in a planted market, and nothing where nothing is.

One seed each of what `bench/rl_proof.py` does for several; its docstring says what is shown.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tradewind.rl.registry import agents

AGENTS = ("ppo", "double-dqn", "d3qn", "twin-d3qn", "rainbow")
BENCH = "rl_proof"


def test_every_agent_is_asked() -> None:
    assert set(AGENTS) <= set(agents())


def test_the_oracle_of_the_planted_market_beats_the_sign_of_the_mean_and_holding(bench: ModuleType) -> None:
    school, later = bench.School.of(3, False), slice(bench.LEARNED, bench.BARS)
    best = school.oracle(later).mean()
    market, mean = school.made.market[later], school.made.oracle.mean[later]
    sign = np.diff(np.log(bench.backtest(np.sign(mean), market, bench.COSTS).equity)).mean()
    hold = np.diff(np.log(bench.backtest(np.ones_like(mean), market, bench.COSTS).equity)).mean()
    assert best > sign > 10 * abs(hold)


def test_the_shuffled_feature_is_the_same_numbers_and_tells_nothing(bench: ModuleType) -> None:
    plain, shuffled = (bench.School.of(3, way).features.values[bench.FIRST :, 0, 0] for way in (False, True))
    assert np.array_equal(np.sort(plain), np.sort(shuffled))
    mean = bench.School.of(3, True).made.oracle.mean[bench.FIRST :, 0]
    assert np.corrcoef(plain, mean)[0, 1] == pytest.approx(-1.0)
    assert abs(np.corrcoef(shuffled, mean)[0, 1]) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_agents_come_near_the_known_optimum_and_not_above_it(bench: ModuleType, name: str) -> None:
    run = bench.optimum_run(name, seed=11)
    assert run["share"] >= bench.WANTED["optimum"]
    assert run["share"] <= 1.0 + 3 * run["error"]


@pytest.mark.slow
@pytest.mark.parametrize(("cost", "persistence"), [(0.02, 0.9), (0.30, 0.95)])
def test_ppo_with_continuous_positions_does_too_at_other_costs_and_speeds(bench: ModuleType, cost: float, persistence: float) -> None:
    run = bench.optimum_run("ppo", 11, cost, persistence, "continuous")
    assert run["share"] >= bench.WANTED["optimum"]
    assert run["share"] <= 1.0 + 3 * run["error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_agents_earn_what_the_oracle_earns_after_costs_on_later_bars(bench: ModuleType, name: str) -> None:
    run = bench.planted_run(name, seed=11)
    assert run["share"] >= bench.WANTED["planted"]


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_agents_earn_nothing_by_the_shuffled_feature(bench: ModuleType, name: str) -> None:
    run = bench.planted_run(name, seed=11, shuffled=True)
    assert run["bp_a_bar"] <= 3 * run["error_bp"]
