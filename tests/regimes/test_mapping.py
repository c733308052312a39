"""Seven regimes read as six and as four."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import DataError, SettingsError
from tradewind.data import synthetic
from tradewind.regimes import FOUR, SEVEN, SIX, Regimes, detector, mapped, matrix, project


@pytest.mark.parametrize(("onto", "names"), [("seven", SEVEN), ("six", SIX), ("four", FOUR)])
def test_every_row_is_shared_out_wholly_and_every_regime_is_reached(onto: str, names: tuple[str, ...]) -> None:
    shares = matrix(onto)
    assert shares.shape == (7, len(names))
    assert (shares >= 0).all()
    np.testing.assert_array_equal(shares.sum(axis=1), 1.0)
    assert (shares.sum(axis=0) > 0).all()


def test_what_each_regime_is_called_elsewhere() -> None:
    def where(name: str, onto: str, names: tuple[str, ...]) -> dict[str, float]:
        row = matrix(onto)[SEVEN.index(name)]
        return {names[k]: float(row[k]) for k in np.flatnonzero(row)}

    assert where("trending_bull", "six", SIX) == {"trend_up": 1.0}
    assert where("crisis", "six", SIX) == {"trend_down": 0.5, "high_volatility": 0.5}
    assert where("low_volatility_range", "six", SIX) == {"low_volatility": 0.5, "sideways": 0.5}
    assert where("trending_bear", "four", FOUR) == {"bear": 1.0}
    assert where("low_volatility_range", "four", FOUR) == {"sideways": 1.0}
    assert where("breakout", "four", FOUR) == {"bull": 0.5, "bear": 0.5}


@given(seed=st.integers(0, 10_000), onto=st.sampled_from(["seven", "six", "four"]))
def test_distributions_stay_distributions_and_one_row_is_as_good_as_many(seed: int, onto: str) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(7), (6, 2))
    out = project(probabilities, onto)
    np.testing.assert_allclose(out.sum(axis=-1), 1.0)
    np.testing.assert_allclose(out, probabilities @ matrix(onto))
    assert np.stack([project(row, onto) for row in probabilities]).tobytes() == out.tobytes()


def test_regimes_are_mapped_bar_by_bar_and_holes_stay() -> None:
    market = synthetic.gappy(200, symbols=2, missing=0.2).market
    found = detector("rules", fast=5, slow=15, memory=40).filter(market)
    four = mapped(found, "four")
    assert four.names == FOUR
    assert four.symbols == found.symbols
    np.testing.assert_array_equal(four.current == -1, found.current == -1)
    np.testing.assert_array_equal(four.known, found.known)


def test_what_cannot_be_mapped() -> None:
    empty = Regimes(("calm", "turbulent"), np.full((1, 1, 2), 0.5), np.zeros(1, np.int64), np.ones(1, np.int64), ("X",))
    with pytest.raises(DataError, match="calm, turbulent"):
        mapped(empty, "four")
    with pytest.raises(SettingsError, match="did you mean 'four'"):
        matrix("fuor")
