"""Agents by name: `agent("ppo", hidden=(64, 64))`. An algorithm loads when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast, final

from tradewind.core.errors import SettingsError
from tradewind.core.settings import build, choose, load, require

if TYPE_CHECKING:
    from tradewind.rl.base import Agent

__all__ = ["agent", "agents", "configurable", "descriptions", "register"]

Factory = Callable[..., "Agent"]


@final
@dataclass(frozen=True)
class _Entry:
    """Where an algorithm and its config are, `module:Class:Config` or a user's own factory, and one line about it."""

    home: str | Factory
    description: str


_TABLE: Final[dict[str, _Entry]] = {
    "ppo": _Entry("ppo:PPO:PPOConfig", "proximal policy optimisation; continuous and discrete actions"),
    "double-dqn": _Entry("double_dqn:DoubleDQN:DoubleDQNConfig", "Q-learning whose targets are chosen by one net and judged by another"),
    "d3qn": _Entry("d3qn:D3QN:D3QNConfig", "double Q-learning with a dueling net: value and advantages apart"),
    "twin-d3qn": _Entry("twin_d3qn:TwinD3QN:TwinD3QNConfig", "two dueling critics, and the smaller of their two targets"),
    "rainbow": _Entry(
        "rainbow:Rainbow:RainbowConfig", "double, dueling, prioritised, several steps, distributional, and noisy nets in place of chance"
    ),
}


def agent(name: str, **config: Any) -> Agent:
    """A new agent by name (`agents()` lists them) under settings of its config, or what your own `my_module:make` gives for them.

    Lists become tuples, so that settings may come from JSON. Raises SettingsError, with the nearest known word, for an unknown name or
    setting, and for settings that cannot be.
    """
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    factory, wanted = _places(name)
    if wanted is not None:
        return factory(build(wanted, settings, f"agent {name!r}"))
    return _own(build(factory, settings, f"agent {name!r}"), name)


def agents() -> list[str]:
    """Every name that `agent` knows, the simplest first, the registered ones last."""
    return list(_TABLE)


def descriptions() -> dict[str, str]:
    """One line about each name."""
    return {name: entry.description for name, entry in _TABLE.items()}


def configurable(name: str) -> Mapping[str, Any]:
    """The settings that `agent(name)` takes, with their defaults; empty for a factory of your own."""
    _, config = _places(name)
    if config is None or not is_dataclass(config):
        return {}
    made = config()
    return {field.name: getattr(made, field.name) for field in fields(made)}


def register(name: str, factory: Factory) -> None:
    """Let `agent(name, **config)` call `factory(**config)`. Raises SettingsError when the name is taken by something else."""
    require(bool(name), "an agent needs a name that is not empty")
    taken = _TABLE.get(name)
    require(taken is None or taken.home is factory, f"the agent name {name!r} is taken; choose another")
    first_line = (factory.__doc__ or "").strip().partition("\n")[0]
    _TABLE[name] = _Entry(factory, first_line or f"{factory.__module__}.{factory.__qualname__}")


def _places(name: str) -> tuple[Factory, Callable[..., Any] | None]:
    """What makes the agent, and the class of its config where it takes one object of that."""
    home = load(name) if ":" in name else choose(name, _TABLE, "agent").home
    if not isinstance(home, str):
        return cast(Factory, home), None
    module_name, class_name, config_name = home.split(":")
    module = importlib.import_module(f"tradewind.rl.{module_name}")
    return getattr(module, class_name), getattr(module, config_name)


def _own(made: Any, name: str) -> Agent:
    lacking = [method for method in ("act", "learn", "state", "restore") if not callable(getattr(made, method, None))]
    if lacking:
        kinds = "an agent inherits from tradewind.rl.Agent, or is a tradewind.rl.ForeignAgent"
        raise SettingsError(f"{name} makes a {type(made).__name__}, which lacks {', '.join(lacking)}; {kinds}")
    return cast("Agent", made)
