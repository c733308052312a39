"""Scalers know the training part or the past, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import DataError, NotFitted, SettingsError, StateError
from tradewind.core.types import Features, State
from tradewind.features import RollingStandardiser, Standardiser

from .conftest import build_market


def features(values: np.ndarray, warmup: int = 0) -> Features:
    times = np.arange(len(values), dtype=np.int64)
    names = tuple(f"f{i}" for i in range(values.shape[2]))
    return Features(names, values, warmup, times, times + 1, tuple(f"S{i}" for i in range(values.shape[1])))


def test_hand_computed() -> None:
    X = features(np.array([[[1.0, 5.0]], [[3.0, 5.0]], [[np.nan, 5.0]]]))
    scaler = Standardiser().fit(X)
    np.testing.assert_array_equal(scaler.mean, [2.0, 5.0])
    np.testing.assert_array_equal(scaler.deviation, [1.0, 1.0])  # the second feature is constant
    np.testing.assert_array_equal(scaler.transform(X).values[:, 0], [[-1.0, 0.0], [1.0, 0.0], [np.nan, 0.0]])


def test_pooled_and_per_symbol() -> None:
    X = tw.features.compute(build_market(400, symbols=3, gaps=0.1), "standard")
    pooled = Standardiser().fit(X).transform(X).values
    np.testing.assert_allclose(np.nanmean(pooled, axis=(0, 1)), 0.0, atol=1e-9)
    moving = np.nanstd(X.values, axis=(0, 1)) > 1e-9
    np.testing.assert_allclose(np.nanstd(pooled, axis=(0, 1))[moving], 1.0, rtol=1e-9)
    each = Standardiser(per_symbol=True).fit(X).transform(X).values
    np.testing.assert_allclose(np.nanmean(each, axis=0), 0.0, atol=1e-9)


def test_what_comes_later_does_not_count() -> None:
    X = tw.features.compute(build_market(300, symbols=2), "relative")
    changed = dataclasses.replace(X, values=np.where(np.arange(300)[:, None, None] < 250, X.values, 1e9))
    before, after = Standardiser().fit(X[:250]), Standardiser().fit(changed[:250])
    assert before.state() == after.state()
    rolling = RollingStandardiser(30)
    np.testing.assert_array_equal(rolling.transform(X).values[:250], rolling.transform(changed).values[:250])


def test_constant_in_spite_of_rounding() -> None:
    X = features(np.full((1_000, 1, 1), 0.1))
    assert Standardiser().fit(X).deviation[0] == 1.0
    np.testing.assert_allclose(Standardiser().fit(X).transform(X).values, 0.0, atol=1e-15)


def test_state_round_trip_and_refusals() -> None:
    X = tw.features.compute(build_market(300, symbols=2), "relative")
    scaler = Standardiser(per_symbol=True).fit(X)
    twin = Standardiser().restore(scaler.state())
    np.testing.assert_array_equal(twin.transform(X).values, scaler.transform(X).values)
    with pytest.raises(NotFitted, match="call fit"):
        Standardiser().transform(X)
    with pytest.raises(DataError, match="fitted on the features"):
        scaler.transform(X.select(X.names[:3]))
    with pytest.raises(DataError, match="per symbol"):
        scaler.transform(dataclasses.replace(X, symbols=("A", "B")))
    with pytest.raises(StateError, match="lacks"):
        Standardiser().restore(State())
    with pytest.raises(SettingsError, match="at least 2"):
        RollingStandardiser(1)


def test_rolling_against_numpy() -> None:
    random = np.random.default_rng(0)
    values = 1e6 + random.normal(size=(200, 2, 3))
    values[40, 0] = np.nan
    values[:, 1, 2] = 7.0
    out = RollingStandardiser(20).transform(features(values))
    assert out.warmup == 19
    assert np.isnan(out.values[:19]).all()
    for t in (19, 40, 45, 60, 199):
        window = values[t - 19 : t + 1]
        deviation = np.nanstd(window, axis=0)
        with np.errstate(invalid="ignore"):
            wanted = np.where(deviation > 0, (values[t] - np.nanmean(window, axis=0)) / np.where(deviation > 0, deviation, 1.0), 0.0)
        np.testing.assert_allclose(out.values[t], np.where(np.isnan(values[t]), np.nan, wanted), rtol=1e-7, atol=1e-9)
    assert len(RollingStandardiser(20).transform(features(values[:5]))) == 5
