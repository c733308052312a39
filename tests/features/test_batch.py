"""Batch features against TA-Lib and numpy, and what warm-up, gaps, missing volume and flat prices give."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.market import Market
from tradewind.features.catalog import SETS

talib = pytest.importorskip("talib")

SIGNALS = ["signal_ema_cross_50_200", "signal_rsi_reversal_14", "signal_bollinger_reversal_20", "signal_rsi_divergence_14"]
EVERYTHING = [*SETS["standard"], *SIGNALS, "natr_14", "ema_distance_50", "fractional_40_60", "volume_mean_20", "volatility_sample_20"]


def golden(market: Market) -> dict[str, np.ndarray]:
    """Every column of the standard set that is not calendar, from TA-Lib, or numpy where TA-Lib lacks it."""
    high, low, close, volume = (np.ascontiguousarray(getattr(market, name)[:, 0]) for name in ("high", "low", "close", "volume"))
    out = {f"rsi_{n}": talib.RSI(close, n) for n in (7, 14, 21)}
    out["macd"], out["macd_signal"], out["macd_hist"] = talib.MACD(close, 12, 26, 9)
    for n in (20, 50):
        upper, middle, lower = talib.BBANDS(close, n, 2.0, 2.0)
        out |= {f"bb_upper_{n}": upper, f"bb_middle_{n}": middle, f"bb_lower_{n}": lower}
        out |= {f"bb_width_{n}": (upper - lower) / middle, f"bb_percent_{n}": (close - lower) / (upper - lower)}
    out["stoch_k"], out["stoch_d"] = talib.STOCHF(high, low, close, 14, 3)
    out |= {"atr_14": talib.ATR(high, low, close, 14), "natr_14": talib.NATR(high, low, close, 14), "obv": talib.OBV(close, volume)}
    out |= {"cci_20": talib.CCI(high, low, close, 20), "williams_r_14": talib.WILLR(high, low, close, 14)}
    out |= {"adx_14": talib.ADX(high, low, close, 14), "plus_di_14": talib.PLUS_DI(high, low, close, 14)}
    out |= {"minus_di_14": talib.MINUS_DI(high, low, close, 14), "ema_50": talib.EMA(close, 50), "ema_200": talib.EMA(close, 200)}
    out |= {"volume_ratio_20": volume / talib.SMA(volume, 20), "volume_std_20": talib.STDDEV(volume, 20)}
    out |= {f"return_{n}": talib.ROCP(close, n) for n in (1, 5, 10, 20, 50)}
    change = close[1:] / close[:-1] - 1.0
    for n in (20, 50):
        spread = np.lib.stride_tricks.sliding_window_view(change, n).std(axis=1)
        out[f"volatility_{n}"] = np.concatenate([np.full(n, np.nan), spread])
    return out


def assert_golden(market: Market) -> None:
    """1e-8 relative to the value, or for values that cross zero to a thousandth of the column's spread."""
    columns = golden(market)
    X = tw.features.compute(market, list(columns))
    for i, (name, wanted) in enumerate(columns.items()):
        ours = X.values[:, 0, i]
        assert not (np.isnan(ours) & ~np.isnan(wanted)).any(), f"{name} has no value where TA-Lib has one"
        scale = np.maximum(np.abs(wanted), 1e-3 * np.nanstd(wanted))
        assert np.nanmax(np.abs(ours - wanted) / scale) < 1e-8, name
        if name != "stoch_k":  # TA-Lib holds %K back until %D has its first value
            assert np.isnan(ours).sum() == np.isnan(wanted).sum(), name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [100.0, 60_000.0, 0.5])
def test_talib_on_random_walks(walk: Callable[..., Market], seed: int, level: float) -> None:
    assert_golden(walk(3_000, seed=seed, level=level))


def test_talib_on_real_bars() -> None:
    folder = os.environ.get("TRADEWIND_DEV_DATA")
    if not folder:
        pytest.skip("set TRADEWIND_DEV_DATA to the folder of the development data")
    import polars as pl

    path = Path(folder) / "ftx_btcperp_1m_2022-01.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in TRADEWIND_DEV_DATA")
    frame = pl.read_parquet(path).rename({"timestamp": "open_time"}, strict=False)
    if "symbol" not in frame.columns:
        frame = frame.with_columns(pl.lit("BTC").alias("symbol"))
    assert_golden(Market.from_frame(frame))


@pytest.mark.parametrize("periods", [(3, 5), (9, 30), (2, 4)])
def test_other_periods(walk: Callable[..., Market], periods: tuple[int, int]) -> None:
    market = walk(800, seed=4)
    high, low, close = (np.ascontiguousarray(getattr(market, name)[:, 0]) for name in ("high", "low", "close"))
    for n in periods:
        wanted = {
            f"rsi_{n}": talib.RSI(close, n),
            f"atr_{n}": talib.ATR(high, low, close, n),
            f"adx_{n}": talib.ADX(high, low, close, n),
            f"plus_di_{n}": talib.PLUS_DI(high, low, close, n),
            f"cci_{n}": talib.CCI(high, low, close, n),
            f"ema_{n}": talib.EMA(close, n),
            f"bb_lower_{n}": talib.BBANDS(close, n, 2.0, 2.0)[2],
            f"stoch_d_{n}_4": talib.STOCHF(high, low, close, n, 4)[1],
            f"williams_r_{n}": talib.WILLR(high, low, close, n),
            f"macd_hist_{n}_{n + 3}_{n}": talib.MACD(close, n, n + 3, n)[2],
        }
        X = tw.features.compute(market, list(wanted))
        for i, (name, column) in enumerate(wanted.items()):
            np.testing.assert_allclose(X.values[:, 0, i], column, rtol=1e-8, atol=1e-9 * np.nanstd(column), err_msg=name)


def test_warmup_is_exact(walk: Callable[..., Market]) -> None:
    market = walk(450, symbols=2, seed=1)
    for name in EVERYTHING:
        X = tw.features.compute(market, name)
        assert np.isnan(X.values[: X.warmup]).all(), name
        assert np.isfinite(X.values[X.warmup :]).all(), name
    assert tw.features.compute(market, ["rsi_14", "ema_200", "return_5"]).warmup == 199


def test_shorter_than_the_warmup(walk: Callable[..., Market]) -> None:
    X = tw.features.compute(walk(5), "standard")
    assert X.values.shape == (5, 1, len(SETS["standard"]))
    assert np.isnan(X.values[:, 0, X.names.index("ema_200")]).all()
    assert len(tw.features.compute(walk(5)[:0], "standard")) == 0


def test_missing_bars_leave_the_state_alone(walk: Callable[..., Market]) -> None:
    market = walk(900, symbols=3, seed=2, gaps=0.2)
    X = tw.features.compute(market, EVERYTHING)
    for s in range(3):
        there = ~np.isnan(market.close[:, s])
        assert np.isnan(X.values[~there, s]).all()
        whole = {name: getattr(market, name)[there, s : s + 1] for name in ("open", "high", "low", "close", "volume")}
        alone = Market((market.symbols[s],), "15m", market.open_time[there], market.known[there], **whole)
        np.testing.assert_array_equal(X.values[there, s], tw.features.compute(alone, EVERYTHING).values[:, 0])


def test_without_volume_only_volume_features_are_lost(walk: Callable[..., Market]) -> None:
    market = walk(400, seed=3)
    bare = dataclasses.replace(market, volume=np.full_like(market.volume, np.nan))
    X, Y = tw.features.compute(bare, EVERYTHING), tw.features.compute(market, EVERYTHING)
    for i, name in enumerate(X.names):
        if name.startswith("volume") or name == "obv":
            assert np.isnan(X.values[:, :, i]).all(), name
        else:
            np.testing.assert_array_equal(X.values[:, :, i], Y.values[:, :, i], err_msg=name)


def test_a_bar_without_volume_is_forgotten_with_its_window(walk: Callable[..., Market]) -> None:
    market = walk(200, seed=3)
    volume = market.volume.copy()
    volume[100] = np.nan
    X = tw.features.compute(dataclasses.replace(market, volume=volume), ["volume_ratio_20", "volume_std_20", "obv"])
    Y = tw.features.compute(market, list(X.names))
    assert np.isnan(X.values[100:120, 0, :2]).all()
    np.testing.assert_array_equal(X.values[120:, 0, :2], Y.values[120:, 0, :2])
    # The sum goes on without that bar's volume.
    step = Y.values[100, 0, 2] - Y.values[99, 0, 2]
    np.testing.assert_allclose(X.values[101:, 0, 2] + step, Y.values[101:, 0, 2])


@pytest.mark.parametrize("price", [50.0, 0.1, 1e-7, 61_234.56789])
def test_flat_prices_have_defined_values(flat: Callable[..., Market], price: float) -> None:
    X = tw.features.compute(flat(600, price=price, volume=0.1), EVERYTHING)
    last = dict(zip(X.names, X.values[-1, 0], strict=True))
    still = ("rsi_14", "macd_hist", "atr_14", "stoch_k", "stoch_d", "cci_20", "adx_14", "plus_di_14", "minus_di_14", "williams_r_14")
    for name in (*still, "bb_width_20", "return_5", "volatility_20", "volume_std_20", *SIGNALS):
        assert last[name] == pytest.approx(0.0, abs=1e-12 * price), name
    assert last["volatility_50"] == last["bb_width_50"] == 0.0
    assert last["bb_upper_20"] == last["bb_lower_20"] == last["bb_middle_50"] == price
    assert last["bb_percent_20"] == 0.5
    assert last["volume_ratio_20"] == 1.0
    assert tw.features.compute(flat(30, volume=0.0), "volume_ratio_20").values[-1, 0, 0] == 1.0


def test_windows_do_not_drift(walk: Callable[..., Market]) -> None:
    """A window far into a history with a price that was once a thousand times higher, against the same window alone."""
    market = walk(100_000, seed=5)
    fall = np.where(np.arange(len(market)) < 50_000, 1_000.0, 1.0)[:, None]
    market = dataclasses.replace(market, **{name: getattr(market, name) * fall for name in ("open", "high", "low", "close", "volume")})
    names = ["bb_upper_20", "bb_width_50", "bb_percent_50", "volatility_50", "volume_std_20", "cci_20", "volume_ratio_20", "stoch_d"]
    whole, tail = tw.features.compute(market, names), tw.features.compute(market[-200:], names)
    np.testing.assert_array_equal(whole.values[-100:], tail.values[-100:])


def test_calendar_against_the_standard_library(walk: Callable[..., Market]) -> None:
    from datetime import datetime, timezone

    market = walk(4)
    times = np.array([0, 951_782_400, 951_868_799, 1_709_164_800, 4_107_542_399, 1_632_782_700], dtype=np.int64) * 10**9
    times = np.sort(np.concatenate([times, 10**9 * np.random.default_rng(0).integers(0, 4_000_000_000, 500)]))
    price = np.full((len(times), 1), 9.0)
    market = Market(("S",), "1m", times, times + 60 * 10**9, price, price, price, price, price)
    X = tw.features.compute(market, ["hour_sine", "weekday_cosine", "day_of_month_sine", "month_cosine", "month_sine"])
    for t, moment in enumerate(times):
        day = datetime.fromtimestamp(moment // 10**9, tz=timezone.utc)
        phases = (day.hour / 24, day.weekday() / 7, (day.day - 1) / 31, (day.month - 1) / 12, (day.month - 1) / 12)
        waves = (np.sin, np.cos, np.sin, np.cos, np.sin)
        wanted = [wave(2.0 * np.pi * phase) for wave, phase in zip(waves, phases, strict=True)]
        np.testing.assert_allclose(X.values[t, 0], wanted, atol=1e-12)


def test_sample_deviations(walk: Callable[..., Market]) -> None:
    market = walk(60)
    X = tw.features.compute(market, ["volume_std_sample_20", "volatility_sample_20"])
    change = np.diff(market.close[:, 0]) / market.close[:-1, 0]
    assert X.values[-1, 0, 0] == pytest.approx(np.std(market.volume[-20:, 0], ddof=1), rel=1e-12)
    assert X.values[-1, 0, 1] == pytest.approx(np.std(change[-20:], ddof=1), rel=1e-12)


def test_frame_and_panel_shapes(walk: Callable[..., Market]) -> None:
    market = walk(30, symbols=2)
    X = tw.features.compute(market, "price-action")
    assert X.names[:5] == ("open", "high", "low", "close", "volume")
    assert X.values.shape == (30, 2, 14)
    np.testing.assert_array_equal(X.values[:, :, 3], market.close)
    assert X.to_frame().columns[:2] == ["open_time", "symbol"]
    assert X.symbols == market.symbols
