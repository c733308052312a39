"""What lives through the steps of a trading environment: the abstract `Backend`, and `CompiledBackend`, in numba on the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from tradewind.core.errors import StateError
from tradewind.core.seeds import derive
from tradewind.core.types import State
from tradewind.rl import kernels as k
from tradewind.rl.actions import SLACK
from tradewind.rl.arena import Arena
from tradewind.rl.rewards import RUIN, Lived, Reward, told_rewards
from tradewind.simulate.kernels import live_one_bar

__all__ = ["Backend", "CompiledBackend", "Step"]

Step = tuple[Any, Any, Any, Any, dict[str, Any]]
"""Observations (lane, input) float32, rewards (lane,) float64, terminated and truncated (lane,) bool, and what else there is to tell."""

_FORMAT: Final = 1


class Backend(ABC):
    """All lanes of one arena, wherever their numbers live."""

    def __init__(self, arena: Arena, lanes: int) -> None:
        self.arena = arena
        self.lanes = lanes

    @abstractmethod
    def seed(self, seed: int) -> None:
        """Begin every lane's stream of random starts anew."""

    @abstractmethod
    def begin(self, places: NDArray[np.int64] | None = None) -> None:
        """Begin an episode in every lane: at drawn starts, or at `places` (3, lane): symbol, first and last bar."""

    @abstractmethod
    def observe(self) -> Any:
        """(lane, input) float32: what every lane sees now."""

    @abstractmethod
    def step(self, actions: Any) -> Step:
        """Live one bar in every lane. Lanes whose episode ended have begun the next one; infos has what they saw last in `final_obs`."""

    @abstractmethod
    def where(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(lane,) the symbol's column and the bar that every lane has lived through last."""

    @abstractmethod
    def state(self) -> State:
        """Everything that the steps to come depend on."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Stand where `state` stood. Raises StateError for the state of other lanes or another arena."""


@final
class CompiledBackend(Backend):
    """On the CPU: four compiled calls a step. `tensors`: hand out torch tensors over the memory of the arrays."""

    def __init__(self, arena: Arena, lanes: int, tensors: bool) -> None:
        super().__init__(arena, lanes)
        self._tensors = tensors
        self._places = np.zeros((k.PLACES, lanes), np.int64)
        self._accounts = np.zeros((k.ACCOUNTS, lanes))
        self._queue = np.full((arena.costs.latency - 1, lanes), np.nan)
        self._streams = np.zeros(lanes, np.uint64)
        self._taken = np.zeros(1, np.int64)
        self._due = np.empty(lanes)
        self._final = np.zeros((lanes, arena.width), np.float32)
        e = arena.episodes
        self._starts: tuple[Any, ...] = (e.length, e.stretches, e.drawn, e.groups, e.cells, e.starts, self._streams)
        width = arena.inputs.shape[2]
        self._sight: tuple[Any, ...] = (arena.inputs.reshape(len(arena.inputs), -1), arena.window * width, width, arena.sees)
        built_in = isinstance(arena.reward, Reward)
        self._pay = (arena.reward.kind, arena.reward.setting) if isinstance(arena.reward, Reward) else (k.OWN, 0.0)
        self._own = None if built_in else arena.reward

    def seed(self, seed: int) -> None:
        words = np.random.SeedSequence(derive(seed, "episodes")).generate_state(self.lanes, np.uint64)
        self._streams[:] = words
        self._places[k.TURN] = 0

    def begin(self, places: NDArray[np.int64] | None = None) -> None:
        if places is not None:
            self._places[[k.SYMBOL, k.BAR, k.LAST]] = places
        lanes = (self._places, self._accounts, self._queue)
        k.begin_episodes(places is None, *lanes, self.arena.capital, self.arena.squares, *self._starts)

    def observe(self) -> Any:
        seen = np.empty((self.lanes, self.arena.width), np.float32)
        k.observe(seen, self._places, self._accounts, *self._sight)
        return self._given(seen)

    def step(self, actions: Any) -> Step:
        arena, places, accounts = self.arena, self._places, self._accounts
        self._heed(arena.actions.read(actions, self.lanes))
        places[k.BAR] += 1
        told = np.empty((k.TOLD, self.lanes))
        k.fetch(arena.bars, self._sight[0], self._sight[2], places)
        live_one_bar(
            arena.bars, places[k.SYMBOL], places[k.BAR], self._due, arena.rates, accounts[k.CASH], accounts[k.HELD],
            told[k.TOLD_EQUITY], told[k.TRADED],
        )  # fmt: skip
        before = accounts[[k.EQUITY, k.POSITION]] if self._own is not None else None
        k.judge(arena.bars, places, accounts, told, arena.logs, RUIN, *self._pay)
        if before is not None:
            told[k.REWARD] = self._ask(before, told)
        seen = np.empty((self.lanes, arena.width), np.float32)
        ended = np.empty((2, self.lanes), np.bool_)
        lanes = (seen, self._final, ended, places, accounts, self._queue)
        count = k.move_on(*lanes, arena.capital, arena.squares, *self._sight, *self._starts)
        rewards, equity, position, net, hold = told[: k.TRADED]
        infos = {"equity": equity, "position": position, "net_return": net, "hold_return": hold}
        if count:
            infos["final_obs"], infos["_final_obs"] = self._final, ended[0] | ended[1]
            self._final = np.zeros_like(self._final)
        if self._tensors:
            infos = {name: torch.from_numpy(array) for name, array in infos.items()}
        return self._given(seen), self._given(rewards), self._given(ended[0]), self._given(ended[1]), infos

    def _heed(self, actions: NDArray[Any]) -> None:
        wanted = self.arena.actions
        slot = int(self._taken[0] % max(1, len(self._queue)))
        if wanted.discrete:
            wrong = k.heed_levels(actions, wanted.levels, self._queue, slot, self._due)
        else:
            wrong = k.heed_positions(actions, wanted.low, wanted.high, SLACK, self._queue, slot, self._due)
        if wrong >= 0:
            raise wanted.refuse(actions, wrong)
        self._taken += 1

    def _ask(self, before: NDArray[np.float64], told: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = (before[0], told[k.TOLD_EQUITY], before[1], told[k.TOLD_POSITION], told[k.TRADED], told[k.HOLD], told[k.DRAWDOWN])
        shown = [row.view() for row in rows]
        for row in shown:
            row.flags.writeable = False
        function: Any = self._own
        name = getattr(function, "__name__", type(function).__name__)
        return told_rewards(function(Lived(*shown)), self.lanes, name, self._locate)

    def _locate(self, lane: int) -> tuple[str, int]:
        return self.arena.market.symbols[self._places[k.SYMBOL, lane]], int(self._places[k.BAR, lane])

    def _given(self, array: NDArray[Any]) -> Any:
        return torch.from_numpy(array) if self._tensors else array

    def where(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._places[k.SYMBOL].copy(), self._places[k.BAR].copy()

    def _memory(self) -> Mapping[str, NDArray[Any]]:
        names = ("places", "accounts", "queue", "streams", "taken")
        return {name: getattr(self, f"_{name}") for name in names}

    def _identity(self) -> dict[str, Any]:
        arena = self.arena
        own = arena.reward
        reward = [own.name, own.setting] if isinstance(own, Reward) else [getattr(own, "__qualname__", type(own).__name__), 0.0]
        return {
            "format": _FORMAT, "market": arena.market.digest, "inputs": list(arena.observation_names), "actions": len(arena.actions.levels),
            "length": arena.episodes.length, "costs": arena.costs.to_dict(), "reward": reward, "capital": float(arena.capital),
        }  # fmt: skip

    def state(self) -> State:
        return State(self._identity(), {name: array.copy() for name, array in self._memory().items()})

    def restore(self, state: State) -> None:
        for name, value in self._identity().items():
            if state.values.get(name) != value:
                raise StateError(f"this is no state of this environment: other {name}; make the environment as it was made then")
        mine = self._memory()
        for name, array in mine.items():
            saved = state.arrays.get(name)
            if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                found = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise StateError(f"environment state: {name} is {found}, expected {array.dtype} {array.shape}; make as many as then")
        for name, array in mine.items():
            array[...] = state.arrays[name]
