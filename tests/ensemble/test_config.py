"""EnsembleConfig refuses what cannot be, in words that say what to change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tradewind.core.errors import SettingsError
from tradewind.ensemble.config import EnsembleConfig


def test_defaults_are_the_published_ones() -> None:
    config = EnsembleConfig()
    assert (config.meta_lookback, config.meta_training_frequency, config.weight_temperature) == (1000, 100, 0.5)
    assert (config.agent_history_features, config.performance_prediction_window) == (20, 50)
    assert (config.max_agent_weight, config.min_diversification_agents, config.max_position_risk) == (0.6, 3, 0.95)
    assert config.kelly_criterion_enabled


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_agent_weight": 1.5}, "max_agent_weight is 1.5; it is a fraction"),
        ({"max_agent_weight": 0.3}, "3 members of at most 0.3 each reach 0.9 .* raise max_agent_weight to 0.333 .* to 4 or more"),
        ({"min_diversification_agents": 0}, "whole number, at least 1"),
        ({"weight_temperature": 0.0}, "weight_temperature is 0.0"),
        ({"regime_stability_threshold": 1.1}, "regime_stability_threshold"),
        ({"meta_learning_enabled": 1}, "meta_learning_enabled is 1; it is true or false"),
        ({"expert_weights": 3}, "name of tw.ensemble.weights"),
        ({"regime": 7}, "name of a detector, or None"),
        ({"regime": None, "regime_settings": {"states": 3}}, "empty where there is none"),
        ({"volatility_target": -1.0}, "volatility_target"),
        ({"agent_history_features": 21}, "there are 20"),
        ({"meta_lookback": 100}, "fewer than four windows of 50"),
        ({"holdback": 1.0}, "holdback"),
        ({"deadline": 0}, "deadline"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        EnsembleConfig(**settings)


def test_a_short_memory_is_fine_without_a_net() -> None:
    assert EnsembleConfig(meta_lookback=100, meta_learning_enabled=False).meta_lookback == 100


def test_it_goes_through_plain_data() -> None:
    config = EnsembleConfig(max_agent_weight=0.5, regime=None, volatility_target=0.2)
    assert EnsembleConfig.from_dict(config.to_dict()) == config
    told = EnsembleConfig(regime="hmm", regime_settings={"states": 3, "inputs": ["return", "range"]})
    assert told.regime_settings == {"states": 3, "inputs": ("return", "range")}
    assert EnsembleConfig.from_dict(json.loads(json.dumps(told.to_dict()))) == told
    assert config.changed({"band": 0.1}).band == 0.1
    with pytest.raises(SettingsError, match="did you mean 'weight_temperature'"):
        config.changed({"weight_temprature": 1.0})
