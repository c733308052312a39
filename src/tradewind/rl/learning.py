"""The one learning loop of every agent: steps, evaluation on an environment apart, the best weights kept, and checkpoints to go on from.

Source: the best weights are chosen on data of their own, as in Prechelt 1998, https://doi.org/10.1007/3-540-49430-8_3, and never by what
was earned while learning. Costs, beside the learning, an evaluation and a checkpoint as often as the `Schedule` says. Fails, with an error,
where a loss stops being a number; and keeps a lucky moment where evaluations are too few or too short to tell agents apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from gymnasium.vector import VectorEnv

from tradewind.core.clock import SystemClock
from tradewind.core.errors import SettingsError
from tradewind.core.files import canonical_json, save_state, sha256
from tradewind.core.limits import whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import State
from tradewind.nets.checkpoint import load_net, net_state
from tradewind.nets.device import reproducible
from tradewind.rl.checkpoints import Checkpoints, random_state, set_random_state
from tradewind.rl.curve import Curve, Progress
from tradewind.rl.evaluation import Evaluation
from tradewind.rl.evaluation import evaluate as let_act
from tradewind.rl.lanes import Lanes

if TYPE_CHECKING:
    from tradewind.rl.base import Agent

__all__ = ["Learning", "Progress", "Schedule", "learn"]

LINES: Final = 200
"""Of the learning curve, beside those with an evaluation."""


@final
@dataclass(frozen=True)
class Schedule:
    """How long to learn and how often to look up, in counted steps over all environments.

    The agent is let act through `episodes` episodes of the other environment after every `evaluate_every` steps and at the end, and a
    checkpoint is written after every `checkpoint_every` and at the end. An agent takes its steps in pieces: what is due is done after
    the piece in which it became due, and the last piece may end a little after `steps`.
    """

    steps: int = 100_000
    evaluate_every: int = 10_000
    episodes: int = 10
    checkpoint_every: int = 50_000

    def __post_init__(self) -> None:
        whole(**asdict(self))


@final
@dataclass(frozen=True)
class Learning:
    """What happened: the learning curve `history`, and the step after which the weights were what they are now.

    `best` is the evaluation that chose them; without an environment to evaluate on it is None and the weights are the last ones. `steps`
    counted steps and `episodes` were taken in `seconds`, of this and the runs that it went on with; `resumed` is the step of the
    checkpoint it went on from, 0 where it began anew.
    """

    history: tuple[Progress, ...]
    best_step: int
    best: Evaluation | None
    steps: int
    episodes: int
    seconds: float
    resumed: int = 0


def learn(
    agent: Agent,
    env: VectorEnv[Any, Any, Any],
    schedule: Schedule,
    seed: int = 0,
    evaluate: VectorEnv[Any, Any, Any] | None = None,
    folder: str | Path | None = None,
    tensorboard: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Learning:
    """Let `agent` learn in `env`, and leave it with the weights that did best in `evaluate`, by mean return; the first of equals.

    `folder` gets `curve.jsonl`, `best` (the agent's state, for `load_state` and `restore`) and checkpoints. The same call with the same
    folder, after a kill, goes on from the last checkpoint: to the bit where `env` has `state()` and `restore()`, elsewhere with episodes
    that begin anew. `tensorboard` is a folder for events, `progress` hears every line of the curve. Same seed, settings and machine: same
    weights, with and without `evaluate`. Raises SettingsError for an environment that cannot be learned in and for a loss that
    is no number, StateError for a folder of another run, Corrupt for a damaged checkpoint, DataError for numbers that are not finite.
    """
    same = evaluate is not None and evaluate.unwrapped is env.unwrapped
    require(not same, "evaluate is the environment that is learned in; make another one, best of another market")
    with reproducible(derive(seed, agent.name, "learn"), agent.config.threads):
        run = _Run(agent, env, schedule, seed, evaluate, None if folder is None else Path(folder))
        run.resume()
        with Curve(run.folder, tensorboard, run.history) as curve:
            while run.lanes.steps < schedule.steps:
                for line in run.advance():
                    curve.add(line)
                    if progress is not None:
                        progress(line)
                run.save_when_due()
        return run.end()


@final
class _Run:
    """A run between two pieces of steps: all that a checkpoint must hold, beside what agent and lanes hold themselves."""

    def __init__(
        self, agent: Agent, env: VectorEnv[Any, Any, Any], schedule: Schedule, seed: int, judge: VectorEnv[Any, Any, Any] | None,
        folder: Path | None,
    ) -> None:  # fmt: skip
        self.agent, self.schedule, self.seed, self.judge, self.folder = agent, schedule, seed, judge, folder
        self.lanes = Lanes(env, agent.device, derive(seed, "lanes"))
        agent.settle(self.lanes.spaces, seed)
        self.checkpoints = None if folder is None else Checkpoints(folder, self._identity(env))
        agent.begin(self.lanes, schedule.steps, seed)
        self.history: list[Progress] = []
        self.best: Evaluation | None = None
        self.best_step, self.best_weights = 0, State()
        self.episodes, self.seconds, self.resumed, self.before = 0, 0.0, 0, 0
        # Since the line before: sums and counts of what the agent told, returns of episodes, seconds spent learning, and where it stood.
        self.told: dict[str, tuple[float, int]] = {}
        self.returns: list[float] = []
        self.spent, self.line_step = 0.0, 0
        self.clock = SystemClock()
        self.began = self.clock.monotonic()

    def advance(self) -> list[Progress]:
        """One piece of steps; the line that is due after it, if one is."""
        self.before, began = self.lanes.steps, self.clock.monotonic()
        for name, value in self.agent.advance(self.lanes).items():
            if "loss" in name and not math.isfinite(value):
                raise SettingsError(f"the {name} is {value} after {self.lanes.steps} steps; lower learning_rate, or look at the rewards")
            total, n = self.told.get(name, (0.0, 0))
            self.told[name] = (total + float(value), n + 1)
        self.spent += self.clock.monotonic() - began
        judging = self._due(self.schedule.evaluate_every) and self.judge is not None
        return [self._line(judging)] if judging or self._due(max(1, self.schedule.steps // LINES)) else []

    def save_when_due(self) -> None:
        """Write a checkpoint, if one is due."""
        if self.checkpoints is not None and self._due(self.schedule.checkpoint_every):
            self.checkpoints.save(self.lanes.steps, self._state())

    def resume(self) -> None:
        """Stand where the newest checkpoint stood, if there is one."""
        state = None if self.checkpoints is None else self.checkpoints.newest()
        if state is None:
            return
        values = state.values
        load_net(self.agent.nets, state.child("nets"))
        load_net(self.agent.norm, state.child("norm"))
        self.agent.take_back(state.child("agent"))
        self.lanes.restore(state.child("lanes"))
        self.best_weights, self.best_step = state.child("best"), values["best_step"]
        self.history = [Progress.from_values(line) for line in values["history"]]
        judged = [line.evaluation for line in self.history if line.step == self.best_step]
        self.best = judged[0] if judged and self.best_step else None
        self.told = {name: (total, n) for name, (total, n) in values["told"].items()}
        self.returns, self.episodes = list(values["returns"]), values["episodes"]
        self.seconds, self.spent, self.line_step = values["seconds"], values["spent"], values["line_step"]
        self.resumed = self.lanes.steps
        set_random_state(state.child("random").arrays)

    def end(self) -> Learning:
        """Put the best weights back and say what happened."""
        if self.best is not None:
            load_net(self.agent.nets, self.best_weights.child("nets"))
            load_net(self.agent.norm, self.best_weights.child("norm"))
        steps = self.lanes.steps
        best_step = steps if self.best is None else self.best_step
        return Learning(tuple(self.history), best_step, self.best, steps, self.episodes, self._elapsed(), self.resumed)

    # -- inside ----------------------------------------------------------------------------------------------------------
    def _due(self, every: int) -> bool:
        return self.lanes.steps // every > self.before // every or self.lanes.steps >= self.schedule.steps

    def _elapsed(self) -> float:
        return self.seconds + self.clock.monotonic() - self.began

    def _line(self, judging: bool) -> Progress:
        self._count_episodes()
        evaluation = self._judge() if judging else None
        step, spent = self.lanes.steps, self.spent
        speed = (step - self.line_step) / spent if spent > 0 else 0.0
        mean_return = sum(self.returns) / len(self.returns) if self.returns else None
        metrics = {name: total / n for name, (total, n) in self.told.items()}
        line = Progress(step, self.schedule.steps, self._elapsed(), speed, self.episodes, mean_return, metrics, evaluation)
        self.history.append(line)
        self.told, self.returns, self.spent, self.line_step = {}, [], 0.0, step
        return line

    def _count_episodes(self) -> None:
        over = [earned for earned, _ in self.lanes.finished()]
        self.returns += over
        self.episodes += len(over)

    def _judge(self) -> Evaluation:
        assert self.judge is not None, "a line is judged only where there is an environment for it"
        evaluation = let_act(self.agent, self.judge, self.schedule.episodes, derive(self.seed, "evaluation"))
        if self.best is None or evaluation.mean > self.best.mean:
            self.best, self.best_step = evaluation, self.lanes.steps
            self.best_weights = State().nest("nets", net_state(self.agent.nets)).nest("norm", net_state(self.agent.norm))
            if self.folder is not None:
                save_state(self.folder / "best", self.agent.state())
        return evaluation

    def _state(self) -> State:
        self._count_episodes()
        told = {
            "history": [line.values() for line in self.history], "best_step": self.best_step, "returns": self.returns,
            "told": {name: list(pair) for name, pair in self.told.items()}, "episodes": self.episodes, "seconds": self._elapsed(),
            "spent": self.spent, "line_step": self.line_step,
        }  # fmt: skip
        state = State(told).nest("agent", self.agent.put_away()).nest("lanes", self.lanes.state()).nest("best", self.best_weights)
        state = state.nest("nets", net_state(self.agent.nets)).nest("norm", net_state(self.agent.norm))
        return state.nest("random", State({}, random_state()))

    def _identity(self, env: VectorEnv[Any, Any, Any]) -> dict[str, Any]:
        """What must be the same for a run to go on; what the environment first shows tells one market from another."""
        config = {key: value for key, value in asdict(self.agent.config).items() if key not in ("device", "threads")}
        parts = {"config": config, "schedule": asdict(self.schedule), "spaces": self.lanes.spaces.values()}
        start = net_state(self.agent.nets).nest("norm", net_state(self.agent.norm))
        weights = b"".join(start.arrays[name].tobytes() for name in sorted(start.arrays))
        told = {
            **{f"{part} {key}": value for part, entries in parts.items() for key, value in entries.items()},
            "agent": self.agent.name, "seed": self.seed, "lanes": self.lanes.size, "autoreset mode": self.lanes.mode.value,
            "environment": type(env.unwrapped).__name__, "evaluate": None if self.judge is None else type(self.judge.unwrapped).__name__,
            "first observations": _digest(self.lanes), "first weights": sha256(weights)[:12],
            "first observations to evaluate": None if self.judge is None else _digest(Lanes(self.judge, self.lanes.device, self.seed)),
        }  # fmt: skip
        return dict(json.loads(canonical_json(told)))


def _digest(lanes: Lanes) -> str:
    return sha256(lanes.observations.cpu().numpy().tobytes())[:12]
