from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.strategies import registry


class Sized(tw.Strategy):
    """Holds a fixed size.

    More words.
    """

    def __init__(self, size: float, model: object = None) -> None:
        self.size, self.model = size, model

    def decide(self, view):
        return tw.Target(np.full(len(view.market.symbols), self.size))


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    registry.register("sized", Sized)


@pytest.mark.parametrize("name", registry.names())
def test_every_name_builds_and_knows_itself(name: str) -> None:
    built = tw.strategy(name)
    assert isinstance(built, StrategyLike)
    told, settings = registry.describe(built)
    assert told == name
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings
    again = tw.strategy(name, **{key: value for key, value in settings.items() if value is not None})
    assert registry.describe(again) == (told, settings)
    assert registry.describe(copy.deepcopy(built)) == (told, settings)
    assert registry.descriptions()[name]


def test_names() -> None:
    assert tw.strategies() == registry.names()
    assert registry.names()[0] == "hold"


def test_settings_reach_the_strategy() -> None:
    assert tw.strategy("momentum", lookback=33).warmup == 34
    assert registry.describe(tw.strategy("momentum", lookback=33)) == ("momentum", {"lookback": 33, "long_only": False})


def test_unknown_words_are_errors_that_help() -> None:
    with pytest.raises(SettingsError, match="did you mean 'momentum'"):
        tw.strategy("momentun")
    with pytest.raises(SettingsError, match="unknown setting 'lookbak' for strategy 'momentum'; did you mean 'lookback'"):
        tw.strategy("momentum", lookbak=3)
    with pytest.raises(SettingsError, match="did you mean 'triple-barrier'"):
        tw.strategy("forecast", label="tripel-barrier")
    with pytest.raises(SettingsError, match="did you mean 'logistic'"):
        tw.strategy("forecast", forecaster="logistik")
    with pytest.raises(SettingsError, match="did you mean 'band'"):
        tw.strategy("logistic", policy={"bnd": 0.1})


@pytest.mark.usefixtures("sized")
def test_your_own() -> None:
    assert tw.strategies()[-1] == "sized"
    assert registry.descriptions()["sized"] == "Holds a fixed size."
    built = tw.strategy("sized", size=0.5, model=Sized(0.1))
    name, settings = registry.describe(built)
    assert (name, settings["size"]) == ("sized", 0.5)
    assert settings["model"] == {"class": f"{__name__}.Sized", "attributes": {"size": 0.1, "model": None}}
    registry.register("sized", Sized)
    with pytest.raises(SettingsError, match="'hold' is taken"):
        registry.register("hold", Sized)
    with pytest.raises(SettingsError, match="did you mean 'size'"):
        tw.strategy("sized", sise=1)


def test_describe_an_object_made_by_its_class() -> None:
    name, settings = registry.describe(Sized(np.float64(0.25), model=np.arange(2)))
    assert name == f"{__name__}.Sized"
    assert settings["size"] == 0.25
    assert settings["model"]["shape"] == [2]
    assert settings["model"] != registry.describe(Sized(0.25, model=np.arange(1, 3)))[1]["model"]


def test_describe_an_object_that_refers_to_itself_ends() -> None:
    loop = Sized(0.1)
    loop.model = loop
    assert registry.describe(loop)[1]["size"] == 0.1


def test_listing_names_loads_no_strategy() -> None:
    code = (
        "import sys, tradewind as tw; tw.strategies(); from tradewind.strategies.registry import descriptions; descriptions();"
        "assert not {'numba', 'torch', 'lightgbm', 'polars'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dicts_merge_into_the_preset_unless_their_part_is_replaced() -> None:
    def told(**settings: object) -> dict[str, object]:
        return registry.describe(tw.strategy("ridge", **settings))[1]

    assert told(policy={"gain": 2.0})["policy"] == {"threshold": 1.0, "gain": 2.0}
    assert told(label="horizon-return")["label_settings"] == {"horizon": 24}
    assert told(label="next-bar")["label_settings"] is None
    assert told(label_settings={"horizon": 3})["label_settings"] == {"horizon": 3}
