"""A user's own feature: honest ones agree in batch and stream, and what cannot be one is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError

from .conftest import FIELDS, build_market


@tw.features.feature(inputs=("high", "low"), warmup=0)
def spread(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    return high / low - 1.0


def test_it_is_named_after_its_function_and_can_be_called() -> None:
    assert (spread.name, spread.inputs, spread.warmup) == ("spread", ("high", "low"), 0)
    np.testing.assert_allclose(spread(np.array([2.0, 3.0]), np.array([1.0, 2.0])), [1.0, 0.5])


def test_it_stands_where_it_was_asked_for() -> None:
    market = build_market(50, symbols=2, gaps=0.2)
    X = tw.features.compute(market, ["rsi_7", spread, "return_1"])
    assert X.names == ("rsi_7", "spread", "return_1")
    np.testing.assert_array_equal(X.values[:, :, 1], market.high / market.low - 1.0)
    np.testing.assert_array_equal(X.values[:, :, 2], tw.features.compute(market, "return_1").values[:, :, 0])


def test_it_sees_only_bars_that_exist() -> None:
    market = build_market(60, symbols=2, gaps=0.3)

    @tw.features.feature(inputs="close", warmup=1, name="step")
    def anything(close: np.ndarray) -> np.ndarray:
        assert not np.isnan(close).any()
        return np.diff(close, prepend=np.nan)

    X = tw.features.compute(market, anything)
    for s in range(2):
        there = ~np.isnan(market.close[:, s])
        np.testing.assert_array_equal(X.values[there, s, 0], np.diff(market.close[there, s], prepend=np.nan))


def test_a_look_ahead_shows_in_the_stream() -> None:
    @tw.features.feature(inputs=("close",), warmup=1)
    def tomorrow(close: np.ndarray) -> np.ndarray:
        return np.append(close[1:], np.nan) / close - 1.0

    market = build_market(30)
    batch = tw.features.compute(market, tomorrow).values[:, 0, 0]
    stream = tw.features.Stream(tomorrow)
    rows = [stream.update(int(market.open_time[t]), *(float(getattr(market, f)[t, 0]) for f in FIELDS))[0] for t in range(30)]
    assert np.isfinite(batch[1:-1]).all()
    assert np.isnan(rows).all()


@pytest.mark.parametrize("answer", [np.zeros(3), 1.0, np.zeros((5, 1)), np.array(["a"] * 5)])
def test_wrong_answers_name_the_feature(answer: object) -> None:
    wrong = tw.features.feature(warmup=0, name="wrong")(lambda close: answer)
    with pytest.raises(DataError, match="'wrong' answered 5 bars"):
        tw.features.compute(build_market(5), wrong)


def test_impossible_declarations() -> None:
    with pytest.raises(SettingsError, match="did you mean 'close'"):
        tw.features.feature(inputs=("closes",))
    with pytest.raises(SettingsError, match="at least 0"):
        tw.features.feature(warmup=-1)
    with pytest.raises(SettingsError, match="at least one input"):
        tw.features.feature(inputs=())
    with pytest.raises(SettingsError, match="pass name="):
        tw.features.feature()(lambda close: close)
