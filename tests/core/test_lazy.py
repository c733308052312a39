"""Names that load on first use: from where they live, once, and with an error that names the package."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tradewind.core.lazy import lazy


def test_names_come_from_where_they_live(monkeypatch: pytest.MonkeyPatch) -> None:
    package, inner = ModuleType("borrowed"), ModuleType("borrowed.inner")
    inner.first, inner.second = 1, 2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "borrowed", package)
    monkeypatch.setitem(sys.modules, "borrowed.inner", inner)
    load = lazy("borrowed", {"first": "inner", "other": "inner:second", "inner": "inner:"})
    assert (load("first"), load("other"), load("inner")) == (1, 2, inner)
    assert (package.first, package.other) == (1, 2)  # type: ignore[attr-defined]


def test_a_name_that_is_not_there_names_the_package() -> None:
    with pytest.raises(AttributeError, match=r"module 'tradewind\.rl' has no attribute 'PP0'"):
        lazy("tradewind.rl", {"PPO": "ppo"})("PP0")
