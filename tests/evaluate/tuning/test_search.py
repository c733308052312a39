"""Spaces flattened, narrowed and put together again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as draw

from tradewind.core.errors import SettingsError
from tradewind.core.spaces import Choice, Real, Whole
from tradewind.evaluate.tuning.search import flatten, merge, narrow, nest, read_change
from tradewind.models import registry as models
from tradewind.strategies import registry

SPACE = {"depth": Whole(2, 8, log=True), "policy": {"gain": Real(0.1, 4.0, log=True), "size": Choice(("sign", "linear"))}}


def test_dotted_names_and_back() -> None:
    assert list(flatten(SPACE)) == ["depth", "policy.gain", "policy.size"]
    assert nest({"depth": 3, "policy.gain": 0.5, "policy.size": "sign"}) == {"depth": 3, "policy": {"gain": 0.5, "size": "sign"}}
    assert merge({"a": 1, "p": {"x": 1, "y": 2}}, {"p": {"y": 3}, "b": 4}) == {"a": 1, "b": 4, "p": {"x": 1, "y": 3}}
    with pytest.raises(SettingsError, match="already has a value"):
        nest({"policy": 1, "policy.gain": 2})


_names = draw.text("abc", min_size=1, max_size=2)


@given(draw.recursive(draw.integers(), lambda inner: draw.dictionaries(_names, inner, min_size=1, max_size=3), max_leaves=8))
def test_nest_undoes_flatten(tree: Any) -> None:
    if isinstance(tree, dict):

        def spaces(part: Any) -> Any:
            return {name: spaces(inner) for name, inner in part.items()} if isinstance(part, dict) else Choice((part,))

        assert nest({name: part.values[0] for name, part in flatten(spaces(tree)).items()}) == tree  # type: ignore[union-attr]


def test_what_set_may_say() -> None:
    assert read_change("depth=3..5") == ("depth", Whole(3, 5))
    assert read_change("gain=0.5..2") == ("gain", Real(0.5, 2.0))
    assert read_change("size=sign|linear") == ("size", Choice(("sign", "linear")))
    assert read_change("flags=true|3") == ("flags", Choice((True, 3)))
    assert read_change("window=30d") == ("window", "30d")
    for wrong in ("depth", "=3", "depth=a..b", "depth=1..", "depth=true..5"):
        with pytest.raises(SettingsError, match="--set"):
            read_change(wrong)


def test_narrowing_keeps_the_scale_and_the_kind() -> None:
    flat, fixed = narrow(
        flatten(SPACE), [("depth", Whole(3, 4)), ("policy.gain", Whole(1, 2)), ("policy.size", "sign"), ("label", "next-bar")]
    )
    assert flat == {"depth": Whole(3, 4, log=True), "policy.gain": Real(1.0, 2.0, log=True)}
    assert fixed == {"policy.size": "sign", "label": "next-bar"}
    for key, change, said in (
        ("dept", Whole(1, 2), "did you mean 'depth'"),
        ("depth", Real(1.0, 2.0), "whole number"),
        ("policy.size", Whole(1, 2), "is a choice"),
        ("policy.gain", Real(0.0, 1.0), "cannot be searched"),
    ):
        with pytest.raises(SettingsError, match=said):
            narrow(flatten(SPACE), [(key, change)])


def _ends(name: str, end: int) -> dict[str, Any]:
    """The settings at one end of every range of a strategy's space."""
    values = {}
    for key, part in flatten(registry.space(name)).items():
        values[key] = (part.values[0], part.values[-1])[end] if isinstance(part, Choice) else (part.low, part.high)[end]
    return nest(values)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize(
    "name", ["momentum", "momentum-mix", "ema-cross", "rsi-reversal", "bollinger-reversal", "rsi-divergence", "logistic"]
)
def test_both_ends_of_every_space_are_settings_that_can_be(name: str, end: int) -> None:
    registry.strategy(name, **_ends(name, end))


def test_a_forecasting_strategy_has_the_space_of_its_forecaster_and_its_policy() -> None:
    found = registry.space("forecast", forecaster="lightgbm")
    assert found["forecaster_settings"] == models.space("lightgbm") and found["policy"] == registry.space("logistic")["policy"]
    threshold = registry.space("ridge")["policy"]["threshold"]  # type: ignore[index]
    assert threshold == Real(0.0, 3.0) != registry.space("logistic")["policy"]["threshold"]  # type: ignore[index]
    assert registry.space("hold") == {} == registry.space("mix")
    with pytest.raises(SettingsError, match="did you mean 'momentum'"):
        registry.space("momentm")
