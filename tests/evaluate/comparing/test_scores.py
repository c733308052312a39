"""The scores of a comparison: equal to those of stats, with intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind import stats
from tradewind.core.types import Array, Forecast, Labels
from tradewind.evaluate.comparing.scores import Truth, losses, scores

N, SYMBOLS = 400, 2


def truth_of(values: Array, classes: tuple[float, ...] = (), realised: Array | None = None, **more: object) -> Truth:
    whole = np.ones(values.shape, dtype=np.int64)
    labels = Labels(values, whole, whole, np.ones(values.shape), classes, **more)  # type: ignore[arg-type]
    judged = np.isfinite(values)
    judged[3:5] = False
    return Truth(labels, values if realised is None else realised, judged)


def panel(seed: int, *more: int) -> Array:
    return np.random.default_rng(seed).normal(size=(N, SYMBOLS, *more))


def test_classes_are_scored_as_stats_scores_them() -> None:
    codes = np.sign(np.round(panel(1)))
    raw = np.exp(panel(2, 3))
    p = raw / raw.sum(axis=2, keepdims=True)
    truth = truth_of(codes, (-1.0, 0.0, 1.0), realised=panel(3))
    found = {name: score.value for name, score in scores([Forecast(probabilities=p, classes=(-1.0, 0.0, 1.0))], truth).items()}
    y, q = codes[truth.judged], p[truth.judged]
    golden = stats.classification(y, np.array([-1.0, 0.0, 1.0])[q.argmax(axis=1)], (-1.0, 0.0, 1.0))
    for name, other in (("accuracy", "accuracy"), ("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
        assert found[name] == pytest.approx(golden[other])
    up = (y == 1).astype(float)
    came = y[:, None] == np.array([-1.0, 0.0, 1.0])
    assert found["calibration error"] == pytest.approx(stats.calibration(up, q[:, 2]).error)
    assert found["IC"] == pytest.approx(stats.information_coefficient(panel(3)[truth.judged], q @ [-1.0, 0.0, 1.0]))
    assert found["log loss"] == pytest.approx(-np.log(q[came]).mean())
    assert found["Brier"] == pytest.approx(((q - came) ** 2).sum(axis=1).mean())


def test_two_classes_have_twice_the_brier_score_of_one() -> None:
    codes = np.where(panel(1) > 0, 1.0, -1.0)
    up = 1 / (1 + np.exp(-panel(2)))
    truth = truth_of(codes, (-1.0, 1.0))
    found = scores([Forecast(probabilities=np.stack([1 - up, up], axis=2), classes=(-1.0, 1.0))], truth)
    came, said = codes[truth.judged] == 1, up[truth.judged]
    assert found["Brier"].value == pytest.approx(2 * stats.brier(came, said))
    assert found["log loss"].value == pytest.approx(stats.log_loss(came, said))
    assert found["F1"].value == pytest.approx(stats.classification(codes[truth.judged], np.where(said > 0.5, 1.0, -1.0))["f1"])


def test_returns_are_scored_as_stats_scores_them() -> None:
    y, levels = 0.01 * panel(4), (0.05, 0.5, 0.95)
    quantiles = np.sort(0.01 * panel(5, 3), axis=2)
    mean = 0.3 * y + 0.01 * panel(6)
    truth = truth_of(y)
    found = {name: score.value for name, score in scores([Forecast(mean=mean, quantiles=quantiles, levels=levels)], truth).items()}
    came, said, drawn = y[truth.judged], mean[truth.judged], quantiles[truth.judged]
    assert found["MAE"] == pytest.approx(stats.mae(came, said))
    assert found["RMSE"] == pytest.approx(np.sqrt(np.mean((came - said) ** 2)))
    assert found["R2"] == pytest.approx(1 - np.sum((came - said) ** 2) / np.sum(came**2))
    assert found["IC"] == pytest.approx(stats.information_coefficient(came, said))
    assert found["CRPS"] == pytest.approx(stats.crps_quantiles(came, drawn, levels))
    assert found["quantile loss"] == pytest.approx(stats.crps_quantiles(came, drawn, levels) / 2)
    assert found["coverage of 90 %"] == pytest.approx(np.mean((came >= drawn[:, 0]) & (came <= drawn[:, 2])))
    point = scores([Forecast(mean=mean)], truth)
    assert point["CRPS"] == point["MAE"] and "quantile loss" not in point


def test_several_horizons_are_told_one_by_one() -> None:
    ahead, levels = 0.01 * panel(7, 2), (0.1, 0.5, 0.9)
    quantiles = np.sort(0.01 * panel(8, 2, 3), axis=3)
    truth = truth_of(ahead[:, :, 1], ahead=ahead, horizons=(1, 5), horizon=5)
    forecast = Forecast(quantiles[:, :, 1, 1], quantiles=quantiles[:, :, 1], levels=levels, ahead=quantiles, horizons=(1, 5))
    found = scores([forecast], truth)
    for step, horizon in enumerate((1, 5)):
        came, drawn = ahead[:, :, step][truth.judged], quantiles[:, :, step][truth.judged]
        assert found[f"MAE of {horizon}"].value == pytest.approx(stats.mae(came, drawn[:, 1]))
        assert found[f"quantile loss of {horizon}"].value == pytest.approx(stats.crps_quantiles(came, drawn, levels) / 2)
    assert found["MAE of 5"].value == pytest.approx(found["MAE"].value)


def test_an_interval_is_as_wide_as_theory_says_and_holds_the_value() -> None:
    y = 0.01 * np.random.default_rng(9).normal(size=(4_000, 1))
    truth = truth_of(y)
    score = scores([Forecast(mean=np.zeros_like(y))], truth)["MAE"]
    errors = np.abs(y[truth.judged])
    assert score.high - score.low == pytest.approx(2 * 1.645 * errors.std() / len(errors) ** 0.5, rel=0.15)
    assert score.low < score.value < score.high


def test_cells_of_one_bar_are_drawn_together() -> None:
    one = 0.01 * np.random.default_rng(9).normal(size=(1_000, 1))
    alone, twice = (scores([Forecast(mean=np.zeros_like(y))], truth_of(y))["MAE"] for y in (one, np.hstack([one, one])))
    assert twice.value == pytest.approx(alone.value)
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.slow
def test_ninety_per_cent_intervals_hold_the_truth_in_nine_of_ten() -> None:
    held = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        y = draw.normal(size=(500, 1))
        score = scores([Forecast(mean=0.4 * y + 0.8 * draw.normal(size=y.shape))], truth_of(y), seed)["IC"]
        # The rank correlation of normal variables with correlation 1 / sqrt(5).
        held += score.low <= 6 / np.pi * np.arcsin(5**-0.5 / 2) <= score.high
    assert 165 <= held <= 193


def test_seeds_are_averaged_and_their_ends_told() -> None:
    y = 0.01 * panel(4)
    truth = truth_of(y)
    members = [Forecast(mean=0.01 * panel(seed)) for seed in (20, 21, 22)]
    alone = [scores([member], truth)["MAE"] for member in members]
    score = scores(members, truth)["MAE"]
    assert score.value == pytest.approx(np.mean([each.value for each in alone])) and score.seeds == 3
    assert (score.least, score.greatest) == (min(each.value for each in alone), max(each.value for each in alone))
    assert score.high - score.low < max(each.high - each.low for each in alone)


def test_one_who_says_nothing_or_everything() -> None:
    y = 0.01 * panel(4)
    truth = truth_of(y)
    assert scores([Forecast(mean=np.zeros_like(y))], truth)["IC"].value == 0.0
    endless = np.stack([np.full(y.shape, -np.inf), np.full(y.shape, np.inf)], axis=2)
    found = scores([Forecast(mean=np.zeros_like(y), quantiles=endless, levels=(0.1, 0.9))], truth)
    assert found["CRPS"].value == np.inf and np.isnan(found["CRPS"].low)
    assert found["coverage of 80 %"].value == 1.0


def test_losses_are_those_of_judged_cells() -> None:
    y = 0.01 * panel(4)
    truth = truth_of(y)
    lost = losses(Forecast(mean=np.full(y.shape, 0.01)), truth)
    assert np.isnan(lost[3:5]).all() and lost[0, 0] == pytest.approx((y[0, 0] - 0.01) ** 2)
    codes = np.where(y > 0, 1.0, -1.0)
    half = Forecast(probabilities=np.full((*y.shape, 2), 0.5), classes=(-1.0, 1.0))
    assert (losses(half, truth_of(codes, (-1.0, 1.0)))[truth.judged] == 0.5).all()
