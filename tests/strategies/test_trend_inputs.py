"""Inputs of deep momentum: durations as bars, columns by hand, and settings that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import SettingsError
from tradewind.core.market import Market
from tradewind.core.settings import build
from tradewind.data import synthetic
from tradewind.features import compute
from tradewind.strategies.trend_inputs import TrendInputs, TrendSettings

SMALL = TrendSettings(horizons=(1, 4), scales=((3, 8),), volatility_window=6, price_window=5)


def market(bars: int = 60, timeframe: str = "1h") -> Market:
    return synthetic.noise(bars=bars, timeframe=timeframe, seed=4, symbols=2).market


def test_durations_are_as_many_bars_as_they_take() -> None:
    daily, hours = (TrendInputs.on(TrendSettings(), market(timeframe=timeframe)) for timeframe in ("1d", "4h"))
    assert daily.returns == (1, 5, 10, 20, 30, 60, 90)
    assert daily.averages == ((8, 24), (16, 48), (32, 96))
    assert hours.returns == tuple(6 * k for k in daily.returns)
    assert (hours.volatility, hours.price) == (6 * daily.volatility, 6 * daily.price) == (180, 546)


def test_coarse_bars_have_every_column_once() -> None:
    weekly = TrendInputs.on(TrendSettings(), market(timeframe="7d"))
    assert weekly.returns == (1, 3, 4, 9, 13)
    assert all(short < long for short, long in weekly.averages)
    assert len(set(weekly.names)) == len(weekly.names)


def test_columns_by_hand() -> None:
    bars = market()
    inputs = TrendInputs.on(SMALL, bars)
    assert inputs.names == ("return_1", "return_4", "average_3_8")
    values, volatility = inputs.columns(compute(bars, inputs.asked))
    close = bars.close[:, 1]
    changes = close[1:] / close[:-1] - 1.0
    assert volatility[30, 1] == pytest.approx(changes[24:30].std())
    assert values[30, 1, 0] == pytest.approx(changes[29] / volatility[30, 1])
    assert values[30, 1, 1] == pytest.approx((close[30] / close[26] - 1.0) / (volatility[30, 1] * 2.0))
    average = {span: np.mean(close[:span]) for span in (3, 8)}
    for span in average:
        for price in close[span:31]:
            average[span] += (price - average[span]) * 2.0 / (span + 1.0)
    assert values[30, 1, 2] == pytest.approx((average[3] - average[8]) / close[26:31].std())


@given(st.floats(0.001, 1000.0))
def test_the_unit_of_the_price_does_not_matter(factor: float) -> None:
    bars = market()
    scaled = replace(bars, **{name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")})
    inputs = TrendInputs.on(SMALL, bars)
    one, other = (inputs.columns(compute(each, inputs.asked))[0] for each in (bars, scaled))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_a_price_that_does_not_move_has_no_inputs() -> None:
    bars = synthetic.flat(bars=40).market
    inputs = TrendInputs.on(SMALL, bars)
    values, _ = inputs.columns(compute(bars, inputs.asked))
    assert not np.isfinite(values).any()


def test_without_averages_returns_are_all() -> None:
    inputs = TrendInputs.on(TrendSettings(horizons=(2,), scales=()), market())
    assert inputs.names == ("return_2",)
    assert inputs.asked == ("return_2", "volatility_720")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizons": "5d"}, "horizons has '5d'"),
        ({"horizons": ()}, "horizons is empty"),
        ({"horizons": (0,)}, "duration is 0"),
        ({"horizons": (True,)}, "duration is True"),
        ({"horizons": ("five",)}, "five"),
        ({"scales": ("8d", "24d")}, "scales has '8d'"),
        ({"scales": (("8d",),)}, "give pairs"),
        ({"price_window": 1.5}, "duration is 1.5"),
        ({"horizon": (1,)}, "did you mean 'horizons'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(TrendSettings, settings, "inputs")


def test_too_many_bars_are_refused_with_a_mend() -> None:
    with pytest.raises(SettingsError, match=r"138240 bars of 1m.*resample to slower bars"):
        TrendInputs.on(TrendSettings(), market(timeframe="1m"))
