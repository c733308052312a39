"""Synthetic markets: what is planted is there in the amount asked for, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.core.types import Array
from tradewind.data import quality
from tradewind.data.synthetic import REGIME_MEAN, REGIME_STAY, REGIME_VOLATILITY, Synthetic, flat, gappy, noise, planted, switching
from tradewind.data.synthetic_paths import carried
from tradewind.data.synthetic_signals import _strength
from tradewind.features import compute

ALL = (planted, noise, switching, flat, gappy)
FOUR_YEARS = 4 * 365 * 24


def _sharpe(equity: Array, periods: float) -> float:
    returns = np.diff(equity) / equity[:-1]
    return float(returns.mean() / returns.std(ddof=1) * periods**0.5)


@pytest.mark.parametrize("make", ALL)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make: type[Synthetic]) -> None:
    one, two, other = make(bars=400, seed=5), make(bars=400, seed=5), make(bars=400, seed=6)
    assert one.market.digest == two.market.digest
    np.testing.assert_array_equal(one.oracle.targets, two.oracle.targets)
    assert make is flat or one.market.digest != other.market.digest


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d", "1w"])
def test_they_are_sound_bars_at_every_timeframe(make: type[Synthetic], timeframe: str) -> None:
    made = make(bars=1_000, timeframe=timeframe, seed=2, symbols=2)
    report = quality(made.market)
    assert report.ok
    assert made.oracle.targets.shape == made.market.close.shape
    kind = make.__name__.upper()
    assert made.market.symbols == (f"{kind}-1", f"{kind}-2")
    assert "spike" not in report.counts


@pytest.mark.parametrize("sharpe", [0.0, 1.0, 2.0, 4.0])
def test_the_oracle_earns_what_was_asked_net_of_costs(sharpe: float) -> None:
    realised = [planted(sharpe, FOUR_YEARS, seed=seed).oracle.realised for seed in range(60)]
    # The Sharpe ratio of four years has a standard error of about a half.
    assert np.mean(realised) == pytest.approx(sharpe, abs=3 * 0.52 / 60**0.5)
    assert 0.35 < np.std(realised) < 0.75


@pytest.mark.parametrize(
    ("symbols", "timeframe", "costs"), [(4, "1h", (10, 2)), (1, "15m", (2, 1)), (1, "1d", (30, 20)), (3, "4h", (0, 0))]
)
def test_so_it_does_with_several_symbols_other_bars_and_other_costs(symbols: int, timeframe: str, costs: tuple[float, float]) -> None:
    made = [planted(3.0, 12_000, timeframe, seed, symbols, *costs) for seed in range(40)]
    error = (made[0].market.periods_per_year / 12_000) ** 0.5
    assert np.mean([m.oracle.realised for m in made]) == pytest.approx(3.0, abs=3.2 * max(error, 0.1) / 40**0.5)


def test_the_accounting_agrees_with_the_engines() -> None:
    for made in (planted(3.0, 5_000, seed=3), planted(3.0, 5_000, seed=3, symbols=3), switching(2_000, seed=3, symbols=2)):
        result = tw.backtest(made.oracle.targets, made.market, costs=tw.Costs(fee_bps=10, slippage_bps=2))
        assert _sharpe(result.equity, made.market.periods_per_year) == pytest.approx(made.oracle.realised, abs=0.02)


def test_momentum_with_the_planted_lookback_is_the_oracle() -> None:
    made = planted(4.0, 3_000, seed=9)
    close = made.market.close[:, 0]
    rule = np.concatenate([np.zeros(20), np.sign(close[20:] / close[:-20] - 1)])
    np.testing.assert_array_equal(carried(np.ascontiguousarray(made.oracle.targets[:, 0])), rule)
    assert made.oracle.parameters["lookback"] == 20


def test_the_planted_drift_is_in_the_bars() -> None:
    made = planted(4.0, 200_000, seed=1)
    returns = made.market.close[:, 0] / made.market.open[:, 0] - 1
    held = carried(np.ascontiguousarray(made.oracle.targets[:, 0]))[:-1]
    gained = held[20:] * returns[21:]
    error = gained.std() / len(gained) ** 0.5
    assert gained.mean() == pytest.approx(made.oracle.parameters["drift"], abs=3 * error)
    assert returns.std() * 8_760**0.5 == pytest.approx(1.0, rel=0.01)


def test_noise_pays_nobody_and_looks_like_a_market() -> None:
    returns = np.concatenate([(m.close / m.open - 1)[:, 0] for m in (noise(20_000, seed=seed).market for seed in range(20))])
    t = returns.mean() / returns.std() * len(returns) ** 0.5
    assert abs(t) < 3
    assert (returns**4).mean() / (returns**2).mean() ** 2 > 6  # fat tails
    magnitude = np.abs(returns)
    assert np.corrcoef(magnitude[1:], magnitude[:-1])[0, 1] > 0.1  # clustered
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.02
    assert returns.std() * 8_760**0.5 == pytest.approx(1.0, rel=0.1)
    assert noise(100).oracle.sharpe == noise(100).oracle.realised == 0


def test_switching_has_its_regimes() -> None:
    made = [switching(20_000, seed=seed) for seed in range(10)]
    states = np.concatenate([m.oracle.states for m in made if m.oracle.states is not None])
    returns = np.concatenate([(m.market.close / m.market.open - 1)[:, 0] for m in made])
    for state in (0, 1):
        inside = returns[states == state]
        assert inside.std() == pytest.approx(REGIME_VOLATILITY[state], rel=0.02)
        assert inside.mean() == pytest.approx(REGIME_MEAN[state], abs=3.5 * REGIME_VOLATILITY[state] / len(inside) ** 0.5)
        stayed = states[1:][states[:-1] == state] == state
        assert stayed.mean() == pytest.approx(REGIME_STAY[state], abs=0.002)


def test_the_regime_filter_earns_its_long_run_on_average_and_is_causal() -> None:
    made = [switching(10_000, seed=seed) for seed in range(40)]
    spread = np.std([m.oracle.realised for m in made])
    assert np.mean([m.oracle.realised for m in made]) == pytest.approx(made[0].oracle.sharpe, abs=3 * spread / 40**0.5)
    assert made[0].oracle.sharpe > 0.5
    again = switching(5_000, seed=0)
    longer = switching(10_000, seed=0)
    assert len(again.oracle.targets) == 5_000
    assert longer.oracle.sharpe == again.oracle.sharpe


def test_highs_and_lows_have_the_range_of_a_brownian_path() -> None:
    """E[high - low] of a Brownian motion over a bar is sqrt(8 / pi) standard deviations (Parkinson 1980)."""
    market = planted(0.0, 100_000, timeframe="1m", seed=4).market
    volatility = planted(0.0, 100, timeframe="1m").oracle.parameters["volatility"]
    spread = np.log(market.high / market.low)[:, 0].mean() / volatility
    assert spread == pytest.approx((8 / np.pi) ** 0.5, rel=0.01)


def test_gappy_has_outages_and_holes() -> None:
    market = gappy(5_000, seed=1, symbols=3, missing=0.1, outages=4).market
    assert np.isnan(market.close).mean() == pytest.approx(0.1, abs=0.01)
    steps = np.diff(market.open_time) // market.step
    assert 1 <= (steps > 1).sum() <= 20
    assert steps.max() <= 60


def test_flat_never_moves() -> None:
    market = flat(50).market
    assert (market.high == market.low).all()
    assert (market.volume == 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"bars": 1},
        {"bars": 2.5},
        {"symbols": 0},
        {"timeframe": "3w"},
        {"timeframe": "x"},
        {"sharpe": -1.0},
        {"sharpe": float("nan")},
        {"lookback": 0},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        planted(**settings)  # type: ignore[arg-type]


def test_bars_stay_sound_when_cut() -> None:
    made = planted(bars=100)
    assert replace(made.market[10:20]).digest == made.market[10:20].digest


# -- a mean planted by its R^2 ------------------------------------------------------------------------------------------
def _explained(made: Synthetic, columns: Array) -> float:
    """The R^2, corrected for the number of columns, of a linear regression of the next bar's return on `columns` (time, column)."""
    returns = (made.market.close / made.market.open - 1)[201:, 0]
    inputs = np.column_stack([np.ones(len(returns)), columns[200:-1]])
    left = returns - inputs @ np.linalg.lstsq(inputs, returns, rcond=None)[0]
    degrees = len(returns) - inputs.shape[1]
    return float(1 - (left @ left / degrees) / returns.var(ddof=1))


@pytest.mark.parametrize("form", ["linear", "nonlinear"])
@pytest.mark.parametrize("r2", [0.001, 0.01, 0.05])
def test_the_planted_mean_has_the_r2_that_was_asked(form: str, r2: float) -> None:
    made = planted(r2=r2, form=form, bars=400_000, seed=11)
    assert made.oracle.mean is not None
    returns, mean = (made.market.close / made.market.open - 1)[201:, 0], made.oracle.mean[200:-1, 0]
    # A slow mean is a small sample of itself: its mean square is known to a few per cent here.
    assert mean.var() / returns.var() == pytest.approx(r2, rel=0.07)
    slope = (returns - returns.mean()) @ (mean - mean.mean()) / (mean.var() * len(mean))
    assert slope == pytest.approx(1.0, abs=3.5 * (returns.var() / mean.var() / len(mean)) ** 0.5)


def test_the_calibration_of_the_linear_form_is_exact_to_a_hundredth() -> None:
    sizes = []
    for seed in range(12):
        made = planted(r2=0.05, bars=400_000, seed=100 + seed)
        assert made.oracle.mean is not None
        sizes.append(float(made.oracle.mean[500:, 0].var()))
    wanted = _strength(0.05, made.oracle.parameters["volatility"]) ** 2
    assert np.mean(sizes) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("timeframe", ["15m", "1h", "1d"])
@pytest.mark.parametrize("form", ["linear", "nonlinear"])
def test_the_mean_is_made_of_the_columns_it_names(form: str, timeframe: str) -> None:
    made = planted(r2=0.02, form=form, bars=900, timeframe=timeframe, seed=4)
    X = compute(made.market, list(made.oracle.signals))
    assert made.oracle.mean is not None
    distance = X.values[:, 0, -1]
    expected = distance if form == "linear" else 2**0.5 * X.values[:, 0, 0] * np.sign(distance)
    np.testing.assert_allclose(made.oracle.mean[199:, 0], made.oracle.parameters["strength"] * expected[199:], rtol=1e-7, atol=1e-12)
    assert set(made.oracle.signals) <= set(compute(made.market[:2], "relative").names)
    assert (made.oracle.mean[:199] == 0).all()


def test_a_linear_model_sees_the_linear_mean_and_nearly_nothing_of_the_other() -> None:
    linear, other = (planted(r2=0.01, form=form, bars=300_000, seed=7) for form in ("linear", "nonlinear"))
    seen = [_explained(made, compute(made.market, "relative").values[:, 0]) for made in (linear, other)]
    assert seen[0] == pytest.approx(0.01, abs=0.0012)
    assert -0.0002 < seen[1] < 0.0005
    wave, side = compute(other.market, list(other.oracle.signals)).values[:, 0].T
    assert _explained(other, (wave * np.sign(side))[:, None]) == pytest.approx(0.01, abs=0.0012)


@pytest.mark.parametrize(
    ("form", "r2", "symbols"), [("linear", 0.002, 1), ("linear", 0.05, 1), ("nonlinear", 0.01, 1), ("linear", 0.01, 3)]
)
def test_the_oracle_of_an_r2_earns_what_it_expects(form: str, r2: float, symbols: int) -> None:
    made = [planted(r2=r2, form=form, bars=FOUR_YEARS, seed=seed, symbols=symbols).oracle for seed in range(30)]
    assert np.mean([oracle.realised for oracle in made]) == pytest.approx(made[0].sharpe, abs=3.3 * 0.55 / 30**0.5)
    assert made[0].sharpe > 1


def test_the_best_band_beats_no_band_and_trading_on_the_sign() -> None:
    made = planted(r2=0.01, bars=200_000, seed=2)
    assert made.oracle.mean is not None
    for targets in (np.clip(made.oracle.parameters["gain"] * made.oracle.mean, -1, 1), np.sign(made.oracle.mean)):
        result = tw.backtest(targets, made.market, costs=tw.Costs(fee_bps=10, slippage_bps=2))
        assert _sharpe(result.equity, made.market.periods_per_year) < made.oracle.realised - 0.3


def test_no_r2_is_nothing_to_know_and_what_costs_too_much_is_left_alone() -> None:
    assert planted(r2=0.0, bars=300).oracle.sharpe == 0
    dear = planted(r2=0.0005, form="nonlinear", bars=300, fee_bps=100.0).oracle
    assert dear.sharpe == dear.realised == 0
    assert np.isnan(dear.targets).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"sharpe": 1.0, "r2": 0.01},
        {"r2": 0.5},
        {"r2": float("nan")},
        {"r2": 0.01, "form": "wavy"},
        {"r2": 0.01, "lookback": 20},
        {"form": "nonlinear"},
        {"r2": 0.01, "form": "nonlinear", "timeframe": "12h"},
    ],
)
def test_what_cannot_be_planted(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        planted(**settings)  # type: ignore[arg-type]
