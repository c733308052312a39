"""A detector's reading of a market: what is counted, what it was fitted on, and that nothing later than a bar tells of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluate.small import market
from tests.strategies.told import Told, telling

import tradewind as tw
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.files import canonical_json
from tradewind.core.market import Market
from tradewind.evaluate.regime_reading import read, stays
from tradewind.regimes.base import Regimes
from tradewind.regimes.registry import CATALOGUE

FAST = {"fast": 5, "slow": 15, "memory": 50, "hold": 5}


@pytest.fixture(autouse=True)
def _told() -> object:
    tw.regimes.register("told", Told)
    yield
    CATALOGUE.entries.pop("told")


def by_hand(current: list[int], closes: list[float]) -> tuple[Regimes, Market]:
    """Regimes of one symbol, -1 for none, NaN for a bar that it lacks."""
    n = len(current)
    bars = market(n, symbols=2)
    close = np.array([closes, closes]).T
    alike = {name: np.where(np.isnan(close), np.nan, close) for name in ("open", "high", "low", "close", "volume")}
    alike = {name: np.stack([array[:, 0], np.full(n, 1.0)], axis=1) for name, array in alike.items()}
    p = np.full((n, 2, 2), np.nan)
    for t, regime in enumerate(current):
        if regime >= 0:
            p[t, 0] = np.eye(2)[regime]
    return Regimes(("a", "b"), p, bars.open_time, bars.known, bars.symbols), replace(bars, **alike)


def test_stays_by_hand() -> None:
    nan = math.nan
    regimes, bars = by_hand([-1, 0, 0, -1, 1, 1, 1, 0], [nan, 100.0, 110.0, nan, 99.0, 99.0, 198.0, 99.0])
    one, two = stays(regimes, bars, 0)
    # The bar without a regime is left out: the spell of a is two bars, the return after it leads to the bar after the gap.
    assert (one.regime, one.share, one.spells, one.mean_spell, one.longest) == ("a", 0.5, 2, 1.5, 2)
    assert (two.regime, two.share, two.spells, two.mean_spell, two.longest) == ("b", 0.5, 1, 3.0, 3)
    assert one.mean == pytest.approx((0.1 - 0.1) / 2) and one.volatility == pytest.approx(np.std([0.1, -0.1], ddof=1))
    assert one.error == pytest.approx(one.volatility / math.sqrt(2))
    assert two.mean == pytest.approx((0.0 + 1.0 - 0.5) / 3)


def test_a_regime_that_never_was_has_no_numbers() -> None:
    regimes, bars = by_hand([0, 0, 0], [1.0, 2.0, 1.0])
    one, two = stays(regimes, bars, 0)
    assert one.spells == 1 and one.share == 1.0 and two == replace(two, share=0.0, spells=0, mean_spell=0.0, longest=0)
    assert math.isnan(two.mean) and math.isnan(two.error) and math.isnan(two.volatility)
    assert [stay.spells for stay in stays(regimes, bars, 1)] == [0, 0]


def test_rules_are_shown_whole_and_a_learner_only_after_what_it_learned_from() -> None:
    bars = telling(market(200, symbols=2))
    rules = read(bars, "rules", FAST)
    assert rules.fitted_on == 0 and len(rules.market) == 200
    assert rules.regimes.probabilities.tobytes() == tw.regimes.detector("rules", **FAST).filter(bars).probabilities.tobytes()
    told = read(bars, "told", train=0.6)
    assert (told.fitted_on, told.trained, len(told.market)) == (120, 0.6, 80)
    # It was warm when the shown part began, since it saw the bars before.
    assert told.regimes.probabilities.tobytes() == Told().fit(bars).filter(bars).probabilities[120:].tobytes()
    assert sum(stay.share for stay in told.stays["S0"]) == pytest.approx(1.0)
    last = read(bars, "told", train=0.6, last=30)
    assert len(last.market) == 30 and last.regimes.probabilities.tobytes() == told.regimes.probabilities[50:].tobytes()
    assert len(read(bars, "told", last=500).market) == 100


def test_a_learner_never_sees_what_is_shown() -> None:
    bars = market(400, seed=4)
    whole = read(bars, "hmm", {"states": 2})
    other = replace(
        bars, **{name: np.where(np.arange(400)[:, None] < 200, getattr(bars, name), 1.0) for name in ("open", "high", "low", "close")}
    )
    changed = read(other, "hmm", {"states": 2})
    detector = tw.regimes.detector("hmm", states=2).fit(bars[:200])
    assert whole.regimes.probabilities.tobytes() == detector.filter(bars).probabilities[200:].tobytes()
    assert changed.regimes.probabilities.tobytes() == detector.filter(other).probabilities[200:].tobytes()


def test_timeframes_are_joined_and_cut_with_the_rest() -> None:
    bars = market(600)
    reading = read(bars, "rules", FAST, timeframes=("4h",), last=100)
    assert reading.cross is not None and reading.cross.timeframes == ("1h", "4h")
    assert len(reading.cross.agreement) == len(reading.cross.consensus) == len(reading.cross.probabilities) == 100
    alone = tw.regimes.Timeframes(("4h",), "rules", FAST).read(bars)
    assert reading.cross.probabilities.tobytes() == alone.probabilities[-100:].tobytes()


def test_it_is_told_as_plain_data_and_progress_is_told() -> None:
    bars, heard = telling(market(300, symbols=2)), []
    reading = read(bars, "told", timeframes=("2h",), progress=lambda *step: heard.append(step))
    plain = json.loads(canonical_json(reading.to_dict()))
    assert plain["detector"] == "told" and plain["fitted_on"] == 150 and plain["timeframes"] == ["1h", "2h"]
    first = plain["symbols"]["S0"]
    assert first["current_regime"] in ("bull", "bear") and 0.0 <= first["agreement"] <= 1.0
    assert {stay["regime"] for stay in first["stays"]} == {"bull", "bear"}
    assert heard[0] == ("fitting told", 0, 4) and heard[-1] == ("telling the regimes", 4, 4)


def test_a_symbol_without_a_regime_is_left_out_of_now() -> None:
    bars = market(60, symbols=2)
    lacking = {name: np.where((np.arange(60)[:, None] < 55) & np.array([[False, True]]), np.nan, getattr(bars, name))
               for name in ("open", "high", "low", "close", "volume")}  # fmt: skip
    reading = read(replace(bars, **lacking), "rules", FAST)
    assert list(reading.now) == ["S0"] and list(reading.stays) == ["S0", "S1"]
    assert "S1" not in reading.to_dict()["symbols"]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"detector": "rulez"}, SettingsError, "did you mean 'rules'"),
        ({"settings": {"slwo": 3}}, SettingsError, "did you mean 'slow'"),
        ({"train": 1.0}, SettingsError, "train is 1.0"),
        ({"timeframes": ("90m",)}, SettingsError, "90m"),
        ({"last": 0}, DataError, "none of the 100 bars is left"),
        ({"settings": {"fast": 50, "slow": 60, "memory": 70}}, DataError, "warm after 110"),
    ],
)
def test_impossible_settings(settings: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read(market(100), **{"settings": FAST, **settings})
