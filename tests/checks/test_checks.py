"""The public functions: what they take, what they leave alone, what they return, and how long a rule strategy takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind as tw
from tradewind import checks
from tradewind.checks import markets
from tradewind.core.errors import SettingsError


class Mine(tw.Strategy):
    """The strategy of the README: the sign of the return over 20 bars, in every symbol."""

    warmup = 21

    def decide(self, view: tw.View) -> tw.Target:
        c = view.market.close
        return tw.Target(np.sign(c[-1] / c[-21] - 1.0))


class Duck:
    """Inherits nothing: the same methods are enough, and it learns from outcomes."""

    horizon = 4

    def __init__(self, span: int = 30) -> None:
        self.warmup, self.lean = span, 0.0

    def fit(self, market: tw.Market) -> Duck:
        self.lean = 0.0
        return self

    def learn(self, outcome: tw.Outcome) -> None:
        self.lean = 0.9 * self.lean + 0.1 * float(np.nan_to_num(outcome.returns).mean())

    def decide(self, view: tw.View) -> tw.Target:
        window = view.market.close[-self.warmup :]
        change = np.nan_to_num(window[-1] / window[0] - 1.0)
        return tw.Target(np.clip(50 * (change + self.lean), -1, 1) / len(change))

    def state(self) -> tw.State:
        return tw.State({"warmup": self.warmup, "lean": self.lean})

    def restore(self, state: tw.State) -> Duck:
        self.warmup, self.lean = state.values["warmup"], state.values["lean"]
        return self


def test_the_readmes_strategy_passes_as_object_and_as_class() -> None:
    mine = Mine()
    assert checks.check_strategy(mine) == tuple(checks.strategy_checks())
    assert checks.check_strategy(Mine, seed=1) == tuple(checks.strategy_checks())
    assert vars(mine) == {}


def test_anything_with_the_same_methods_passes() -> None:
    duck = Duck()
    assert checks.check_strategy(duck) == tuple(checks.strategy_checks())
    assert (duck.warmup, duck.lean) == (30, 0.0)


def test_a_market_of_ones_own_is_used() -> None:
    market = markets.untidy(900, 5)
    asked: list[int] = []

    class Listens(Mine):
        def decide(self, view: tw.View) -> tw.Target:
            asked.append(int(view.market.open_time[-1]))
            return super().decide(view)

    for result in checks.run_all(Listens(), market=market, only=["batch-equals-stream"]):
        result.raise_if_failed()
    assert asked[-1] == int(market.open_time[-1])


def test_kinds_are_told_by_what_an_object_can_do() -> None:
    assert checks.kind_of(Mine()) == checks.kind_of(Duck) == "strategy"
    assert checks.kind_of(tw.forecaster("ridge")) == "forecaster"
    assert checks.kind_of("rsi_14") == checks.kind_of(["rsi_14"]) == "feature"
    assert checks.kind_of(tw.features.feature(inputs="close")(lambda_named)) == "feature"
    with pytest.raises(SettingsError, match="neither a strategy"):
        checks.check(3)


def lambda_named(close: Any) -> Any:
    """The close itself."""
    return close


def test_check_chooses() -> None:
    assert checks.check("rsi_14") == tuple(checks.feature_checks())
    assert checks.check(tw.forecaster("ridge")) == tuple(checks.forecaster_checks())


def test_some_of_the_checks() -> None:
    assert [r.check for r in checks.run_all(Mine, only=["prefix", "contract"])] == ["prefix", "contract"]
    with pytest.raises(SettingsError, match="unknown check 'prefx'; did you mean 'prefix'"):
        checks.run_all(Mine, only=["prefx"])


def test_a_class_that_needs_settings_is_refused_in_words() -> None:
    class Needs(Mine):
        def __init__(self, lookback: int) -> None:
            self.lookback = lookback

    with pytest.raises(SettingsError, match="hand over an object"):
        checks.check_strategy(Needs)


def test_seeds_draw_other_markets_and_repeat() -> None:
    from tradewind.checks.subject import StrategySubject

    one, again, other = (StrategySubject(Mine(), seed=seed).market("prefix") for seed in (0, 0, 1))
    assert one.digest == again.digest != other.digest
    assert StrategySubject(Mine()).market("stream").digest != one.digest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_rules.py").write_text("import tradewind as tw\n\nclass Inner:\n    deep = 5\n\nvalue = 3\n")
    (tmp_path / "breaks.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_load_finds_what_stands_in_the_folder(here: Path) -> None:
    assert checks.load("own_rules:value") == 3
    assert checks.load("own_rules:Inner.deep") == 5


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("own_rules", "is no place of an object; write my_module:MyStrategy"),
        (":x", "is no place"),
        ("own_rules:", "is no place"),
        ("own_rules:valu", "has no 'valu'; did you mean 'value'"),
        ("not_there:X", "not_there cannot be imported: ModuleNotFoundError"),
        ("breaks:X", "breaks cannot be imported: ZeroDivisionError"),
    ],
)
def test_load_says_what_is_wrong(here: Path, place: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checks.load(place)
