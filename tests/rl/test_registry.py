"""Agents by name: every one is there, its settings are checked, and one's own are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

import tradewind as tw
from tradewind.core.errors import SettingsError
from tradewind.rl import registry
from tradewind.rl.ppo import PPO, PPOConfig

NAMES = ["ppo", "double-dqn", "d3qn", "twin-d3qn", "rainbow"]


def test_every_algorithm_is_there_and_knows_its_name() -> None:
    assert tw.rl.agents()[:5] == NAMES
    for name in NAMES:
        made = tw.rl.agent(name, device="cpu")
        assert made.name == name and made.config.device == "cpu"
        assert {"hidden", "learning_rate", "discount", "device", "threads"} <= registry.configurable(name).keys()
        assert len(registry.descriptions()[name]) > 10


def test_lists_of_json_become_tuples() -> None:
    assert tw.rl.agent("ppo", hidden=[32, 16]).config.hidden == (32, 16)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("ppp", {}, "unknown agent 'ppp'; did you mean 'ppo'"),
        ("ppo", {"hiden": (8,)}, "unknown setting 'hiden' for agent 'ppo'; did you mean 'hidden'"),
        ("rainbow", {"batch": 0}, "batch is 0"),
        ("nowhere_at_all:make", {}, "nowhere_at_all cannot be imported"),
    ],
)
def test_what_cannot_be_is_refused(name: str, config: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tw.rl.agent(name, **config)


def test_ones_own_agent_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_agents.py").write_text(
        "from tradewind.rl.ppo import PPO, PPOConfig\n"
        "def make(width=8):\n    return PPO(PPOConfig(hidden=(width,), device='cpu'))\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tw.rl.agent("own_agents:make", width=12).config.hidden == (12,)
    assert registry.configurable("own_agents:make") == {}
    with pytest.raises(SettingsError, match="unknown setting 'widht'"):
        tw.rl.agent("own_agents:make", widht=12)
    with pytest.raises(SettingsError, match="makes a int, which lacks act, learn, state, restore"):
        tw.rl.agent("own_agents:wrong")


def test_registering_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.CATALOGUE, "entries", dict(registry.CATALOGUE.entries))

    def mine(width: int = 8) -> PPO:
        """An agent of mine.

        More about it.
        """
        return PPO(PPOConfig(hidden=(width,), device="cpu"))

    registry.register("mine", mine)
    registry.register("mine", mine)
    assert tw.rl.agent("mine", width=4).config.hidden == (4,)
    assert registry.descriptions()["mine"] == "An agent of mine."
    with pytest.raises(SettingsError, match="'ppo' is taken"):
        registry.register("ppo", mine)
