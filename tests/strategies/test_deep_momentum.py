"""Deep momentum finds what is planted, learns from what the account earns, and decides the same bar by bar, all at once and elsewhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind import checks, engine
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.files import save_state
from tradewind.core.market import Market
from tradewind.core.spaces import Choice, Real, Whole
from tradewind.core.types import Portfolio, View
from tradewind.data import synthetic
from tradewind.nets.training import Examples
from tradewind.stats import sharpe
from tradewind.strategies import deep_momentum
from tradewind.strategies.deep_momentum import SPACES, DeepMomentum

INPUTS = {"horizons": (1, 5, 20), "scales": ((4, 12),), "volatility_window": 10, "price_window": 12}
SMALL: dict[str, Any] = {"inputs": INPUTS, "window": 8, "width": 8, "training": {"epochs": 3, "batch": 4}}
NETS = ("lstm", "transformer")


def market(bars: int = 200, seed: int = 1, symbols: int = 3) -> Market:
    return synthetic.noise(bars=bars, timeframe="1d", seed=seed, symbols=symbols).market


def fitted(bars: Market, **settings: Any) -> DeepMomentum:
    return DeepMomentum(**{**SMALL, **settings}).fit(bars)


def taught(monkeypatch: pytest.MonkeyPatch, bars: Market, **settings: Any) -> tuple[Examples, Examples | None]:
    """What a fit hands to the training loop."""
    heard: list[tuple[Examples, Examples | None]] = []
    plain = deep_momentum.train

    def listen(net: Any, learned: Examples, stopped: Examples | None, *others: Any) -> Any:
        heard.append((learned, stopped))
        return plain(net, learned, stopped, *others)

    monkeypatch.setattr(deep_momentum, "train", listen)
    fitted(bars, **settings)
    return heard[0]


# -- what it is worth ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("net", NETS)
def test_it_finds_planted_momentum_and_earns_most_of_what_can_be_earned(net: str) -> None:
    inputs = {"horizons": (1, 5, 10, 20, 40), "scales": (), "volatility_window": 30}
    made = synthetic.planted(sharpe=4.0, bars=2_500, timeframe="1d", symbols=4, seed=3)
    deep = DeepMomentum(net=net, inputs=inputs, window=16, training={"epochs": 15, "patience": 15}, seed=5).fit(made.market[:1_500])
    earned, possible = (
        sharpe(engine.backtest(wanted, made.market).returns[1_500:], 365.0)
        for wanted in (engine.targets(deep, made.market, start=1_500), made.oracle.targets)
    )
    assert earned > 0.6 * possible > 0


def test_dear_trades_make_it_trade_less() -> None:
    made = synthetic.planted(sharpe=3.0, bars=800, timeframe="1d", symbols=2, seed=2, lookback=3)
    inputs = {"horizons": (1, 3, 10), "scales": (), "volatility_window": 20}
    settings: dict[str, Any] = {"inputs": inputs, "window": 8, "width": 8, "validation": 0.0, "training": {"epochs": 20}}
    turnover = [
        np.nansum(np.abs(np.diff(DeepMomentum(**settings, cost=cost).fit(made.market).decide_all(made.market), axis=0)))
        for cost in (0.0, 0.01)
    ]
    assert turnover[1] < 0.5 * turnover[0]


@pytest.mark.slow
def test_the_transformer_keeps_every_promise() -> None:
    settings = {"window": 4, "heads": 2, "dropout": 0.0, "training": {"epochs": 20, "patience": 20, "batch": 16, "learning_rate": 0.01}}
    deep = tw.strategy("deep-momentum", net="transformer", **{**SMALL, **settings})
    assert checks.check_strategy(deep) == tuple(checks.strategy_checks())


# -- what it learns from -------------------------------------------------------------------------------------------------
def test_gains_are_from_open_to_open_and_costs_those_of_the_scaled_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = market(symbols=2)
    learned, _ = taught(monkeypatch, bars, validation=0.0, cost=0.01, max_weight=0.9)
    # The newest row that can be learned from is the third last: its position is held from the last open but one to the last.
    gain, cost, counts = learned.targets[-1, 1, -1].tolist()
    changes = bars.close[-13:-2, 1] / bars.close[-14:-3, 1] - 1.0
    unit = 0.4 / 365.0**0.5
    scale = min(0.9, unit / changes[1:].std())
    assert counts == 1.0
    assert gain == pytest.approx(scale * (bars.open[-1, 1] / bars.open[-2, 1] - 1.0) / unit, rel=1e-5)
    assert cost == pytest.approx(0.01 * scale / unit, rel=1e-5)


def test_the_tail_is_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = market()
    learned, stopped = taught(monkeypatch, bars)
    assert stopped is not None
    usable_rows = 200 - (20 + 7) - 2
    first = 198 - int(0.2 * usable_rows)
    ruined = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for panel in ruined.values():
        panel[first:] *= 3.0
    again, other = taught(monkeypatch, replace(bars, **ruined))
    assert other is not None
    assert learned.targets.equal(again.targets)
    assert not stopped.targets.equal(other.targets)
    assert int(stopped.targets[:, 0, :, 2].sum()) == int(0.2 * usable_rows)


def test_a_part_too_short_teaches_nothing_and_keeps_what_is_held() -> None:
    bars = market()
    deep = fitted(bars[:29])
    assert deep.reports == ()
    assert np.isnan(deep.decide_all(bars)).all()
    assert np.isnan(deep.decide(view(bars)).weights).all()
    assert "kept" in deep.explain(view(bars), 0).words[0]


def test_a_part_too_short_for_a_tail_is_learned_from_whole() -> None:
    deep = fitted(market()[:34])
    assert deep.reports[0].history[-1].validation_loss is None


# -- what it decides -----------------------------------------------------------------------------------------------------
def view(bars: Market, weights: Any = None) -> View:
    held = np.zeros(len(bars.symbols)) if weights is None else np.asarray(weights)
    return View(bars, int(bars.known[-1]), Portfolio(held, held, 1.0, 1.0))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("band", "gaps"), [(0.0, False), (0.0, True), (0.1, False)])
def test_bar_by_bar_is_all_at_once_to_the_bit(net: str, band: float, gaps: bool) -> None:
    bars = synthetic.gappy(bars=160, timeframe="1d", seed=2, symbols=3, missing=0.02, outages=1).market
    deep = fitted(bars[:110], net=net, band=band, gaps=gaps, window=6, heads=2)
    whole, stream = engine.backtest(deep, bars), engine.run(deep, bars)
    assert np.isfinite(whole.targets).sum() > 30
    np.testing.assert_array_equal(whole.targets, stream.targets)
    np.testing.assert_array_equal(whole.equity, stream.equity)


def test_weights_are_the_mean_position_times_the_scale_as_shares() -> None:
    bars = market()
    deep = fitted(bars, members=2, max_weight=0.5)
    assert len(deep.reports) == 2
    weights = deep.decide_all(bars)
    assert np.nanmax(np.abs(weights)) <= 0.5 / 3
    reason = deep.explain(view(bars), 1)
    volatility = (bars.close[-10:, 1] / bars.close[-11:-1, 1] - 1.0).std() * 365.0**0.5
    assert reason.values["scale"] == pytest.approx(min(0.5, 0.4 / volatility))
    assert weights[-1, 1] == pytest.approx(reason.values["position"] * reason.values["scale"] / 3)
    assert abs(reason.values["position"]) < 1


def test_long_only_never_sells_short() -> None:
    bars = market()
    weights = fitted(bars, long_only=True).decide_all(bars)
    assert np.nanmin(weights) >= 0 < np.nanmax(weights)


def test_a_band_keeps_what_is_near() -> None:
    bars = market()
    deep = fitted(bars)
    wanted = deep.decide(view(bars)).weights
    banded = fitted(bars, band=0.3)
    near = banded.decide(view(bars, wanted + np.array([0.09, 0.11, -0.09]))).weights
    assert np.isnan(near).tolist() == [True, False, True]
    assert near[1] == wanted[1]
    assert "inside the band" in banded.explain(view(bars, wanted), 0).words[-1]


def test_no_sequence_crosses_a_gap_unless_told() -> None:
    whole = market()
    panels = {name: getattr(whole, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for panel in panels.values():
        panel[150, 1] = np.nan
    holed = replace(whole, **panels)
    strict, loose = (np.isfinite(fitted(holed, gaps=gaps).decide_all(holed)) for gaps in (False, True))
    assert not strict[150:158, 1].any() and strict[158:, 1].all() and strict[60:150, 1].all()
    assert not loose[150, 1] and loose[151:, 1].all()
    assert strict[60:, 0].all()


def test_nights_and_weekends_are_no_gaps_where_a_market_closes() -> None:
    stocks = tw.data.sample("us-daily")[:300]
    assert stocks.calendar == "us-equity"
    assert np.isfinite(fitted(stocks).decide_all(stocks)[60:]).all()


# -- seeds, state and refusals -------------------------------------------------------------------------------------------
def test_a_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    bars = market()
    one, same, other = fitted(bars, seed=1), fitted(bars, seed=1), fitted(bars, seed=2)
    assert one.state() == same.state()
    assert not np.array_equal(one.decide_all(bars), other.decide_all(bars), equal_nan=True)


def test_restored_in_another_process_it_decides_the_same_to_the_bit(tmp_path: Path) -> None:
    bars = market()
    deep = fitted(bars, members=2, net="transformer", heads=2)
    save_state(tmp_path / "state", deep.state())
    script = (
        "import sys, numpy as np\n"
        "from tests.strategies.test_deep_momentum import DeepMomentum, SMALL, market\n"
        "from tradewind.core.files import load_state\n"
        "deep = DeepMomentum(**SMALL, members=2, net='transformer', heads=2).restore(load_state(sys.argv[1]))\n"
        "print(deep.warmup, deep.decide_all(market()).tobytes().hex())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state")], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(deep.warmup), deep.decide_all(bars).tobytes().hex()]


def test_a_state_before_fit_is_taken_back_as_such() -> None:
    deep = DeepMomentum(**SMALL).restore(DeepMomentum(**SMALL).state())
    with pytest.raises(NotFitted, match="before fit"):
        deep.decide_all(market())


def test_a_state_of_other_settings_is_refused() -> None:
    state = fitted(market()).state()
    with pytest.raises(StateError, match=r"other settings of \['width'\]"):
        DeepMomentum(**{**SMALL, "width": 16}).restore(state)


def test_bars_of_another_length_are_refused() -> None:
    deep = fitted(market())
    with pytest.raises(DataError, match="fitted on bars of 1d on 24/7 and asked about 1h"):
        deep.decide_all(synthetic.noise(bars=100, timeframe="1h").market)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net": "gru"}, "net 'gru'"),
        ({"window": 1}, "window is 1"),
        ({"members": 0}, "members is 0"),
        ({"cost": -0.1}, "cost is -0.1"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"gaps": 1}, "gaps is 1"),
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"volatility_target": 0.0}, "volatility_target is 0.0"),
        ({"horizons": (1,)}, "unknown setting 'horizons'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tw.strategy("deep-momentum", **settings)


def test_the_ends_of_its_search_space_can_be_built() -> None:
    def ends(space: Any, last: bool) -> Any:
        if isinstance(space, Choice):
            return space.values[-1 if last else 0]
        if isinstance(space, Real | Whole):
            return space.high if last else space.low
        return {name: ends(part, last) for name, part in space.items()}

    for last in (False, True):
        assert tw.strategy("deep-momentum", **ends(SPACES["deep-momentum"], last)).warmup == 1
