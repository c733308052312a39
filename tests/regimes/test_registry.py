"""Detectors by name."""

from __future__ import annotations

import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.regimes import RegimeRules, descriptions, detector, detectors, register
from tradewind.regimes.registry import CATALOGUE


def test_all_can_be_made_and_are_described() -> None:
    assert detectors()[:4] == ["rules", "hmm", "jump", "bocpd"]
    for name in detectors():
        made = detector(name)
        assert made.name == name
        assert len(made.names) == len(set(made.names)) >= 1
        assert descriptions()[name]


def test_settings_may_come_as_json() -> None:
    assert isinstance(tw.regimes.detector("rules", fast=10, slow=30), RegimeRules)
    with pytest.raises(SettingsError, match="did you mean 'rules'"):
        detector("rulez")


def test_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CATALOGUE, "entries", dict(CATALOGUE.entries))

    def quick(slow: int = 30) -> RegimeRules:
        """Rules in a hurry."""
        return RegimeRules(fast=5, slow=slow)

    register("quick", quick)
    assert detector("quick", slow=20).warmup == 25
    assert descriptions()["quick"] == "Rules in a hurry."
    assert detectors()[-1] == "quick"
    with pytest.raises(SettingsError, match="did you mean 'slow'"):
        detector("quick", solw=1)
    with pytest.raises(SettingsError, match="taken"):
        register("rules", quick)
    register("nothing", lambda: object())
    with pytest.raises(SettingsError, match="lacks fit"):
        detector("nothing")
