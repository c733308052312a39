"""Agents by name: `agent("ppo", hidden=(64, 64))`. An algorithm loads when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from tradewind.core.catalogue import Catalogue, Entry, tuples
from tradewind.core.settings import build

if TYPE_CHECKING:
    from tradewind.rl.base import Agent

__all__ = ["agent", "agents", "configurable", "descriptions", "register"]

CATALOGUE: Final = Catalogue(
    "agent",
    "tradewind.rl",
    {
        "ppo": Entry("ppo:PPO:PPOConfig", "proximal policy optimisation; continuous and discrete actions"),
        "double-dqn": Entry("double_dqn:DoubleDQN:DoubleDQNConfig", "Q-learning whose targets are chosen by one net and judged by another"),
        "d3qn": Entry("d3qn:D3QN:D3QNConfig", "double Q-learning with a dueling net: value and advantages apart"),
        "twin-d3qn": Entry("twin_d3qn:TwinD3QN:TwinD3QNConfig", "two dueling critics, and the smaller of their two targets"),
        "rainbow": Entry(
            "rainbow:Rainbow:RainbowConfig",
            "double, dueling, prioritised, several steps, distributional, noisy nets in place of chance",
        ),
    },
    ("act", "learn", "state", "restore"),
    "an agent inherits from tradewind.rl.Agent, or is a tradewind.rl.ForeignAgent",
)


def agent(name: str, **config: Any) -> Agent:
    """A new agent by name (`agents()` lists them) under settings of its config, or what your own `my_module:make` gives for them.

    Lists become tuples, so that settings may come from JSON. Raises SettingsError, with the nearest known word, for an unknown name or
    setting, and for settings that cannot be.
    """
    factory, wanted = CATALOGUE.find(name)
    if wanted is None:
        made = build(factory, tuples(config), f"agent {name!r}")
    else:
        made = factory(build(wanted, tuples(config), f"agent {name!r}"))
    return cast("Agent", CATALOGUE.checked(made, name))


def agents() -> list[str]:
    """Every name that `agent` knows, the simplest first, the registered ones last."""
    return CATALOGUE.names()


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return CATALOGUE.descriptions()


def configurable(name: str) -> Mapping[str, Any]:
    """The settings that `agent(name)` takes, with their defaults; empty for a factory of your own."""
    return CATALOGUE.configurable(name)


def register(name: str, factory: Callable[..., Agent]) -> None:
    """Let `agent(name, **config)` call `factory(**config)`. Raises SettingsError when the name is taken by something else."""
    CATALOGUE.register(name, factory)
