"""Presets: what each promises, and what is said about a name that is none."""

from __future__ import annotations

import pytest

from tradewind.core.errors import SettingsError
from tradewind.ensemble.presets import descriptions, preset


@pytest.mark.parametrize(("name", "cap", "least"), [("conservative", 0.4, 4), ("balanced", 0.6, 3), ("aggressive", 0.8, 2)])
def test_caps_and_minimum_members(name: str, cap: float, least: int) -> None:
    config = preset(name)
    assert (config.max_agent_weight, config.min_diversification_agents) == (cap, least)


def test_conservative_asks_for_more_stability_than_balanced_and_aggressive_for_less() -> None:
    thresholds = [preset(name).regime_stability_threshold for name in ("conservative", "balanced", "aggressive")]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == 3


def test_research_keeps_every_decision_and_custom_does_nothing_unasked() -> None:
    assert preset("research").detailed_logging
    custom = preset("custom")
    assert (custom.max_agent_weight, custom.min_diversification_agents, custom.kelly_criterion_enabled) == (1.0, 1, False)


def test_changes_to_a_preset() -> None:
    config = preset("aggressive", max_agent_weight=0.7)
    assert (config.max_agent_weight, config.min_diversification_agents) == (0.7, 2)
    with pytest.raises(SettingsError, match=r"4 members of at most 0\.2 each"):
        preset("conservative", max_agent_weight=0.2)


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"unknown preset 'balance'; did you mean 'balanced'"):
        preset("balance")
    with pytest.raises(SettingsError, match="did you mean 'max_agent_weight'"):
        preset("balanced", max_agent_wieght=0.5)


def test_every_preset_is_described_and_can_be_made() -> None:
    assert set(descriptions()) == {"conservative", "balanced", "aggressive", "research", "custom"}
    assert all(preset(name) and told for name, told in descriptions().items())
