"""Tuning a forecaster: on the training part alone, by a proper loss, and then trained and judged on what it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluate.small import market
from tradewind import labels
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.files import read_json
from tradewind.core.types import Forecast
from tradewind.evaluate.tuning.tune_forecaster import forecast_loss, tune_forecaster
from tradewind.models.registry import forecaster

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

QUICK = {"trees": 10, "patience": 5}


def test_losses_by_hand() -> None:
    y = labels.label("next-bar")(market(4))
    y = replace(y, values=np.array([[1.0], [-1.0], [1.0], [np.nan]]), weights=np.array([[1.0], [1.0], [2.0], [1.0]]))
    chance = np.array([[[0.2, 0.8]], [[0.5, 0.5]], [[1.0, 0.0]], [[0.5, 0.5]]])
    expected = (-np.log(0.8) - np.log(0.5) - 2 * np.log(1e-15)) / 4
    assert forecast_loss(Forecast(probabilities=chance, classes=(-1.0, 1.0)), y) == pytest.approx(expected)
    moved = replace(y, values=np.array([[0.1], [-0.2], [np.nan], [0.3]]), weights=np.ones((4, 1)), classes=())
    assert forecast_loss(Forecast(mean=np.array([[0.0], [0.0], [0.0], [np.nan]])), moved) == pytest.approx((0.01 + 0.04) / 2)
    quantiles = np.array([[[0.0, 0.2]], [[0.0, 0.2]], [[0.0, 0.2]], [[np.nan, np.nan]]])
    given = Forecast(quantiles=quantiles, levels=(0.1, 0.9))
    assert forecast_loss(given, moved) == pytest.approx(np.mean([0.1 * 0.1, 0.1 * 0.1, 0.9 * 0.2, 0.1 * 0.4]))
    both = replace(moved, ahead=np.stack([moved.values, 2 * moved.values], axis=2), horizons=(1, 2))
    ahead = Forecast(quantiles=quantiles, levels=(0.1, 0.9), ahead=np.stack([quantiles, 2 * quantiles], axis=2), horizons=(1, 2))
    assert forecast_loss(ahead, both) == pytest.approx(1.5 * forecast_loss(given, moved))
    with pytest.raises(DataError, match="no row has both"):
        forecast_loss(Forecast(mean=np.full((4, 1), np.nan)), moved)


def test_only_the_training_part_is_seen_and_the_study_goes_on(tmp_path: Path) -> None:
    bars = market(700, seed=2)
    other = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for prices in other.values():
        prices[610:] *= np.exp(0.05 * np.sin(np.arange(90)))[:, None]
    heard: list[int] = []
    tuned = tune_forecaster(bars, "lightgbm", tmp_path / "a", search=QUICK, trials=6, timeout=0, progress=lambda _, k, n: heard.append(k))
    # The 700 bars leave 501 rows with all features; the training part ends before row 610 of the market.
    same = tune_forecaster(replace(bars, **other), "lightgbm", tmp_path / "b", search=QUICK, trials=6, timeout=0)
    assert tuned.table == same.table and tuned.settings == same.settings and heard == list(range(7))
    assert tuned.best.score == min(r.score for r in tuned.table if r.outcome == "finished") <= tuned.table[0].score
    assert tuned.settings.items() >= QUICK.items() and read_json(tmp_path / "a" / "best.json")["settings"] == dict(tuned.settings)
    forecaster("lightgbm", **tuned.settings)
    again = tune_forecaster(bars, "lightgbm", tmp_path / "a", search=QUICK, trials=6, timeout=0)
    assert again.table == tuned.table and "6 trials" in again.to_text()
    with pytest.raises(SettingsError, match="a study of other fixed"):
        tune_forecaster(bars, "lightgbm", tmp_path / "a", search={**QUICK, "trees": 11}, trials=6, timeout=0)


def test_what_has_nothing_to_tune_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'no-change' has no setting to search; those that have: .*lightgbm"):
        tune_forecaster(market(300), "no-change", tmp_path)
    with pytest.raises(SettingsError, match="did you mean 'trees'"):
        tune_forecaster(market(300), "lightgbm", tmp_path, search={"tres": 3})
