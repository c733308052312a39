from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tradewind.core.errors import SettingsError
from tradewind.simulate.costs import Costs


def test_defaults_are_ten_and_two_basis_points_at_the_next_open() -> None:
    costs = Costs()
    assert (costs.fee_bps, costs.slippage_bps, costs.latency, costs.max_leverage, costs.min_trade) == (10.0, 2.0, 1, 1.0, 0.0)
    assert costs.rates()[:2] == pytest.approx([0.001, 0.0002])


def test_zero_is_free() -> None:
    assert Costs.zero(latency=3) == Costs(fee_bps=0, slippage_bps=0, latency=3)
    assert (Costs.zero().rates()[:3] == 0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fee_bps", -1),
        ("fee_bps", 10_000),
        ("fee_bps", float("nan")),
        ("fee_bps", "ten"),
        ("fee_bps", True),
        ("slippage_bps", -0.1),
        ("slippage_bps", float("inf")),
        ("slippage_volatility", -1),
        ("volatility_bars", 0),
        ("latency", 0),
        ("latency", -1),
        ("latency", 1.5),
        ("latency", True),
        ("max_leverage", 0),
        ("max_leverage", -1),
        ("min_trade", -0.01),
        ("min_trade", 1),
        ("min_trade", None),
    ],
)
def test_impossible_values_name_the_setting(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        Costs(**{name: value})


def test_round_trip_through_plain_numbers() -> None:
    costs = Costs(fee_bps=np.float64(7), slippage_volatility=0.1, latency=np.int64(2), max_leverage=3, min_trade=0.01)
    plain = costs.to_dict()
    assert {type(value) for value in plain.values()} == {int, float}
    assert Costs.from_dict(plain) == costs


def test_unknown_settings_get_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean 'slippage_bps'"):
        Costs.from_dict({"slipage_bps": 2})


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Costs().fee_bps = 5.0  # type: ignore[misc]
