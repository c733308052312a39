"""Early stopping, and what is kept of it."""

from __future__ import annotations

import numpy as np
from tests.models.lessons import lesson, numbers

from tradewind.models.boosting import LightGBM


def _trees(model: LightGBM) -> int:
    return _text(model).count("\nTree=")


def test_noise_stops_early_and_signal_later() -> None:
    noise, answer = lesson(n=600, classes=(-1.0, 1.0), noise=200.0)
    signal, better = lesson(n=600, classes=(-1.0, 1.0), noise=0.5)
    stopped = LightGBM(trees=300, learning_rate=0.1, patience=10).fit(noise, answer)
    learned = LightGBM(trees=300, learning_rate=0.1, patience=10).fit(signal, better)
    assert _trees(stopped) < _trees(learned) < 300
    assert _trees(LightGBM(trees=40, learning_rate=0.1, validation=0.0).fit(noise, answer)) == 40


def test_the_tail_does_not_teach() -> None:
    X, y = lesson(n=600, symbols=1, classes=(-1.0, 1.0))
    values = y.values.copy()
    values[510:] = -values[510:]
    flipped = type(y)(values, y.known, y.end, y.weights, y.classes, 1)
    settings = {"trees": 5, "learning_rate": 0.1, "patience": 1000, "validation": 0.15}
    one, two = LightGBM(**settings).fit(X, y), LightGBM(**settings).fit(X, flipped)
    # The first tree is grown on the earlier rows alone, whatever the tail says about how many to keep.
    assert _first_tree(one) == _first_tree(two)
    assert np.nanmean(np.sign(two.predict(X).score()[:500]) == values[:500]) > 0.8
    assert numbers(one.predict(X)).shape == (600, 1, 2)


def _first_tree(model: LightGBM) -> str:
    text = _text(model)
    return text[text.index("\nTree=0") :].split("\n\n")[0]


def _text(model: LightGBM) -> str:
    return model.state().arrays["model"].tobytes().decode()
