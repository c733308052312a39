"""Presets: an `EnsembleConfig` by name, `preset("balanced", max_agent_weight=.5)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tradewind.core.settings import choose
from tradewind.ensemble.config import EnsembleConfig

__all__ = ["descriptions", "preset"]

_PRESETS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "conservative": (
        "at most 40 % a member, 4 members or more; follows a regime only once it is steady; smaller positions",
        {
            "max_agent_weight": 0.4,
            "min_diversification_agents": 4,
            "weight_temperature": 1.0,
            "regime_stability_threshold": 0.85,
            "gate_threshold": 2.0,
            "max_position_risk": 0.6,
        },
    ),
    "balanced": ("at most 60 % a member, 3 members or more", {}),
    "aggressive": (
        "at most 80 % a member, 2 members or more; decides sooner",
        {
            "max_agent_weight": 0.8,
            "min_diversification_agents": 2,
            "weight_temperature": 0.35,
            "regime_stability_threshold": 0.5,
        },
    ),
    "research": ("balanced, and every decision is kept", {"detailed_logging": True, "meta_training_frequency": 50}),
    "custom": (
        "no cap, one member is enough, no sizing: what is not asked for is not done",
        {"max_agent_weight": 1.0, "min_diversification_agents": 1, "kelly_criterion_enabled": False, "max_position_risk": 1.0},
    ),
}


def preset(name: str = "balanced", **changes: Any) -> EnsembleConfig:
    """The config called `name`, with `changes` to single settings.

    Raises SettingsError, with the nearest known word, for an unknown preset or setting, and for settings that cannot be or contradict.
    """
    _, settings = choose(name, _PRESETS, "preset")
    return EnsembleConfig().changed({**settings, **changes})


def descriptions() -> dict[str, str]:
    """One line about each preset."""
    return {name: description for name, (description, _) in _PRESETS.items()}
