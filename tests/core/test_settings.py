"""Settings: an unknown word is refused with the nearest known one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tradewind.core.errors import SettingsError
from tradewind.core.settings import build, choose, require, suggest


@dataclass(frozen=True)
class Example:
    lookback: int = 20
    long_only: bool = False


def anything(**settings: Any) -> dict[str, Any]:
    return settings


def test_known_settings_build() -> None:
    assert build(Example, {"lookback": 5}, "momentum") == Example(5)
    assert build(anything, {"whatever": 1}, "anything") == {"whatever": 1}


@pytest.mark.parametrize(
    ("key", "said"),
    [("lookbak", "unknown setting 'lookbak' for momentum; did you mean 'lookback'?"), ("zzz", "for momentum; known: long_only, lookback")],
)
def test_unknown_settings_are_refused(key: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        build(Example, {key: 1}, "momentum")
    assert said in str(error.value)


def test_choose_and_require() -> None:
    table = {"hold": 1, "momentum": 2}
    assert choose("hold", table, "strategy") == 1
    with pytest.raises(SettingsError, match="unknown strategy 'momentm'; did you mean 'momentum'"):
        choose("momentm", table, "strategy")
    require(True, "never said")
    with pytest.raises(SettingsError, match="said"):
        require(False, "said")


def test_suggestions() -> None:
    assert suggest("anything", []) == "; it takes none"
    assert suggest("qqq", ["b", "a"]) == "; known: a, b"
