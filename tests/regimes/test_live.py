"""A filter beside a growing market: the rows of the batch, whatever it is shown and in whatever order."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tradewind as tw
from strategies.markets import gappy
from strategies.told import Told, telling
from tradewind.core.errors import NotFitted
from tradewind.regimes import Live

MARKET = telling(gappy(bars=240, symbols=2))


def told() -> Told:
    return Told().fit(MARKET)


@pytest.mark.parametrize("steps", [(1,) * 200, (60, 1, 1, 1, 50), (150,)], ids=["one by one", "in leaps", "at once"])
@pytest.mark.parametrize("name", ["told", "rules"])
def test_rows_are_those_of_the_batch(name: str, steps: tuple[int, ...]) -> None:
    detector = told() if name == "told" else tw.regimes.detector("rules", fast=5, slow=15, memory=50, hold=5)
    whole = detector.filter(MARKET).probabilities
    live, at = Live(detector), 0
    for step in steps:
        rows, anew = live.follow(MARKET[: at + step])
        assert rows.tobytes() == whole[at : at + step].tobytes() and anew == (at == 0)
        at += step
        assert live.row.tobytes() == whole[at - 1].tobytes()


def test_asking_again_gives_nothing_new_and_another_market_begins_anew() -> None:
    live = Live(told())
    live.follow(MARKET[:100])
    row = live.row
    rows, anew = live.follow(MARKET[:100])
    assert rows.shape == (0, 2, 2) and not anew and live.row.tobytes() == row.tobytes()
    others = (MARKET[:90], MARKET[5:120], telling(gappy(bars=240, symbols=2, seed=3))[:120], MARKET.select(["S1", "S0"])[:100])
    for other in others:
        one, two = copy.deepcopy(live), Live(told())
        given, anew = one.follow(other)
        assert anew and given.tobytes() == two.follow(other)[0].tobytes()
        assert given.tobytes() == told().filter(other).probabilities.tobytes()


def test_a_filter_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFitted):
        Live(Told()).follow(MARKET)


def test_columns_are_the_filter_and_join_other_features() -> None:
    X = tw.features.compute(MARKET, ["return_1", "rsi_9"])
    both = X.join(tw.regimes.columns(told(), MARKET))
    assert both.names == ("return_1", "rsi_9", "regime_bull", "regime_bear")
    assert both.values[:, :, 2:].tobytes() == told().filter(MARKET).probabilities.tobytes()
    assert tw.regimes.columns(told(), MARKET).warmup == 1 and both.warmup == 9
    assert tw.regimes.columns(told(), MARKET[:1]).warmup == 1


def test_the_rules_as_features_are_the_rules_as_a_filter() -> None:
    windows = {"fast": 5, "slow": 15, "memory": 50, "hold": 5}
    rules = tw.regimes.columns(tw.regimes.detector("rules", **windows), MARKET)
    named = tw.features.compute(MARKET, [f"{name}_5_15_50_5" for name in rules.names])
    assert named.values.tobytes() == rules.values.tobytes() and named.warmup == rules.warmup == 20
    customary = tw.features.compute(MARKET, "regime")
    assert customary.values.tobytes() == tw.regimes.detector("rules").filter(MARKET).probabilities.tobytes()
    assert np.isfinite(customary.values).any()
