"""The table of names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tradewind.core.errors import SettingsError
from tradewind.models import registry
from tradewind.models.naive import NoChange
from tradewind.models.registry import describe, forecaster, forecasters, register


def test_every_name_builds_a_forecaster_and_has_a_line() -> None:
    assert forecasters()[:2] == ["no-change", "base-rate"] and "price-action-transformer" in forecasters()
    for name in forecasters():
        assert hasattr(forecaster(name), "predict") and len(describe(name)) > 10


def test_unknown_names_and_settings_say_what_was_meant() -> None:
    with pytest.raises(SettingsError, match="did you mean 'ridge'"):
        forecaster("rigde")
    with pytest.raises(SettingsError, match="did you mean 'learning_rate'"):
        forecaster("lightgbm", learnin_rate=0.1)
    with pytest.raises(SettingsError, match="did you mean 'dropout'"):
        forecaster("price-action-transformer", droput=0.1)
    with pytest.raises(SettingsError, match="did you mean 'quick'"):
        forecaster("price-action-transformer", preset="quik")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lightgbm", {"trees": 0}),
        ("lightgbm", {"leaves": 1}),
        ("lightgbm", {"learning_rate": 0.0}),
        ("lightgbm", {"subsample": 1.5}),
        ("lightgbm", {"validation": 1.0}),
        ("random-forest", {"depth": 0}),
        ("random-forest", {"columns": 2.0}),
        ("lightgbm", {"trees": "many"}),
        ("lightgbm", {"trees": 10.5}),
        ("lightgbm", {"learning_rate": float("nan")}),
        ("ridge", {"penalty": 0.0}),
        ("ridge", {"penalty": "nan"}),
        ("ridge", {"penalty": float("inf")}),
        ("random-forest", {"columns": True}),
        ("price-action-transformer", {"width": 12.5}),
        ("price-action-transformer", {"gaps": "no"}),
        ("price-action-transformer", {"max_seconds": "long"}),
        ("logistic", {"penalty": -1.0}),
        ("logistic", {"iterations": 0}),
        ("price-action-transformer", {"stride": 0}),
        ("price-action-transformer", {"epochs": 0}),
        ("price-action-transformer", {"bfloat16": "yes"}),
        ("price-action-transformer", {"validation": 1.0}),
        ("price-action-transformer", {"width": 130}),
        ("price-action-transformer", {"dropout": 1.0}),
        ("price-action-transformer", {"device": "tpu"}),
    ],
)
def test_impossible_settings_are_refused_when_they_are_given(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        forecaster(name, **settings)


def test_a_name_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {})
    register("mine", NoChange)
    register("mine", NoChange)
    assert isinstance(forecaster("mine"), NoChange) and forecasters()[-1] == "mine" and "Mean 0" in describe("mine")
    with pytest.raises(SettingsError, match="taken"):
        register("ridge", NoChange)
    with pytest.raises(SettingsError, match="taken"):
        register("mine", lambda: NoChange())


def test_the_table_loads_nothing_heavy() -> None:
    heavy = ("torch", "sklearn", "lightgbm")
    code = f"import sys, tradewind.models.registry as r; r.forecasters(); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
