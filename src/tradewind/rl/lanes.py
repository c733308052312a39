"""`Lanes`: any Gymnasium VectorEnv as agents want it, whatever its autoreset mode: tensors, true next observations, counted steps.

Source: the three autoreset modes of Gymnasium, https://farama.org/Vector-Autoreset-Mode; why the step that ended an episode needs the
observation it truly led to: Pardo et al. 2018, https://arxiv.org/abs/1712.00378. Costs a copy of each observation, and nothing on the host
where environment and agent share a device. Fails, with an error that says where, on numbers that are not finite, and where an environment
does not say how it resets itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, final

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.errors import DataError, SettingsError, StateError
from tradewind.core.seeds import derive
from tradewind.core.types import State
from tradewind.rl.spaces import Spaces

__all__ = ["Lanes", "Transition", "reset_mode"]

_KINDS: Final = {torch.float32: np.float32, torch.bool: np.bool_}
FAR_BETWEEN: Final = 256
"""On a device other than the CPU, what ended is fetched after so many steps at the latest; asking at each would make it wait."""


@final
@dataclass(frozen=True, eq=False)
class Transition:
    """One step of all lanes, the first axis lane. Its tensors are never written to again.

    `observations` and `following` (lane, inputs) float32: before the step, and where it truly led, the last one of an episode where one
    ended. `actions` as the agent gave them; `rewards` (lane,) float32; `terminated`, `truncated` and `counted` (lane,) bool. A lane that is
    not `counted` spent the step on a reset: nothing happened there, and nothing is to be learned from it.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    terminated: Tensor
    truncated: Tensor
    counted: Tensor

    @property
    def ended(self) -> Tensor:
        """(lane,) bool: the episode was over with this step, for either reason."""
        return self.terminated | self.truncated


@final
class Lanes:
    """The environments of `env` side by side, reset by `seed`; their tensors are on `device`.

    `size` is their number, `observations` (lane, inputs) float32 what they show now, unscaled, and `steps` how many counted steps all of
    them have taken together. `infos` are those of the last step, as the environment gave them. Raises SettingsError for spaces that no
    agent can use and for an environment that does not name its autoreset mode.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], device: torch.device, seed: int) -> None:
        self.env, self.device, self.size, self.steps = env, device, int(env.num_envs), 0
        self.mode = reset_mode(env)
        self.spaces = Spaces.of(env.single_observation_space, env.single_action_space)
        self.infos: Mapping[str, Any] = {}
        self.observations: Tensor
        self._resetting: Tensor | None
        self._episodes: list[tuple[float, int]]
        self._host = device.type == "cpu"
        self._everyone = torch.ones(self.size, dtype=torch.bool, device=device)
        self._reset(derive(seed, "environment"))

    def step(self, actions: Tensor) -> Transition:
        """Take one step in every lane: `actions` (lane,) int64 from 0, or (lane, dimension) in [-1, 1].

        Raises DataError, naming the environment, the step and the number, when an observation or a reward is not finite; on a CUDA
        device at the next `finished` or `state`.
        """
        return self.perform(self.spaces.to_environment(actions), actions)

    def perform(self, wanted: Tensor, actions: Tensor | None = None) -> Transition:
        """The same for what is `wanted` in the environment's own terms; `actions` are what the Transition then tells."""
        before, resetting = self.observations, self._resetting
        shown, rewards, terminated, truncated, infos = self.env.step(self._for_environment(wanted))
        self.infos = infos
        seen, earned = self._numbers(shown), self._tensor(rewards, torch.float32)
        over = self._tensor(terminated, torch.bool), self._tensor(truncated, torch.bool)
        ended = over[0] | over[1]
        following, self.observations = self._led_to(seen, ended)
        counted = self._everyone if resetting is None else ~resetting
        self.steps += self.size if resetting is None else int(counted.sum())
        self._resetting = ended if self.mode is AutoresetMode.NEXT_STEP else None
        step = Transition(before, wanted if actions is None else actions, earned, following, *over, counted)
        self._note(step, ended)
        return step

    def finished(self) -> list[tuple[float, int]]:
        """(return, length) of the episodes that were over since this was last asked, in the order of their ends."""
        self._fetch()
        told, self._episodes = self._episodes, []
        return told

    def state(self) -> State:
        """Where all lanes stand, with the environment's own state where it has one (`state()` and `restore()`)."""
        self._fetch()
        resetting = self._everyone & False if self._resetting is None else self._resetting
        tensors = {"observations": self.observations, "returns": self._returns, "lengths": self._lengths, "resetting": resetting}
        arrays = {name: np.array(tensor.cpu().numpy()) for name, tensor in tensors.items()}
        told = State({"steps": self.steps, "exact": self._exact, "episodes": [list(pair) for pair in self._episodes]}, arrays)
        return told.nest("environment", cast(Any, self.env.unwrapped).state()) if self._exact else told

    def restore(self, state: State) -> None:
        """Stand where `state` was taken.

        An environment without `state()` and `restore()` cannot: its episodes begin anew, by a seed derived from the steps so far.
        Raises StateError when the state is of other lanes.
        """
        exact, shape = bool(state.values.get("exact")), tuple(state.arrays["observations"].shape)
        if shape != tuple(self.observations.shape) or exact != self._exact:
            raise StateError(f"this is the state of lanes of shape {shape}; these have {tuple(self.observations.shape)}")
        self.steps = int(state.values["steps"])
        if not exact:
            self._reset(derive(self._seed, "again", self.steps))
        else:
            cast(Any, self.env.unwrapped).restore(state.child("environment"))
            told = {name: torch.tensor(array, device=self.device) for name, array in state.arrays.items() if "/" not in name}
            self.observations, self._returns, self._lengths = told["observations"], told["returns"], told["lengths"]
            self._resetting = told["resetting"] if self.mode is AutoresetMode.NEXT_STEP else None
        self._episodes = [(float(earned), int(length)) for earned, length in state.values["episodes"]]

    # -- inside ----------------------------------------------------------------------------------------------------------
    @property
    def _exact(self) -> bool:
        inner = self.env.unwrapped
        return callable(getattr(inner, "state", None)) and callable(getattr(inner, "restore", None))

    def _reset(self, seed: int) -> None:
        self._seed = seed
        shown, self.infos = self.env.reset(seed=seed)
        self._theirs = shown.device if isinstance(shown, Tensor) else None
        self.observations = self._numbers(shown)
        self._returns = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        self._lengths = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        self._resetting = self._everyone & False if self.mode is AutoresetMode.NEXT_STEP else None
        self._episodes = []
        self._ends: list[tuple[Tensor, Tensor, Tensor]] = []
        self._wrong = torch.full((self.size,), -1, dtype=torch.int64, device=self.device)
        if self._host and not np.isfinite(self.observations.numpy()).all():
            self._find_fault(None)

    def _tensor(self, told: Any, kind: torch.dtype) -> Tensor:
        # Environments may write into the same memory again at their next step: what is kept is copied.
        if isinstance(told, Tensor):
            return told.to(device=self.device, dtype=kind, copy=True)
        return torch.from_numpy(np.array(told, dtype=_KINDS[kind])).to(self.device)

    def _numbers(self, shown: Any) -> Tensor:
        return self._tensor(shown, torch.float32).reshape(self.size, self.spaces.inputs)

    def _for_environment(self, wanted: Tensor) -> Any:
        space = self.env.single_action_space
        shaped = wanted.reshape(self.size, *(space.shape or ()))
        if self._theirs is not None:
            return shaped.to(self._theirs)
        told = shaped.cpu().numpy()
        if told.dtype == space.dtype or not isinstance(space, gym.spaces.Box):
            return told
        return np.clip(told.astype(space.dtype), space.low, space.high)

    def _led_to(self, seen: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """Where the step led, and what the lanes show now: two things only where an episode ended."""
        if self.mode is AutoresetMode.SAME_STEP:
            final = self.infos.get("final_obs")
            if isinstance(final, Tensor):
                return torch.where(ended[:, None], self._numbers(final), seen), seen
            if not bool(ended.any()):
                return seen, seen
            if final is None:
                raise DataError(
                    "an episode ended in SAME_STEP mode and infos have no 'final_obs'; the environment must tell the last observation"
                )
            return self._last_of(np.asarray(final), seen, ended), seen
        if self.mode is AutoresetMode.DISABLED and bool(ended.any()):
            shown, _ = self.env.reset(options={"reset_mask": ended.cpu().numpy()})
            return seen, self._numbers(shown)
        return seen, seen

    def _last_of(self, final: NDArray[Any], seen: Tensor, ended: Tensor) -> Tensor:
        if final.dtype != object:
            return torch.where(ended[:, None], self._numbers(final), seen)
        following = seen.clone()
        for lane in torch.nonzero(ended)[:, 0].tolist():
            if final[lane] is None:
                raise DataError(f"the episode of environment {lane} ended and infos['final_obs'] has nothing for it")
            following[lane] = self._tensor(final[lane], torch.float32).reshape(-1)
        return following

    def _note(self, step: Transition, ended: Tensor) -> None:
        """Keep the episodes' books, and look whether all numbers are numbers: at once on the host, later on a device."""
        self._returns += step.rewards * step.counted
        self._lengths += step.counted
        if self._host:
            if not all(np.isfinite(tensor.numpy()).all() for tensor in {step.rewards, step.following, self.observations}):
                self._find_fault(step)
            if not bool(ended.any()):
                return
        else:
            fine = torch.isfinite(step.rewards) & torch.isfinite(step.following).all(dim=1) & torch.isfinite(self.observations).all(dim=1)
            self._wrong = torch.where((self._wrong < 0) & ~fine, self.steps, self._wrong)
        self._ends.append((ended, self._returns, self._lengths))
        self._returns, self._lengths = self._returns.masked_fill(ended, 0.0), self._lengths.masked_fill(ended, 0)
        if len(self._ends) >= FAR_BETWEEN:
            self._fetch()

    def _fetch(self) -> None:
        if not self._host and bool((self._wrong >= 0).any()):
            lane = int(torch.argmax(self._wrong))
            where = f"environment {lane}, after {int(self._wrong[lane])} steps of all {self.size}"
            raise DataError(f"{where}: an observation or the reward was not finite; ask the same environment for its numbers on the CPU")
        if self._ends:
            ended, returns, lengths = (torch.stack(column) for column in zip(*self._ends, strict=True))
            self._episodes += zip(returns[ended].tolist(), lengths[ended].tolist(), strict=True)
            self._ends = []

    def _find_fault(self, step: Transition | None) -> None:
        """Raise DataError for the first lane whose reward or observation is no number."""
        told = [self.observations] if step is None else [step.rewards[:, None], step.following, self.observations]
        for part, numbers in enumerate(told):
            for lane, column in torch.nonzero(~torch.isfinite(numbers)).tolist()[:1]:
                value = float(numbers[lane, column])
                where = f"environment {lane}, after {self.steps} steps of all {self.size}"
                if step is not None and part == 0:
                    raise DataError(f"{where}: the reward is {value}; a reward is a finite number{self._place(lane)}")
                names = getattr(self.env.unwrapped, "observation_names", None)
                name = f"number {column}" if names is None else repr(names[column])
                others = int((~torch.isfinite(numbers[lane])).sum()) - 1
                what = f"{name}{f' and {others} more' if others else ''} of the observation is {value}{self._place(lane)}"
                raise DataError(f"{where}: {what}; leave out or fill what is missing there")

    def _place(self, lane: int) -> str:
        locate = getattr(self.env.unwrapped, "locate", None)
        if not callable(locate):
            return ""
        symbol, bar, *_ = locate(lane)
        return f" at bar {bar} of {symbol}"


def reset_mode(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """How `env` begins the next episode. Raises SettingsError when it does not say."""
    told = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(told)
    except ValueError:
        modes = ", ".join(f"AutoresetMode.{mode.name}" for mode in AutoresetMode)
        raise SettingsError(f"metadata['autoreset_mode'] of {env} is {told!r}; it must be one of {modes}, from gymnasium.vector") from None
