"""Reinforcement learning: a fast market to act in, and agents that learn to act in any Gymnasium environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tradewind.core.lazy import lazy

if TYPE_CHECKING:
    from tradewind.rl.base import Agent
    from tradewind.rl.check import check_environment
    from tradewind.rl.d3qn import D3QN, D3QNConfig
    from tradewind.rl.double_dqn import DoubleDQN, DoubleDQNConfig
    from tradewind.rl.evaluation import evaluate
    from tradewind.rl.foreign import ForeignAgent
    from tradewind.rl.grounds import Course, Grounds
    from tradewind.rl.known_optimum import KnownOptimum
    from tradewind.rl.pipeline import load, train
    from tradewind.rl.ppo import PPO, PPOConfig
    from tradewind.rl.rainbow import Rainbow, RainbowConfig
    from tradewind.rl.registry import agent, agents
    from tradewind.rl.rewards import Lived, Reward
    from tradewind.rl.trader import Sight, Trader
    from tradewind.rl.trading_env import TradingEnv
    from tradewind.rl.trading_vector_env import TradingVectorEnv
    from tradewind.rl.twin_d3qn import TwinD3QN, TwinD3QNConfig

_HOMES: Final = {
    "Agent": "base",
    "Course": "grounds",
    "D3QN": "d3qn",
    "D3QNConfig": "d3qn",
    "DoubleDQN": "double_dqn",
    "DoubleDQNConfig": "double_dqn",
    "ForeignAgent": "foreign",
    "Grounds": "grounds",
    "KnownOptimum": "known_optimum",
    "Lived": "rewards",
    "PPO": "ppo",
    "PPOConfig": "ppo",
    "Rainbow": "rainbow",
    "RainbowConfig": "rainbow",
    "Reward": "rewards",
    "Sight": "trader",
    "Trader": "trader",
    "TradingEnv": "trading_env",
    "TradingVectorEnv": "trading_vector_env",
    "TwinD3QN": "twin_d3qn",
    "TwinD3QNConfig": "twin_d3qn",
    "agent": "registry",
    "agents": "registry",
    "check_environment": "check",
    "evaluate": "evaluation",
    "load": "pipeline",
    "train": "pipeline",
}

__all__ = sorted(_HOMES)

__getattr__ = lazy(__name__, _HOMES)
