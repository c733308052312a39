"""Policies of Stable-Baselines3 and Tianshou as agents here, and our environments as theirs.

Source: https://github.com/DLR-RM/stable-baselines3 (Raffin et al. 2021, http://jmlr.org/papers/v22/20-1364.html) and
https://github.com/thu-ml/tianshou (Weng et al. 2022, http://jmlr.org/papers/v23/21-1127.html). Costs what they cost. A policy is saved as
the arrays of its weights, never as a pickle, so whoever loads it must be able to build it anew: that is what `make` is for. Fails with
policies that remember, which are asked one bar at a time here.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Final, Self, final

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import nn

from tradewind.core.clock import SystemClock
from tradewind.core.errors import MissingExtra, NotFitted, SettingsError, StateError
from tradewind.core.limits import whole
from tradewind.core.seeds import derive
from tradewind.core.settings import load, require
from tradewind.core.types import State
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.rl.curve import Progress
from tradewind.rl.evaluation import Evaluation, evaluate
from tradewind.rl.lanes import reset_mode
from tradewind.rl.learning import Learning
from tradewind.rl.spaces import Spaces

__all__ = ["ForeignAgent", "stable_baselines", "tianshou"]

Make = Callable[[Any, int], Any]
"""`make(env, seed)` builds a model on a VectorEnv: an algorithm of Stable-Baselines3, or an object with Tianshou's `policy`. To learn in a
walk-forward it has `learn(steps)`, as Stable-Baselines3's have. It is also called with an environment that has spaces and nothing else."""


@final
class ForeignAgent:
    """`model`, trained elsewhere, acts here; or `make`, a function or its place `my_module:make`, builds one, which then learns and acts.

    A model is an algorithm of Stable-Baselines3, or Tianshou's algorithm or policy, or an object that has one as its `policy`. It may be
    used wherever an agent acts: `tradewind.rl.evaluate`, a `Trader`, a strategy. Raises SettingsError for anything else.
    """

    name: Final = "foreign"

    def __init__(self, model: Any = None, make: str | Make | None = None) -> None:
        require(model is not None or make is not None, "a foreign agent is a trained model, or a function `make` that builds one")
        self._make: Make | None = load(make) if isinstance(make, str) else make
        self.spaces: Spaces | None = None
        self._model: Any = None
        if model is not None:
            self._take(model)

    @property
    def model(self) -> Any:
        """The library's own object; None before `learn` or `restore`."""
        return self._model

    def act(self, observations: NDArray[Any], deterministic: bool = True) -> NDArray[Any]:
        """Actions (lane, ...) in the environment's own terms for observations (lane, inputs). Raises NotFitted without a model."""
        if self._model is None:
            raise NotFitted("this foreign agent has no model yet; call learn(vector_env) or restore(state) first")
        if hasattr(self._model, "predict"):
            return np.asarray(self._model.predict(observations, deterministic=deterministic)[0])
        return _answer(self._policy, observations, deterministic)

    def learn(
        self,
        vector_env: VectorEnv[Any, Any, Any],
        steps: int = 100_000,
        *,
        seed: int = 0,
        evaluate: VectorEnv[Any, Any, Any] | None = None,
        evaluate_every: int = 10_000,
        episodes: int = 10,
    ) -> Learning:
        """Let the library's own loop learn for at least `steps` steps, in pieces of `evaluate_every`, and keep the weights that did best.

        The lanes of `vector_env` are the library's environments. Raises SettingsError without `make`, or for a model that cannot learn.
        """
        whole(steps=steps, evaluate_every=evaluate_every, episodes=episodes)
        if self._make is None:
            raise SettingsError("this foreign agent is a trained model; give make=, a function that builds one, to let it learn")
        clock, history, taken = SystemClock(), list[Progress](), 0
        best: tuple[Evaluation, int, State] | None = None
        began = clock.monotonic()
        with reproducible(derive(seed, "foreign", "learn")):
            self.spaces = Spaces.of(vector_env.single_observation_space, vector_env.single_action_space)
            self._take(self._make(vector_env, derive(seed, "foreign", "model")))
            while taken < steps:
                piece, before = min(evaluate_every, steps - taken), clock.monotonic()
                _teach(self._model, piece)
                taken, spent = taken + piece, clock.monotonic() - before
                judged = None if evaluate is None else _judge(self, evaluate, episodes, seed)
                history.append(Progress(taken, steps, clock.monotonic() - began, piece / max(spent, 1e-9), 0, None, {}, judged))
                if judged is not None and (best is None or judged.mean > best[0].mean):
                    best = judged, taken, net_state(self._policy)
        if best is not None:
            load_net(self._policy, best[2])
        step, chosen = (taken, None) if best is None else (best[1], best[0])
        return Learning(tuple(history), step, chosen, taken, 0, clock.monotonic() - began)

    def state(self) -> State:
        """The weights of the policy as arrays, and the spaces that it acts in."""
        about = State({"agent": self.name, "spaces": None if self.spaces is None else self.spaces.values()})
        return about if self._model is None else about.nest("policy", net_state(self._policy))

    def restore(self, state: State) -> Self:
        """Take over the weights in `state`, into the model that is there or a new one by `make`.

        Raises StateError when they do not fit, or when there is no way to build a model for them.
        """
        if state.values.get("agent") != self.name:
            raise StateError(f"this is the state of {state.values.get('agent', 'no agent')!r}, not of a foreign agent")
        if "policy" not in state.values:
            self._model = None
            return self
        told = state.values["spaces"]
        self.spaces = None if told is None else Spaces.from_values(told)
        if self._model is None:
            if self._make is None or self.spaces is None:
                raise StateError("weights alone make no policy; give ForeignAgent the `make` that built it, or a model of the same build")
            self._take(self._make(_SpacesAlone(self.spaces), 0))
        load_net(self._policy, state.child("policy"))
        return self

    def _take(self, model: Any) -> None:
        policy = getattr(model, "policy", model)
        if not isinstance(policy, nn.Module) or not (hasattr(model, "predict") or hasattr(policy, "map_action")):
            kinds = "an algorithm of Stable-Baselines3, or Tianshou's algorithm or policy"
            raise SettingsError(f"{type(model).__name__} is no model that is known here; give {kinds}")
        self._model, self._policy = model, policy


def stable_baselines(env: VectorEnv[Any, Any, Any], seed: int = 0) -> Any:
    """`env` as a VecEnv of Stable-Baselines3, all lanes in one call; a reset begins by `seed`.

    Raises MissingExtra without the library, SettingsError for an environment that resets itself in a step of its own.
    """
    base = _library("stable_baselines3.common.vec_env", "stable-baselines3", "sb3").VecEnv
    _require_same_step(env)

    @final
    class Adapter(base):  # type: ignore[misc, valid-type]
        """The lanes of a VectorEnv, as the library steps them."""

        def __init__(self) -> None:
            super().__init__(int(env.num_envs), env.single_observation_space, env.single_action_space)

        def reset(self) -> NDArray[Any]:
            return np.array(env.reset(seed=seed)[0])

        def step_async(self, actions: NDArray[Any]) -> None:
            self.actions = actions

        def step_wait(self) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
            shown, rewards, terminated, truncated, infos = env.step(self.actions)
            told: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            for lane in np.flatnonzero(terminated | truncated):
                told[lane] = {"terminal_observation": np.array(infos["final_obs"][lane])}
                told[lane]["TimeLimit.truncated"] = bool(truncated[lane] and not terminated[lane])
            return np.array(shown), np.asarray(rewards, np.float32), terminated | truncated, told

        def close(self) -> None:
            env.close()

        def get_attr(self, name: str, indices: Any = None) -> list[Any]:
            return [getattr(env, name, None)] * len(list(self._get_indices(indices)))

        def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
            raise SettingsError(f"{name} is one for all lanes; set it on the environment itself")

        def env_method(self, name: str, *arguments: Any, indices: Any = None, **more: Any) -> list[Any]:
            return [getattr(env, name)(*arguments, **more)] * len(list(self._get_indices(indices)))

        def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:
            return [False] * len(list(self._get_indices(indices)))

    return Adapter()


def tianshou(env: VectorEnv[Any, Any, Any], seed: int = 0) -> Any:
    """`env` as a vector environment of Tianshou, for a Collector that collects steps, all lanes in one call; a reset begins by `seed`.

    Raises MissingExtra without the library, SettingsError for an environment that resets itself in a step of its own, and for a Collector
    that asks for some lanes alone, as one that collects whole episodes does: judge by `tradewind.rl.evaluate`.
    """
    base = _library("tianshou.env.venvs", "tianshou", "tianshou").BaseVectorEnv
    _require_same_step(env)
    lanes = int(env.num_envs)

    @final
    class Adapter(base):  # type: ignore[misc, valid-type]
        """The lanes of a VectorEnv, as the library steps them."""

        def __init__(self) -> None:
            # Its own constructor wants one worker process or object a lane; there are none here.
            self.env_num, self.is_async, self.is_closed, self.waiting_id = lanes, False, False, list[int]()
            self._shown: NDArray[Any] | None = None

        def get_env_attr(self, key: str, id: Any = None) -> list[Any]:  # noqa: A002 - the library's name
            # Here it looks for what Gymnasium's environments have, such as their spaces.
            known = {"action_space": env.single_action_space, "observation_space": env.single_observation_space}
            return [known.get(key, getattr(env, key, None))] * lanes

        def __len__(self) -> int:
            return lanes

        def reset(self, env_id: Any = None, **_: Any) -> tuple[NDArray[Any], NDArray[Any]]:
            # Lanes that ended have begun anew by themselves; the library only asks what they show.
            if env_id is None or self._shown is None:
                self._shown = np.array(env.reset(seed=seed)[0])
            asked = np.arange(lanes) if env_id is None else np.atleast_1d(env_id)
            return self._shown[asked], np.array([{} for _ in asked])

        def step(self, action: Any, id: Any = None) -> tuple[Any, ...]:  # noqa: A002 - the library's name
            require(id is None or len(np.atleast_1d(id)) == lanes, "all lanes step together; let the Collector collect n_step steps")
            shown, rewards, terminated, truncated, infos = env.step(np.asarray(action))
            self._shown = np.array(shown)
            led = self._shown.copy()
            for lane in np.flatnonzero(terminated | truncated):
                led[lane] = infos["final_obs"][lane]
            return led, np.array(rewards), np.array(terminated), np.array(truncated), np.array([{} for _ in range(lanes)])

        def seed(self, seed: Any = None) -> list[None]:
            return [None] * lanes

        def close(self) -> None:
            self.is_closed = True

    return Adapter()


@final
class _SpacesAlone(VectorEnv[Any, Any, Any]):
    """Spaces without a world: enough to build a net for."""

    def __init__(self, spaces: Spaces) -> None:
        self.metadata, self.num_envs = {"autoreset_mode": AutoresetMode.SAME_STEP}, 1
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (spaces.inputs,), np.float32)
        if spaces.discrete:
            self.single_action_space = gymnasium.spaces.Discrete(spaces.actions, start=spaces.start)
        else:
            self.single_action_space = gymnasium.spaces.Box(np.array(spaces.low, np.float32), np.array(spaces.high, np.float32))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, 1)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, 1)


def _answer(policy: Any, observations: NDArray[Any], deterministic: bool) -> NDArray[Any]:
    """What a policy of Tianshou does, all lanes at once."""
    batch = _library("tianshou.data", "tianshou", "tianshou").Batch
    if hasattr(policy, "deterministic_eval"):
        policy.deterministic_eval = deterministic
    with torch.no_grad():
        act = policy(batch(obs=np.asarray(observations), info={})).act
    return np.asarray(policy.map_action(act.cpu().numpy() if isinstance(act, torch.Tensor) else np.asarray(act)))


def _teach(model: Any, steps: int) -> None:
    learn = getattr(model, "learn", None)
    if learn is None:
        raise SettingsError(
            f"{type(model).__name__} has no learn(steps); let `make` give an object that has, or train it and give the model"
        )
    goes_on = "reset_num_timesteps" in inspect.signature(learn).parameters
    learn(steps, reset_num_timesteps=False) if goes_on else learn(steps)


def _judge(agent: ForeignAgent, env: VectorEnv[Any, Any, Any], episodes: int, seed: int) -> Evaluation:
    return evaluate(agent, env, episodes, derive(seed, "evaluation"))


def _require_same_step(env: VectorEnv[Any, Any, Any]) -> None:
    mode = reset_mode(env)
    require(mode is AutoresetMode.SAME_STEP, f"this library wants an environment that resets itself in the same step, not {mode.value}")


def _library(module: str, package: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(package, extra) from None
