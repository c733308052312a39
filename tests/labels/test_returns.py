"""Next-bar direction, horizon return and meta-labels, by hand and by prefix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.markets import candles, walk
from tradewind import labels
from tradewind.core.errors import SettingsError
from tradewind.core.types import Labels


def bar(close: float) -> tuple[float, float, float, float]:
    return (close, close, close, close)


def test_horizon_return_steps_over_missing_bars():
    market = candles([bar(100), bar(110), None, bar(121), bar(100)])
    y = labels.horizon_return(market, 2)
    assert y.values[:, 0] == pytest.approx([0.21, 100 / 110 - 1, np.nan, np.nan, np.nan], nan_ok=True)
    assert y.end[:, 0].tolist() == [3, 4, -1, -1, -1]
    assert y.known[:2, 0].tolist() == market.known[[3, 4]].tolist() and (y.known[2:, 0] == labels.NEVER).all()
    assert y.kind == "return" and y.horizon == 2 and (y.weights == 1).all()


def test_next_bar_direction_calls_an_unchanged_close_not_up():
    y = labels.next_bar_direction(candles([bar(100), bar(101), None, bar(101), bar(99)]))
    assert y.values[:, 0] == pytest.approx([1, -1, np.nan, -1, np.nan], nan_ok=True)
    assert y.end[:, 0].tolist() == [1, 3, -1, 4, -1] and y.classes == (-1.0, 1.0)


def test_nothing_is_answered_in_a_market_shorter_than_the_horizon():
    y = labels.horizon_return(candles([bar(1), bar(2)]), 5)
    assert np.isnan(y.values).all() and (y.end == -1).all()
    with pytest.raises(SettingsError, match="horizon is 0; it is a whole number, at least 1"):
        labels.horizon_return(candles([bar(1)]), 0)


@pytest.mark.parametrize(
    ("name", "given_"), [("next-bar", {}), ("horizon-return", {"horizon": 7}), ("triple-barrier", {"horizon": 6, "span": 10})]
)
@given(seed=st.integers(0, 500), cut=st.integers(1, 120))
@settings(max_examples=25, deadline=None)
def test_what_is_known_at_a_cut_is_what_the_bars_up_to_it_say(name, given_, seed, cut):
    market = walk(120, seed)
    whole, part = labels.label(name, **given_)(market), labels.label(name, **given_)(market[:cut])
    known = whole.known_by(int(market.known[cut - 1]))
    assert np.array_equal(known.values[:cut], part.values, equal_nan=True)
    assert np.isnan(known.values[cut:]).all()
    answered = ~np.isnan(part.values)
    assert (whole.end[:cut][answered] == part.end[answered]).all() and (whole.known[:cut][answered] == part.known[answered]).all()
    assert (part.end[~answered] == -1).all() and (part.known[~answered] == labels.NEVER).all()
    assert (whole.known == np.where(whole.end >= 0, market.known[whole.end], labels.NEVER)).all()


def test_meta_label_asks_only_where_there_was_a_bet():
    end = np.array([[1], [2], [3], [4], [-1]])
    first = Labels(np.array([[1.0], [1.0], [-1.0], [0.0], [np.nan]]), end * 10, end, np.ones((5, 1)), (-1.0, 0.0, 1.0), 1)
    y = labels.meta_label(np.array([[1.0], [-0.5], [-1.0], [1.0], [1.0]]), first)
    assert y.values[:, 0] == pytest.approx([1, 0, 1, 0, np.nan], nan_ok=True)
    idle = labels.meta_label(np.array([[0.0], [np.nan], [1.0], [1.0], [1.0]]), first)
    assert np.isnan(idle.values[:2]).all() and (idle.end[:2] == -1).all() and (idle.known[:2] == labels.NEVER).all()
    with pytest.raises(SettingsError, match="must be alike"):
        labels.meta_label(np.ones((4, 1)), first)


def test_unknown_names_and_settings_are_met_with_a_suggestion():
    assert labels.names() == ["horizon-return", "multi-horizon", "next-bar", "triple-barrier"]
    with pytest.raises(SettingsError, match="did you mean 'triple-barrier'"):
        labels.label("triple-barier")
    with pytest.raises(SettingsError, match="did you mean 'horizon'"):
        labels.label("horizon-return", horzon=3)
    with pytest.raises(SettingsError, match="takes none"):
        labels.label("next-bar", horizon=3)
