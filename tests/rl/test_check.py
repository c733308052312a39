"""check_environment: sound environments pass, and each fault is named with its mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tests.rl.environments import Walk

from tradewind.core.errors import CheckFailed, SettingsError
from tradewind.rl.check import check_environment


class Sound(gym.Env[Any, Any]):
    """A drunkard's walk of at most 12 steps; its parts are replaced by the faults below."""

    def __init__(self) -> None:
        self.observation_space: Any = Box(-9.0, 9.0, (2,), np.float32)
        self.action_space: Any = Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.at, self.place = 0, float(self.np_random.uniform(-1.0, 1.0))
        return self.shown(), {}

    def step(self, action: Any) -> Any:
        self.at += 1
        self.place += 0.2 * (2 * int(np.ravel(action)[0] > 0) - 1) + float(self.np_random.normal(0.0, 0.1))
        return self.shown(), self.paid(), self.over(), self.at >= 12, self.told()

    def shown(self) -> Any:
        return np.array([self.place, self.at / 12], dtype=np.float32)

    def paid(self) -> Any:
        return -abs(self.place)

    def over(self) -> Any:
        return abs(self.place) > 2.0

    def told(self) -> Any:
        return {}


def made(**parts: Callable[..., Any]) -> Any:
    return type("Mine", (Sound,), parts)()


def several(mode: AutoresetMode = AutoresetMode.SAME_STEP, kind: Callable[[], Any] = Sound) -> SyncVectorEnv:
    return SyncVectorEnv([kind] * 3, autoreset_mode=mode)


def test_sound_environments_pass_without_a_note() -> None:
    assert check_environment(Sound()) == ()
    for mode in AutoresetMode:
        assert check_environment(several(mode)) == ()


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1"])
def test_gymnasiums_own_pass(name: str) -> None:
    assert check_environment(gym.make(name)) == ()
    assert check_environment(gym.make_vec(name, 2, vectorization_mode="sync")) == ()


@pytest.mark.parametrize("torches", [True, False])
def test_tensors_pass_and_memory_that_is_written_again_is_noted(torches: bool) -> None:
    (note,) = check_environment(Walk(torches=torches))
    assert note.startswith("observations are written into the same memory again")


def without(name: str) -> Callable[..., Any]:
    def begin(self: Any) -> None:
        Sound.__init__(self)
        delattr(self, name)

    return begin


def with_space(**spaces: Any) -> Callable[..., Any]:
    def begin(self: Any) -> None:
        Sound.__init__(self)
        vars(self).update(spaces)

    return begin


def fixed(value: Any) -> Callable[..., Any]:
    return lambda self, *_, **__: value


FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no observation space", {"__init__": without("observation_space")}, "spaces", "Mine has no observation_space; set it in __init__"),
    ("no action space", {"__init__": without("action_space")}, "spaces", "Mine has no action_space"),
    (
        "a space of words",
        {"__init__": with_space(observation_space=Dict({"a": Box(0, 1)}))},
        "spaces",
        "wrap the environment in .*Flatten",
    ),
    (
        "an unbounded action",
        {"__init__": with_space(action_space=Box(-np.inf, np.inf, (1,)))},
        "spaces",
        "give the Box a finite low",
    ),
    ("a reset without a seed", {"reset": lambda self: (self.shown(), {})}, "reset", r"signature is reset\(self, \*, seed=None"),
    ("a reset of one thing", {"reset": fixed(np.zeros(2, np.float32))}, "reset", "returns two things"),
    ("a reset without info", {"reset": fixed((np.zeros(2, np.float32), None))}, "reset", "info of reset.. is None.* it is a dict"),
    ("a list", {"shown": fixed([0.0, 1.0])}, "observation", r"showed \[0.0, 1.0\], of type list; an observation is a numpy array"),
    ("another shape", {"shown": fixed(np.zeros(3, np.float32))}, "observation", r"the shape \(3,\); the observation space says \(2,\)"),
    ("another kind", {"__init__": with_space(observation_space=Box(0, 9, (2,), np.int64))}, "observation", "showed float32; .* says int64"),
    ("no number", {"shown": fixed(np.array([0.0, np.nan], np.float32))}, "observation", "nan as number 1; fill or leave out"),
    ("no numbers", {"shown": fixed(np.full(2, np.inf, np.float32))}, "observation", "inf as number 0, and 1 more numbers are not finite"),
    (
        "out of space",
        {"shown": fixed(np.array([0.0, 9.5], np.float32))},
        "observation",
        r"number 1 is .*: 9.5 does not lie in \[-9, 9\]",
    ),
    ("a step of four", {"step": lambda self, action: (self.shown(), 0.0, True, {})}, "step", "a tuple of 4; it returns five things"),
    ("no info", {"told": fixed(None)}, "step", "the info of step.. is None.* it is a dict"),
    ("an array as reward", {"paid": fixed(np.zeros(1))}, "reward", r"an array of shape \(1,\) .*; a reward is a float"),
    ("a word as reward", {"paid": fixed("much")}, "reward", "'much', of type str; a reward is a float"),
    ("a reward that is none", {"paid": fixed(float("nan"))}, "reward", "paid nan; look for a division by zero"),
    ("a flag that is a number", {"over": fixed(1)}, "flags", "terminated is 1, of type int; it is a bool"),
]


@pytest.mark.parametrize(("parts", "check", "message"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_each_fault_is_named(parts: dict[str, Any], check: str, message: str) -> None:
    with pytest.raises(CheckFailed, match=message) as caught:
        check_environment(made(**parts))
    assert caught.value.check == check


def test_randomness_that_no_seed_fixes_is_named() -> None:
    stream = np.random.default_rng(0)

    def reset(self: Any, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.at, self.place = 0, float(stream.uniform(-1.0, 1.0))
        return self.shown(), {}

    with pytest.raises(CheckFailed, match=r"seeding: .*the observation of environment 0 after reset; draw every .* from self\.np_random"):
        check_environment(made(reset=reset))
    with pytest.raises(CheckFailed, match=r"seeding: .*the reward of environment 0 in step 0"):
        check_environment(made(paid=lambda self: float(stream.normal())))


def test_what_outlives_a_reset_is_named() -> None:
    def paid(self: Any) -> float:
        self.count = getattr(self, "count", 0) + 1
        return float(self.count)

    with pytest.raises(CheckFailed, match="let reset forget everything"):
        check_environment(made(paid=paid))


def test_a_fault_at_the_end_of_an_episode_is_found() -> None:
    def shown(self: Any) -> Any:
        return np.array([self.place if self.at < 12 else np.nan, 0.0], dtype=np.float32)

    for env in (made(shown=shown), several(kind=lambda: made(shown=shown))):
        with pytest.raises(CheckFailed, match=r"not finite|nan"):
            check_environment(env)


# -- several -----------------------------------------------------------------------------------------------------------------
class Changed(Walk):
    """A walk whose answer goes through `change` before it is given."""

    def __init__(self, change: Callable[[list[Any]], object], **settings: Any) -> None:
        super().__init__(torches=False, **settings)
        self.change = change

    def step(self, actions: Any) -> Any:
        told = [np.copy(part) if isinstance(part, np.ndarray) else part for part in super().step(actions)]
        self.change(told)
        return tuple(told)


def put(part: int, value: Any) -> Callable[[list[Any]], object]:
    return lambda told: told.__setitem__(part, value)


SEVERAL_FAULTS: list[tuple[str, Callable[[list[Any]], object], str]] = [
    ("one observation for all", put(0, np.zeros(2, np.float32)), r"observation: .*shape \(2,\); the observation space says \(4, 2\)"),
    ("one reward for all", put(1, 0.5), r"reward: .* paid 0.5, of type float; the rewards of 4 environments are numbers of shape \(4,\)"),
    ("rewards in rows", put(1, np.zeros((4, 1))), r"reward: .*shape \(4, 1\)"),
    ("a reward that is none", put(1, np.array([0.0, 0.0, np.inf, 0.0])), "reward: .*paid inf of environment 2"),
    (
        "flags that are numbers",
        put(2, np.zeros(4)),
        r"flags: terminated is .* kind float64; it is a bool for each of 4",
    ),
    ("no last observation", put(4, {}), "autoreset: .*infos have no 'final_obs'; SAME_STEP says there"),
    ("an empty one", put(4, {"final_obs": np.full(4, None, dtype=object)}), r"autoreset: infos\['final_obs'\]\[\d\] of step \d+ is None"),
    ("one that is none", put(4, {"final_obs": np.full((4, 2), np.nan)}), "autoreset: .*numbers that are not finite"),
    ("an observation that is none", lambda told: told[0].__setitem__((3, 1), np.nan), "observation: .*nan as number 1 of environment 3"),
]


@pytest.mark.parametrize(("change", "message"), [fault[1:] for fault in SEVERAL_FAULTS], ids=[fault[0] for fault in SEVERAL_FAULTS])
def test_each_fault_of_several_is_named(change: Callable[[list[Any]], object], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        check_environment(Changed(change))


def test_names_of_observations_are_used() -> None:
    env = Changed(lambda told: told[0].__setitem__((3, 1), np.nan))
    env.observation_names = ("rsi", "held")  # type: ignore[attr-defined]
    with pytest.raises(CheckFailed, match="nan as 'held' of environment 3"):
        check_environment(env)


def test_a_mode_that_is_not_kept_is_named() -> None:
    env = Walk(torches=False, length=3)
    env.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    env.drift = 0.6
    with pytest.raises(CheckFailed, match=r"autoreset: environment . .* right after its episode had ended; .* is the mode SAME_STEP"):
        check_environment(env)
    env.metadata = {}
    with pytest.raises(CheckFailed, match=r"spaces: .*autoreset_mode.* is None"):
        check_environment(env)


def test_a_reset_of_all_where_some_were_asked_is_named() -> None:
    class Eager(SyncVectorEnv):
        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            return super().reset(seed=seed)

    with pytest.raises(CheckFailed, match=r"autoreset: .*'reset_mask'.* also reset environment \d, which was not asked for"):
        check_environment(Eager([Sound] * 3, autoreset_mode=AutoresetMode.DISABLED))


def test_spaces_of_several_are_batched() -> None:
    env = Walk(torches=False)
    env.action_space = Discrete(3)
    with pytest.raises(CheckFailed, match=r"spaces: action_space has the shape \(\), expected \(4,\); make it by .*batch_space"):
        check_environment(env)


# -- notes -----------------------------------------------------------------------------------------------------------------
WIDE = Box(-9e5, 9e5, (2,))
NOTES: list[tuple[str, Callable[[], Any], str]] = [
    ("no end", lambda: made(shown=bounded, step=endless), "no episode ended"),
    ("nothing random", lambda: made(reset=planned, step=planned_step), "another seed gave the same episode"),
    ("no reward", lambda: made(paid=fixed(0.0)), "every reward of 500 steps was 0"),
    ("large", lambda: made(__init__=with_space(observation_space=WIDE), shown=large), "number 0 is typically .*: leave normalise_"),
    ("constant", lambda: made(shown=dull), "number 1 never changed in 500 steps: 1 of 2 numbers"),
    ("the start as the end", lambda: Changed(lambda told: told[4].update(final_obs=told[0])), "final_obs was always what the next"),
]  # fmt: skip


def endless(self: Any, action: Any) -> Any:
    shown, reward, _, _, infos = Sound.step(self, action)
    return shown, reward, False, False, infos


def planned(self: Any, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
    self.at, self.place = 0, 0.5
    return self.shown(), {}


def planned_step(self: Any, action: Any) -> Any:
    self.at += 1
    self.place *= 0.9
    return self.shown(), self.paid(), False, self.at >= 12, {}


def bounded(self: Any) -> Any:
    return np.array([np.tanh(self.place), 0.5 + (self.at > 9)], np.float32)


def dull(self: Any) -> Any:
    return np.array([self.place, 1.0], np.float32)


def large(self: Any) -> Any:
    return np.array([3e4 * self.place, self.at / 12], np.float32)


@pytest.mark.parametrize(("kind", "message"), [note[1:] for note in NOTES], ids=[note[0] for note in NOTES])
def test_what_is_allowed_and_worth_knowing_is_noted(kind: Callable[[], Any], message: str) -> None:
    notes = check_environment(kind())
    assert any(re.search(message, note) for note in notes), notes


def test_anything_else_is_refused() -> None:
    with pytest.raises(CheckFailed, match=r"str is neither a gymnasium.Env nor"):
        check_environment("CartPole-v1")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="steps is 0"):
        check_environment(Sound(), steps=0)


def test_random_states_are_left_alone() -> None:
    before = torch.get_rng_state()
    check_environment(Sound())
    assert torch.equal(before, torch.get_rng_state())
