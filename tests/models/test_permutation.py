from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.types import Features, Forecast, Labels
from tradewind.models.base import Forecaster
from tradewind.models.permutation import Importance, block_order, permutation_importance, row_losses

from .lessons import features, labels, lesson, small


class Believer(Forecaster):
    """Answers with a fixed sum of its inputs: what it leans on is known."""

    def __init__(self, slopes: tuple[float, ...], window: int = 1) -> None:
        self.slopes, self.window = slopes, window

    def fit(self, X: Features, y: Labels) -> Believer:
        return self

    def predict(self, X: Features) -> Forecast:
        kernel = np.ones(self.window) / self.window
        score = X.values @ np.array(self.slopes)
        if self.window > 1:
            score = np.stack([np.convolve(column, kernel)[: len(column)] for column in score.T], axis=1)
            score[: self.window - 1] = np.nan
        return Forecast(mean=score)


def slow(n: int, random: np.random.Generator, memory: float = 0.97) -> np.ndarray[Any, Any]:
    """An autoregression of unit variance that remembers for some 1 / (1 - memory) rows."""
    noise, path = random.standard_normal(n) * np.sqrt(1.0 - memory**2), np.empty(n)
    path[0] = random.standard_normal()
    for t in range(1, n):
        path[t] = memory * path[t - 1] + noise[t]
    return path


@given(n=st.integers(2, 200), block=st.integers(1, 60), seed=st.integers(0, 1000))
def test_an_order_is_a_permutation_that_keeps_its_blocks(n: int, block: int, seed: int) -> None:
    order = block_order(n, block, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(n))
    together = (np.diff(order) % n == 1).sum()
    assert together >= n - 1 - (-(-n // block) - 1)


@pytest.mark.parametrize(("name", "classes"), [("logistic", (-1.0, 1.0)), ("ridge", ()), ("random-forest", (-1.0, 0.0, 1.0))])
def test_the_one_column_that_tells_the_answer_is_found(name: str, classes: tuple[float, ...]) -> None:
    X, y = lesson(400, classes=classes)
    model = small(name).fit(X[:250], y[:250])
    found = permutation_importance(model, X[250:], y[250:], repeats=20, block=5)
    assert int(np.argmax(found.mean)) == 0 and found.interval[0][0] > 0 and found.chance[0] == pytest.approx(1 / 21)
    assert np.abs(found.mean[1:]).max() < 0.2 * found.mean[0]


def test_golden_value_of_a_known_model() -> None:
    random = np.random.default_rng(0)
    X = features(random.standard_normal((20_000, 1, 2)), warmup=0)
    y = labels(X.values[:, :, 0] * 2.0)
    found = permutation_importance(Believer((2.0, 0.0)), X, y, repeats=5, block=10)
    # Squared error of a shuffled x: E (2x - 2x')^2 = 8; of an unused column nothing changes.
    assert found.loss == 0.0 and found.mean[0] == pytest.approx(8.0, rel=0.03) and np.all(found.increase[1] == 0.0)
    assert found.unit == "squared error" and found.rows == 20_000


def test_a_useless_slow_column_is_called_important_by_single_rows_and_not_by_blocks() -> None:
    """Both the column and the answer remember; they have nothing to do with each other, so nine in ten intervals should hold 0."""
    alarms = {1: 0, 60: 0}
    draws = 60
    for draw in range(draws):
        random = np.random.default_rng(draw)
        useless, answer = slow(600, random), slow(600, random)
        X, y = features(useless[:, None, None], warmup=0), labels(answer[:, None])
        for block in alarms:
            found = permutation_importance(Believer((0.3,)), X, y, block=block, repeats=39, seed=draw)
            low, high = found.interval
            alarms[block] += bool(low[0] > 0.0 or high[0] < 0.0)
    assert alarms[1] / draws > 0.5
    assert alarms[60] / draws < 0.25


def test_a_useful_slow_column_is_found_by_blocks() -> None:
    found = 0
    for draw in range(20):
        random = np.random.default_rng(draw)
        useful, noise = slow(600, random), slow(600, random)
        X, y = features(useful[:, None, None], warmup=0), labels((useful + noise)[:, None])
        found += bool(permutation_importance(Believer((1.0,)), X, y, block=60, repeats=39, seed=draw).chance[0] <= 0.05)
    assert found >= 18


def test_shuffled_single_rows_make_windows_that_never_were() -> None:
    """A mean over a window of a slow column: single rows in random order have next to no mean left, which no true window has."""
    random = np.random.default_rng(1)
    X = features(slow(2000, random)[:, None, None], warmup=0)
    y = labels(np.zeros((2000, 1)))
    model = Believer((1.0,), window=20)
    spread = float(np.nanmean(model.predict(X).score() ** 2))
    kept, broken = (spread + permutation_importance(model, X, y, block=block, repeats=5).mean[0] for block in (100, 1))
    assert kept == pytest.approx(spread, rel=0.25) and broken < 0.2 * spread


def test_the_default_block_is_the_longer_of_horizon_and_window() -> None:
    X, y = lesson(200, classes=())
    assert permutation_importance(Believer((1.0, 0, 0, 0), window=7), X, y, repeats=1).block == 7
    assert permutation_importance(Believer((1.0, 0, 0, 0)), X, replace(y, horizon=12), repeats=1).block == 12


def test_only_rows_from_first_on_count_and_equal_seeds_give_equal_bits() -> None:
    X, y = lesson(200, classes=())
    model = small("ridge").fit(X, y)
    one, two = (permutation_importance(model, X, y, first=150, repeats=3, block=4, names=["x0"]) for _ in range(2))
    assert one.increase.tobytes() == two.increase.tobytes() and one.names == ("x0",) and one.rows < 101
    spoiled = replace(y, values=np.where(np.arange(200)[:, None] < 150, 99.0, y.values))
    assert permutation_importance(model, X, spoiled, first=150, repeats=3, block=4, names=["x0"]).loss == one.loss
    alone = permutation_importance(model, X, y, first=150, repeats=3, block=4)
    assert alone.increase[0].tobytes() == one.increase[0].tobytes()


def test_missing_rows_stay_missing() -> None:
    X, y = lesson(300, classes=())
    model = small("ridge").fit(X, y)
    answered = np.isfinite(model.predict(X).score() + y.values)
    assert permutation_importance(model, X, y, repeats=2).rows == answered.sum() < answered.size


def test_log_loss_of_each_row() -> None:
    probabilities = np.array([[[0.2, 0.3, 0.5]], [[0.0, 0.0, 1.0]], [[np.nan] * 3]])
    losses, unit = row_losses(
        Forecast(probabilities=probabilities, classes=(-1.0, 0.0, 1.0)), labels(np.array([[0.0], [-1.0], [1.0]]), (-1.0, 0.0, 1.0))
    )
    assert unit == "nats of log loss" and losses[0, 0] == pytest.approx(-np.log(0.3)) and losses[1, 0] == pytest.approx(-np.log(1e-15))
    assert np.isnan(losses[2, 0])


def test_parts_are_joined_by_their_rows() -> None:
    one, two = (
        Importance(("a",), loss, "nats", rows, block, np.array([[gain, -gain]]))
        for loss, rows, block, gain in ((1.0, 30, 5, 0.3), (2.0, 10, 7, 0.1))
    )
    whole = Importance.join([one, two])
    assert whole.loss == pytest.approx(1.25) and whole.rows == 40 and whole.block == 7
    assert whole.increase == pytest.approx(np.array([[0.25, -0.25]])) and whole.chance == pytest.approx([2 / 3])
    with pytest.raises(DataError, match="cannot be joined"):
        Importance.join([one, replace(two, names=("b",))])


def test_faults() -> None:
    X, y = lesson(50, classes=())
    model = small("ridge").fit(X, y)
    with pytest.raises(DataError, match="none of the 0 rows"):
        permutation_importance(model, X, y, first=50)
    with pytest.raises(DataError, match="'volume'"):
        permutation_importance(model, X, y, names=["volume"])
    for bad in ({"repeats": 0}, {"block": 0}, {"first": -1}):
        with pytest.raises(SettingsError):
            permutation_importance(model, X, y, **bad)  # type: ignore[arg-type]
