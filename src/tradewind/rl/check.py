"""`check_environment`: whether an environment of your own can be learned in, said in words that name the mend.

It plays the environment twice by one seed with the same random actions, extremes among them, and once by another. Costs three times `steps`
steps. Fails to see what random actions do not reach, and whether a reward says what you mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, final

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from tradewind.core.errors import CheckFailed, SettingsError
from tradewind.core.limits import whole
from tradewind.core.seeds import generator
from tradewind.core.types import Array
from tradewind.rl.lanes import reset_mode
from tradewind.rl.spaces import Spaces

__all__ = ["check_environment"]

LARGE: Final = 100.0
"""Observations whose typical size is beyond it, or below one over it, are worth a note."""


def check_environment(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], steps: int = 500, seed: int = 0) -> tuple[str, ...]:
    """Play `env`, a Gymnasium Env or VectorEnv, and return notes on what is allowed and yet worth knowing; empty when there is nothing.

    Raises CheckFailed, with the name of the check, for what no agent could learn in: spaces, shapes, kinds and finiteness of what `reset`
    and `step` return, episodes that a seed does not fix, and a VectorEnv that does not reset itself as its autoreset mode says.
    """
    whole(steps=steps)
    if not isinstance(env, gym.Env | VectorEnv):
        _fail("kind", f"{type(env).__name__} is neither a gymnasium.Env nor a gymnasium.vector.VectorEnv; inherit from one of them")
    player = _Player(env, _check_spaces(env))
    first, again = player.play(seed, steps), player.play(seed, steps)
    _check_same(first, again, seed)
    other = player.play(seed + 1, min(steps, 20))
    return tuple(_notes(player, first, other))


@final
@dataclass(frozen=True, eq=False)
class _Episodes:
    """What a play told: rows (step, lane, ...), the observations one row longer, and `ends`, where each ended episode had led."""

    observations: Array
    rewards: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    ends: dict[tuple[int, int], Array] = field(default_factory=dict)


@final
class _Player:
    """Plays an environment and looks at everything that it returns."""

    def __init__(self, env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], space: gym.spaces.Box) -> None:
        self.env, self.space = env, space
        self.several = isinstance(env, VectorEnv)
        self.lanes = int(env.num_envs) if isinstance(env, VectorEnv) else 1
        self.mode = reset_mode(env) if isinstance(env, VectorEnv) else AutoresetMode.DISABLED
        self.shape = (self.lanes, *space.shape) if self.several else space.shape
        self.action_space = env.single_action_space if isinstance(env, VectorEnv) else env.action_space
        self.device: torch.device | None = None
        self.shared_memory = False
        self._kept: tuple[Any, Array] | None = None

    def play(self, seed: int, steps: int) -> _Episodes:
        shown = self._reset(seed)
        actions = generator(seed, "actions")
        rows, paid, over = [shown], [], []
        ends: dict[tuple[int, int], Array] = {}
        ended = np.zeros(self.lanes, dtype=bool)
        for at in range(steps):
            before = ended
            shown, reward, terminated, truncated, infos, raw = self._step(self._actions(actions), at)
            ended = terminated | truncated
            if self.mode is AutoresetMode.NEXT_STEP and before.any():
                self._check_pause(before, reward, ended, at)
            last = self._last(infos, ended, shown, at)
            ends |= {(at, int(lane)): last[lane] for lane in np.flatnonzero(ended)}
            if self.mode is AutoresetMode.DISABLED and ended.any():
                shown = self._begin_again(ended, shown, at)
            rows.append(shown)
            paid.append(reward)
            over.append((terminated, truncated))
            self._look_at_memory(raw, rows[-1], ended)
        flags = np.array(over)
        return _Episodes(np.array(rows), np.array(paid), flags[:, 0], flags[:, 1], ends)

    # -- what it asks ------------------------------------------------------------------------------------------------------
    def _reset(self, seed: int | None, options: dict[str, Any] | None = None) -> Array:
        asked: dict[str, Any] = {"seed": seed} if options is None else {"options": options}
        try:
            told = self.env.reset(**asked)
        except TypeError as error:
            _fail("reset", f"reset({', '.join(asked)}=...) failed: {error}; its signature is reset(self, *, seed=None, options=None)")
        if not isinstance(told, tuple) or len(told) != 2:
            _fail("reset", f"reset() returned {_kind(told)}; it returns two things: (observation, info)")
        if not isinstance(told[1], dict):
            _fail("reset", f"the info of reset() is {_kind(told[1])}; it is a dict, empty where there is nothing to say")
        return self._observation(told[0], "reset()")

    def _step(self, action: Any, at: int) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any], Any]:
        told = self.env.step(action)
        if not isinstance(told, tuple) or len(told) != 5:
            _fail("step", f"step() returned {_kind(told)}; it returns five things: (observation, reward, terminated, truncated, info)")
        shown, reward, terminated, truncated, infos = told
        if not isinstance(infos, dict):
            _fail("step", f"the info of step() is {_kind(infos)}; it is a dict, empty where there is nothing to say")
        flags = [self._flag(flag, name) for flag, name in ((terminated, "terminated"), (truncated, "truncated"))]
        where = f"step() number {at}"
        return self._observation(shown, where), self._reward(reward, where), flags[0], flags[1], infos, shown

    def _begin_again(self, ended: NDArray[np.bool_], shown: Array, at: int) -> Array:
        if not self.several:
            return self._reset(None)
        again = self._reset(None, {"reset_mask": ended.copy()})
        moved = np.flatnonzero((again != shown).any(axis=1) & ~ended)
        if len(moved):
            _fail(
                "autoreset",
                f"after step {at}, reset(options={{'reset_mask': ...}}) also reset environment {moved[0]}, which was not asked for",
            )
        return again

    def _actions(self, stream: np.random.Generator) -> Any:
        space, count = self.action_space, self.lanes
        drawn: NDArray[Any]
        if isinstance(space, gym.spaces.Discrete):
            drawn = stream.integers(space.start, space.start + space.n, count)
        else:
            assert isinstance(space, gym.spaces.Box), "Spaces has refused all others"
            drawn = stream.uniform(space.low, space.high, (count, *space.shape))
            extreme = stream.random(count) < 0.2
            drawn[extreme] = np.where(stream.random((int(extreme.sum()), *space.shape)) < 0.5, space.low, space.high)
            drawn = drawn.astype(space.dtype)
        if not self.several:
            return drawn[0] if drawn.ndim > 1 or not isinstance(space, gym.spaces.Discrete) else int(drawn[0])
        return drawn if self.device is None else torch.as_tensor(drawn, device=self.device)

    # -- what it looks at --------------------------------------------------------------------------------------------------
    def _observation(self, told: Any, where: str) -> Array:
        """(lane, inputs) float64 of what was shown; anything that it should not be is a failure."""
        self.device = told.device if isinstance(told, Tensor) else None
        shown = told.detach().cpu().numpy() if isinstance(told, Tensor) else told
        if not isinstance(shown, np.ndarray):
            _fail("observation", f"{where} showed {_kind(shown)}; an observation is a numpy array of shape {self.shape}")
        if shown.shape != self.shape:
            _fail("observation", f"{where} showed the shape {shown.shape}; the observation space says {self.shape}")
        if not np.can_cast(shown.dtype, self.space.dtype, "same_kind"):
            _fail(
                "observation",
                f"{where} showed {shown.dtype}; the observation space says {self.space.dtype}: cast one, or correct the other",
            )
        numbers = shown.astype(np.float64).reshape(self.lanes, -1)
        wrong = np.argwhere(~np.isfinite(numbers))
        if len(wrong):
            lane, column = wrong[0]
            more = f", and {len(wrong) - 1} more numbers are not finite" if len(wrong) > 1 else ""
            _fail(
                "observation",
                f"{where} showed {numbers[lane, column]} as {self._named(lane, column)}{more}; fill or leave out what is missing",
            )
        low, high = (np.broadcast_to(edge, self.shape).reshape(self.lanes, -1) for edge in (self.space.low, self.space.high))
        wrong = np.argwhere((numbers < low) | (numbers > high))
        if len(wrong):
            lane, column = wrong[0]
            lies = f"{numbers[lane, column]:g} does not lie in [{low[lane, column]:g}, {high[lane, column]:g}]"
            _fail("observation", f"{where}: {self._named(lane, column)} is out of the observation space: {lies}; widen the space, or clip")
        return numbers

    def _reward(self, told: Any, where: str) -> Array:
        earned = told.detach().cpu().numpy() if isinstance(told, Tensor) else told
        if self.several:
            if not isinstance(earned, np.ndarray) or earned.shape != (self.lanes,) or earned.dtype.kind not in "fiu":
                _fail(
                    "reward", f"{where} paid {_kind(earned)}; the rewards of {self.lanes} environments are numbers of shape ({self.lanes},)"
                )
        elif isinstance(earned, bool) or not isinstance(earned, int | float | np.floating | np.integer):
            _fail("reward", f"{where} paid {_kind(earned)}; a reward is a float")
        paid = np.atleast_1d(np.asarray(earned, dtype=np.float64))
        if not np.isfinite(paid).all():
            lane = int(np.flatnonzero(~np.isfinite(paid))[0])
            _fail(
                "reward", f"{where} paid {paid[lane]}{self._of(lane)}; look for a division by zero, or the logarithm of something negative"
            )
        return paid

    def _flag(self, told: Any, name: str) -> NDArray[np.bool_]:
        flag = told.detach().cpu().numpy() if isinstance(told, Tensor) else told
        if self.several:
            if not isinstance(flag, np.ndarray) or flag.shape != (self.lanes,) or flag.dtype != np.bool_:
                _fail("flags", f"{name} is {_kind(flag)}; it is a bool for each of {self.lanes} environments")
        elif not isinstance(flag, bool | np.bool_):
            _fail("flags", f"{name} is {_kind(flag)}; it is a bool: terminated where the task is over, truncated where only time is")
        return np.atleast_1d(np.asarray(flag, dtype=bool)).copy()

    def _last(self, infos: dict[str, Any], ended: NDArray[np.bool_], shown: Array, at: int) -> Array:
        """(lane, inputs) what was seen last, meaningful where an episode ended."""
        if self.mode is not AutoresetMode.SAME_STEP or not ended.any():
            return shown
        final = infos.get("final_obs")
        if final is None:
            _fail("autoreset", f"an episode ended with step {at}, and infos have no 'final_obs'; SAME_STEP says there what was seen last")
        last = shown.copy()
        for lane in np.flatnonzero(ended):
            one = final[lane].detach().cpu().numpy() if isinstance(final, Tensor) else final[lane]
            if one is None or np.shape(one) != self.space.shape:
                _fail(
                    "autoreset", f"infos['final_obs'][{lane}] of step {at} is {_kind(one)}; the episode that ended there has an observation"
                )
            last[lane] = np.asarray(one, dtype=np.float64).reshape(-1)
            if not np.isfinite(last[lane]).all():
                _fail("autoreset", f"infos['final_obs'][{lane}] of step {at} has numbers that are not finite")
        return last

    def _check_pause(self, before: NDArray[np.bool_], reward: Array, ended: NDArray[np.bool_], at: int) -> None:
        """In NEXT_STEP mode the step after an end is spent on the reset: nothing is paid, and nothing ends."""
        busy = np.flatnonzero(before & ((reward != 0.0) | ended))
        if len(busy):
            what = f"paid {reward[busy[0]]:g}" if reward[busy[0]] else "ended an episode"
            rest = "in NEXT_STEP mode that step is the reset, which pays 0 and ends nothing; is the mode SAME_STEP?"
            _fail("autoreset", f"environment {busy[0]} {what} in step {at}, right after its episode had ended; {rest}")

    def _look_at_memory(self, raw: Any, shown: Array, ended: NDArray[np.bool_]) -> None:
        if self._kept is not None and not self.shared_memory:
            told, was = self._kept
            now = told.detach().cpu().numpy() if isinstance(told, Tensor) else told
            self.shared_memory = bool((now.reshape(self.lanes, -1) != was).any())
        self._kept = None if ended.any() else (raw, shown)

    def _named(self, lane: int, column: int) -> str:
        names = getattr(self.env.unwrapped, "observation_names", None)
        return (repr(names[column]) if names is not None else f"number {column}") + self._of(lane)

    def _of(self, lane: int) -> str:
        return f" of environment {lane}" if self.several else ""


def _check_spaces(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> gym.spaces.Box:
    """The space of one observation, when an agent can see in it and act beside it."""
    prefix = "single_" if isinstance(env, VectorEnv) else ""
    for name in (f"{prefix}observation_space", f"{prefix}action_space"):
        if not isinstance(getattr(env, name, None), gym.Space):
            _fail("spaces", f"{type(env).__name__} has no {name}; set it in __init__, to one of gymnasium.spaces")
    seen, acted = getattr(env, f"{prefix}observation_space"), getattr(env, f"{prefix}action_space")
    try:
        Spaces.of(seen, acted)
        if isinstance(env, VectorEnv):
            reset_mode(env)
    except SettingsError as error:
        _fail("spaces", str(error))
    if isinstance(env, VectorEnv):
        for name, single in (("observation_space", seen), ("action_space", acted)):
            shape, wanted = getattr(env, name).shape, (env.num_envs, *(single.shape or ()))
            if shape != wanted:
                _fail("spaces", f"{name} has the shape {shape}, expected {wanted}; make it by gymnasium.vector.utils.batch_space")
    assert isinstance(seen, gym.spaces.Box), "Spaces has refused all others"
    return seen


def _check_same(first: _Episodes, again: _Episodes, seed: int) -> None:
    """The same seed and the same actions give the same episodes, from the first observation on."""
    for name, what in (("observations", "the observation"), ("rewards", "the reward"), ("terminated", "the end"), ("truncated", "the end")):
        one, other = getattr(first, name), getattr(again, name)
        differ = np.argwhere(one != other)
        if len(differ):
            at, lane = differ[0][:2]
            where = "after reset" if name == "observations" and at == 0 else f"in step {at - (name == 'observations')}"
            rest = "draw every random number from self.np_random, call super().reset(seed=seed), and let reset forget everything"
            _fail("seeding", f"two resets by the seed {seed} and the same actions differ: {what} of environment {lane} {where}; {rest}")


def _notes(player: _Player, first: _Episodes, other: _Episodes) -> list[str]:
    notes, steps = [], len(first.rewards)
    ended = first.terminated | first.truncated
    if not ended.any():
        notes.append(
            f"no episode ended in {steps} steps: nothing was seen of how it ends; check with more steps, or truncate, as TimeLimit does"
        )
    if np.array_equal(first.observations[: len(other.observations)], other.observations):
        notes.append("another seed gave the same episode: either nothing is drawn at random, or the seed is not used")
    if not first.rewards.any():
        notes.append(f"every reward of {steps} steps was 0: random actions found nothing to learn from")
    if player.mode is AutoresetMode.SAME_STEP and first.ends:
        same = all(np.array_equal(last, first.observations[at + 1, lane]) for (at, lane), last in first.ends.items())
        if same:
            notes.append("final_obs was always what the next episode began with: it should be what was seen before the reset")
    if player.shared_memory:
        notes.append("observations are written into the same memory again: agents here copy them, others may not")
    typical = np.abs(first.observations).mean(axis=(0, 1))
    odd = np.flatnonzero((typical > LARGE) | ((typical > 0) & (typical < 1.0 / LARGE)))
    if len(odd):
        size = f"{player._named(0, int(odd[0]))} is typically {typical[odd[0]]:.3g}"
        notes.append(f"{size}{f', and {len(odd) - 1} more are as far from 1' if len(odd) > 1 else ''}: leave normalise_observations on")
    constant = np.flatnonzero((first.observations == first.observations[:1, :1]).all(axis=(0, 1)))
    if len(constant):
        told = f"{len(constant)} of {first.observations.shape[2]} numbers say nothing"
        notes.append(f"{player._named(0, int(constant[0]))} never changed in {steps} steps: {told}")
    return notes


def _kind(told: Any) -> str:
    if isinstance(told, np.ndarray):
        return f"an array of shape {told.shape} and kind {told.dtype}"
    if isinstance(told, tuple):
        return f"a tuple of {len(told)}"
    return f"{told!r}, of type {type(told).__name__}"


def _fail(check: str, message: str) -> NoReturn:
    raise CheckFailed(check, message)
