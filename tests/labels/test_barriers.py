"""Triple barrier on candles worked by hand, and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.markets import candles, walk
from tradewind import labels
from tradewind.core.errors import SettingsError

FLAT = (100.0, 100.0, 100.0, 100.0)


def outcome(*after, horizon=3, width=0.1, **given_):
    """Value and end of the label at row 1, whose entry is the open of row 2; barriers `width` away."""
    market = candles([FLAT, FLAT, *after])
    y = labels.triple_barrier(market, horizon=horizon, span=1, minimum=width, weights="equal", **given_)
    return y.values[1, 0], y.end[1, 0]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([(100, 109, 91, 100), (100, 111, 95, 100)], (1.0, 3)),
        ([(100, 109, 91, 100), (100, 105, 89, 100)], (-1.0, 3)),
        ([(100, 111, 89, 100)], (-1.0, 2)),  # both in one bar: the loss first
        ([(100, 105, 95, 100)] * 3, (0.0, 4)),
        ([(100, 105, 95, 100)] * 2, (np.nan, -1)),  # the horizon is still open
        ([(100, 105, 95, 100), (120, 121, 119, 120)], (1.0, 3)),  # a gap through the gain
        ([(120, 125, 115, 120), (120, 133, 119, 120)], (1.0, 3)),  # the entry is the open, gap included, so 125 is no gain
        ([None, (100, 105, 95, 100), None, (100, 111, 95, 100)], (1.0, 5)),  # missing bars are stepped over
        ([(100, 105, 95, 100), None, None, (100, 105, 95, 100), (100, 101, 99, 100)], (0.0, 6)),
    ],
)
def test_by_hand(after, expected):
    assert outcome(*after) == pytest.approx(expected, nan_ok=True)


def test_touching_is_enough():
    assert outcome((100, 112.5, 95, 100), width=0.125) == (1.0, 2)
    assert outcome((100, 105, 87.5, 100), width=0.125) == (-1.0, 2)


def test_multiples_move_their_own_barrier():
    assert outcome((100, 111, 95, 100), upper=2.0)[1] == -1
    assert outcome((100, 121, 95, 100), upper=2.0) == (1.0, 2)
    assert outcome((100, 105, 94, 100), lower=0.5) == (-1.0, 2)


def test_no_label_without_a_bar_or_without_width():
    market = candles([FLAT, None, (100, 111, 95, 100)])
    assert np.isnan(labels.triple_barrier(market, span=1, minimum=0.1).values[1, 0])
    still = candles([FLAT] * 50)
    assert np.isnan(labels.triple_barrier(still, span=5).values).all()


def test_trailing_volatility_by_hand():
    closes = [100.0, 110.0, None, 99.0, 99.0]
    market = candles([None if c is None else (c, c, c, c) for c in closes])
    keep = 1 - 2 / 3
    second = np.sqrt((keep * 0.01 + 0.01) / (keep + 1))
    third = np.sqrt((keep**2 * 0.01 + keep * 0.01) / (keep**2 + keep + 1))
    assert labels.trailing_volatility(market, 2)[:, 0] == pytest.approx([np.nan, np.nan, np.nan, second, third], nan_ok=True)


@given(st.integers(0, 500), st.integers(1, 12), st.floats(0.3, 2.0), st.floats(0.3, 2.0))
@settings(max_examples=25, deadline=None)
def test_against_a_plain_loop(seed, horizon, upper, lower):
    market = walk(90, seed)
    y = labels.triple_barrier(market, horizon, upper, lower, span=5)
    width = labels.trailing_volatility(market, 5) * np.sqrt(horizon)
    for s in range(2):
        rows = np.flatnonzero(~np.isnan(market.close[:, s]))
        for place, t in enumerate(rows):
            later, value = rows[place + 1 : place + 1 + horizon], np.nan
            if len(later) and width[t, s] > 0:
                entry = market.open[later[0], s]
                down = market.low[later, s] <= entry * (1 - lower * width[t, s])
                up = market.high[later, s] >= entry * (1 + upper * width[t, s])
                if (down | up).any():
                    first = np.argmax(down | up)
                    value = -1.0 if down[first] else 1.0
                elif len(later) == horizon:
                    value = 0.0
            assert y.values[t, s] == pytest.approx(value, nan_ok=True)


def test_weights_are_uniqueness_with_a_mean_of_one():
    market = walk(300, 0)
    y = labels.triple_barrier(market, 6, span=10)
    answered = ~np.isnan(y.values)
    assert y.weights[answered].mean() == pytest.approx(1.0) and (y.weights[~answered] == 0).all()
    assert y.weights[answered] / y.weights[answered].max() == pytest.approx(
        labels.uniqueness(y)[answered] / labels.uniqueness(y)[answered].max()
    )


@pytest.mark.parametrize("given_", [{"horizon": 0}, {"upper": 0.0}, {"lower": -1.0}, {"minimum": -0.1}, {"span": 0}, {"weights": "unique"}])
def test_impossible_settings_are_refused(given_):
    with pytest.raises(SettingsError):
        labels.label("triple-barrier", **given_)(walk(20, 0))
