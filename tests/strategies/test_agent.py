"""Agents as strategies: they find what is planted, say how sure they are, and are the same bar by bar, all at once and elsewhere."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind import engine
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.market import Market
from tradewind.core.types import Portfolio, View
from tradewind.data import synthetic
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs
from tradewind.stats import sharpe
from tradewind.strategies.agent import AgentStrategy

SEEN = ("return_1", "return_5", "ema_distance_200")
VALUED = {
    "hidden": (16,),
    "batch": 64,
    "train_every": 32,
    "target_every": 50,
    "learning_starts": 500,
    "learning_rate": 3e-3,
    "discount": 0.9,
}
AGENTS: dict[str, dict[str, Any]] = {
    "ppo": {"hidden": (16,), "rollout": 1024, "batch": 256, "epochs": 4, "learning_rate": 3e-3, "discount": 0.9},
    **dict.fromkeys(("double-dqn", "d3qn", "twin-d3qn", "rainbow"), VALUED),
}
TINY: dict[str, Any] = {"features": SEEN[:2], "steps": 600, "lanes": 8, "length": 8}


def small(name: str = "ppo", **settings: Any) -> Any:
    return tw.strategy(name, **{"agent": AGENTS[name], **TINY, **settings})


def view(bars: Market, weights: Any = None) -> View:
    held = np.zeros(len(bars.symbols)) if weights is None else np.asarray(weights)
    return View(bars, int(bars.known[-1]), Portfolio(held, held, 1.0, 1.0))


def bars(n: int = 160, symbols: int = 3) -> Market:
    return synthetic.gappy(bars=n, seed=2, symbols=symbols, missing=0.02, outages=1).market


@cache
def planted() -> Any:
    return synthetic.planted(r2=0.2, bars=5_000, seed=3)


@cache
def learned() -> AgentStrategy:
    """PPO, fitted on the first 3,500 bars of the planted market."""
    strategy = tw.strategy("ppo", agent=AGENTS["ppo"], features=SEEN, steps=12_000)
    return strategy.fit(planted().market[:3_500])


# -- what it is worth ----------------------------------------------------------------------------------------------------
def test_it_earns_most_of_what_is_planted_net_of_costs() -> None:
    market = planted().market
    earned, possible = (
        sharpe(engine.backtest(wanted, market).returns[3_500:], 8_760.0)
        for wanted in (engine.targets(learned(), market, start=3_500), planted().oracle.targets)
    )
    assert earned > 0.7 * possible > 0


def test_confidence_is_near_the_diagonal_out_of_sample() -> None:
    trader, market = learned().trader, planted().market
    assert trader is not None and trader.calibrated.slope > 0
    convictions, right = trader.outcomes(market, Book(market.symbols, learned().course.costs), 3_500)
    said = trader.calibrated.probability(convictions)
    assert len(said) > 1_000 and said.std() > 0.03
    # Whoever is surer is right more often, and by as much as it says, to within three standard errors of each third.
    thirds = np.array_split(np.argsort(said), 3)
    rates = [right[third].mean() for third in thirds]
    assert rates[0] < rates[1] < rates[2]
    for third, rate in zip(thirds, rates, strict=True):
        assert abs(rate - said[third].mean()) < 3.0 * np.sqrt(0.25 / len(third)) + 0.03


def test_on_noise_it_says_about_one_half() -> None:
    market = synthetic.noise(bars=2_400, seed=5).market
    strategy = tw.strategy("ppo", agent=AGENTS["ppo"], features=SEEN, steps=4_000, costs={"fee_bps": 0, "slippage_bps": 0}).fit(
        market[:1_800]
    )
    convictions, right = strategy.trader.outcomes(market, Book(market.symbols, Costs.zero()), 1_800)
    said = strategy.trader.calibrated.probability(convictions)
    assert len(said) > 100 and np.abs(said - 0.5).max() < 0.12
    assert abs(said.mean() - right.mean()) < 0.1


# -- what it decides -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ppo", {}),
        ("ppo", {"actions": "continuous", "window": 3}),
        ("rainbow", {"actions": 2, "positions": (-1.0, 0.5)}),
        ("twin-d3qn", {}),
    ],
)
def test_bar_by_bar_is_all_at_once_to_the_bit(name: str, settings: dict[str, Any]) -> None:
    market = bars()
    strategy = small(name, **settings).fit(market[:110])
    whole, stream = engine.backtest(strategy, market), engine.run(strategy, market)
    assert np.isfinite(whole.targets).sum() > 10
    np.testing.assert_array_equal(whole.targets, stream.targets)
    np.testing.assert_array_equal(whole.equity, stream.equity)


def test_the_held_back_part_teaches_nothing_but_when_to_stop_and_how_sure_to_be() -> None:
    market = bars(200)
    strategy = small(validation=0.4)
    strategy.fit(market)
    # 80 bars are held back: the first 40 choose, the others calibrate.
    best = strategy.learning.best
    assert best is not None and sum(best.lengths) <= 40 * 3
    count = strategy.trader.calibrated.count
    assert 0 < count <= 40 * 3
    other = small(validation=0.4).fit(market[:160])
    assert other.trader.scaler.mean.tolist() != strategy.trader.scaler.mean.tolist()


def test_a_part_too_short_teaches_nothing_and_keeps_what_is_held() -> None:
    market = bars()
    strategy = small().fit(market[:8])
    assert strategy.trader is None and strategy.learning is None
    assert np.isnan(strategy.decide_all(market)).all() and np.isnan(strategy.decide(view(market)).weights).all()
    assert np.isnan(strategy.confidence(view(market))).all()
    assert "too short" in strategy.explain(view(market), 0).words[0]


def test_it_says_why() -> None:
    market = synthetic.noise(bars=160, symbols=2).market
    strategy = small(actions="discrete").fit(market[:110])
    held = np.array([0.0, 0.3])
    answer, target = strategy.trader.answer(market, held), strategy.decide(view(market, held)).weights
    sure = strategy.confidence(view(market, held))
    for symbol in range(2):
        reason = strategy.explain(view(market, held), symbol)
        np.testing.assert_equal(reason.values["target"], target[symbol])
        np.testing.assert_equal(reason.values["confidence"], sure[symbol])
        assert reason.values["position"] == answer.position[symbol]
        if np.isnan(target[symbol]):
            assert "keeps" in reason.words[0]
        if abs(answer.position[symbol]) > 0.01:
            assert f"{sure[symbol]:.1%}" in reason.words[1] and "conviction" in reason.words[1]
        else:
            assert np.isnan(sure[symbol]) and "nothing to be right or wrong about" in reason.words[1]
    lacking = bars()
    silent = int(np.argmax(np.isnan(lacking.close[:, 0])))
    assert "has never been" in strategy.explain(view(lacking[: silent + 1]), 0).words[0]


def test_an_own_reward_is_practised_for() -> None:
    def hates_trading(lived: Any) -> Any:
        return -lived.traded

    market = synthetic.noise(bars=400, seed=6).market
    strategy = tw.strategy("ppo", agent=AGENTS["ppo"], features=SEEN[:2], steps=8_000, lanes=32, length=16, reward=hates_trading).fit(
        market
    )
    traded = engine.backtest(strategy, market).turnover.mean()
    assert traded < 0.05


# -- seeds, state and refusals -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ppo", "rainbow"])
def test_a_seed_gives_the_same_bytes_and_another_gives_others(name: str) -> None:
    market = bars()
    one, same, other = (small(name, seed=seed).fit(market[:110]) for seed in (1, 1, 2))
    assert one.state() == same.state() and one.state() != other.state()


def test_restored_in_another_process_it_decides_the_same_to_the_bit(tmp_path: Path) -> None:
    market = bars()
    strategy = small("d3qn").fit(market[:110])
    save_state(tmp_path / "state", strategy.state())
    script = (
        "import sys\n"
        "from tests.strategies.test_agent import bars, small\n"
        "from tradewind.core.files import load_state\n"
        "strategy = small('d3qn').restore(load_state(sys.argv[1]))\n"
        "print(strategy.warmup, strategy.decide_all(bars()).tobytes().hex())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state")], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(strategy.warmup), strategy.decide_all(market).tobytes().hex()]


def test_a_state_before_fit_is_taken_back_as_such() -> None:
    strategy = small().restore(small().state())
    for ask in (lambda: strategy.decide(view(bars())), lambda: strategy.decide_all(bars()), lambda: strategy.confidence(view(bars()))):
        with pytest.raises(NotFitted, match=r"'ppo' was asked to decide before fit"):
            ask()


@pytest.mark.parametrize(
    ("settings", "differs"), [({"window": 2}, "sight"), ({"agent": {**AGENTS["ppo"], "hidden": (8,)}}, "agent"), ({"actions": 5}, "sight")]
)
def test_a_state_of_other_settings_is_refused(settings: dict[str, Any], differs: str) -> None:
    with pytest.raises(StateError, match=rf"other settings of \['{differs}'\]"):
        small(**settings).restore(small().fit(bars()[:110]).state())


def test_bars_of_another_length_are_refused() -> None:
    strategy = small().fit(bars()[:110])
    with pytest.raises(DataError, match="learned on bars of 1h on 24/7 and was asked about 1d"):
        strategy.decide_all(synthetic.noise(bars=100, timeframe="1d", symbols=3).market)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"validation": 1.0}, "validation is 1"),
        ({"agent": {"hiden": (8,)}}, "did you mean 'hidden'"),
        ({"costs": {"fee": 3}}, "did you mean 'fee_bps'"),
        ({"actions": "buy"}, "unknown actions 'buy'"),
        ({"algorithm": "pp"}, "did you mean 'ppo'"),
        ({"features": "price-acton"}, "price-action"),
        ({"lanes": 0}, "lanes is 0"),
        ({"train_limit": 0}, "train_limit is 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        small(**settings)


@pytest.mark.parametrize("name", AGENTS)
def test_every_algorithm_is_a_strategy_with_a_preset_and_a_space(name: str) -> None:
    from tradewind.strategies.registry import space

    strategy = tw.strategy(name)
    assert strategy.algorithm == name and strategy.refit_every == 4
    assert {"steps", "agent"} <= space(name).keys()


def test_a_walk_forward_with_an_agent(tmp_path: Path) -> None:
    result = tw.walk_forward(small(train_limit=100), bars(260), train=120, test=60, ledger=tmp_path / "ledger.sqlite")
    assert np.isfinite(result.metrics["sharpe"])
