"""Returns over several horizons, by hand, by prefix and beside the one-horizon label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.markets import candles, walk
from tradewind import labels
from tradewind.core.errors import SettingsError


def bar(close: float) -> tuple[float, float, float, float]:
    return (close, close, close, close)


def test_returns_over_one_and_three_bars_by_hand() -> None:
    market = candles([bar(100), bar(110), None, bar(121), bar(100), bar(90)])
    y = labels.multi_horizon(market, (1, 3))
    # The third later bar of row 0 is in row 4, for row 2 has none; row 3 has only two later bars.
    assert y.ahead is not None and y.horizons == (1, 3) and y.horizon == 3 and y.kind == "return"
    assert y.ahead[:2, 0].tolist() == [[110 / 100 - 1, 100 / 100 - 1], [121 / 110 - 1, 90 / 110 - 1]]
    assert np.isnan(y.ahead[2:, 0]).all()
    assert y.values[:, 0].tobytes() == y.ahead[:, 0, 1].tobytes()
    assert y.end[:, 0].tolist() == [4, 5, -1, -1, -1, -1]
    assert y.known[:2, 0].tolist() == market.known[[4, 5]].tolist() and (y.known[2:, 0] == labels.NEVER).all()
    short = labels.multi_horizon(market, (1, 3), horizon=1)
    assert short.horizon == 1 and short.values[:2, 0].tolist() == [110 / 100 - 1, 121 / 110 - 1]
    assert (short.end == y.end).all() and (short.known == y.known).all()


@given(seed=st.integers(0, 300), cut=st.integers(1, 90), horizons=st.sets(st.integers(1, 20), min_size=1, max_size=4), data=st.data())
@settings(max_examples=40, deadline=None)
def test_each_step_is_the_one_horizon_label_and_a_prefix_knows_as_much(seed, cut, horizons, data) -> None:
    market, asked = walk(90, seed), tuple(sorted(horizons))
    horizon = data.draw(st.sampled_from(asked))
    y = labels.multi_horizon(market, asked, horizon)
    longest = labels.horizon_return(market, asked[-1])
    assert (y.end == longest.end).all() and (y.known == longest.known).all()
    for step, bars in enumerate(asked):
        alone = labels.horizon_return(market, bars).values
        assert np.array_equal(y.ahead[:, :, step], np.where(np.isnan(longest.values), np.nan, alone), equal_nan=True)
    part, known = labels.multi_horizon(market[:cut], asked, horizon), y.known_by(int(market.known[cut - 1]))
    assert np.array_equal(known.values[:cut], part.values, equal_nan=True) and np.isnan(known.values[cut:]).all()
    assert np.array_equal(known.ahead[:cut], part.ahead, equal_nan=True) and np.isnan(known.ahead[cut:]).all()


def test_by_name_and_what_cannot_be() -> None:
    market = walk(100, 1)
    y = labels.label("multi-horizon")(market)
    assert y.horizons == (1, 5, 15, 60) and y.horizon == 60
    assert np.isnan(labels.multi_horizon(market[:10]).values).all()
    for wrong, message in [
        ({"horizons": ()}, "numbers of bars"),
        ({"horizons": 5}, "numbers of bars"),
        ({"horizons": (5, 1)}, "longer than the one before"),
        ({"horizons": (1, 1)}, "longer than the one before"),
        ({"horizons": (0, 1)}, "horizons is 0"),
        ({"horizons": (1, 5), "horizon": 4}, "one of the horizons"),
    ]:
        with pytest.raises(SettingsError, match=message):
            labels.label("multi-horizon", **wrong)(market)
    with pytest.raises(SettingsError, match="did you mean 'horizons'"):
        labels.label("multi-horizon", horizos=(1, 2))
