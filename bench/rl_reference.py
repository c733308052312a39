"""Do the agents learn what everybody's agents learn? One JSON line a run, one a pair of agent and environment, and a table.

    OMP_NUM_THREADS=1 python bench/rl_reference.py [--environments CartPole-v1,Acrobot-v1] [--agents ppo,double-dqn,d3qn,twin-d3qn,rainbow]
                                                   [--seeds 3] [--out runs/rl_reference]
    OMP_NUM_THREADS=1 nice python bench/rl_reference.py --environments LunarLander-v3 --agents ppo

Gymnasium's classic tasks, as they are. `SETTINGS` is all there is to set: one entry a pair, the same for every seed, chosen on seeds from
100 up, which are not reported. An agent's best weights are chosen by evaluations while it learns; `mean` is what they then earn in 50
episodes of another environment under other seeds, since the best of several evaluations is a flattered number. `last` is the last
evaluation of the run, whose weights nobody chose. The bands are those of the literature: 475 is what CartPole counts as solved,
-100 and 200 are those of Acrobot and LunarLander. What is finished lies in `--out` and is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

import tradewind as tw
from tradewind.core.files import read_json, write_json
from tradewind.core.seeds import derive
from tradewind.evaluate.identity import digest

BANDS = {"CartPole-v1": 475.0, "Acrobot-v1": -100.0, "LunarLander-v3": 200.0}
AGENTS = ("ppo", "double-dqn", "d3qn", "twin-d3qn", "rainbow")
EPISODES = 50
"""Played by the chosen weights, in an environment and under seeds of their own."""
JUDGES = 10
"""Environments side by side in evaluations."""


@dataclass(frozen=True)
class Run:
    """How one agent learns one task: `steps` over all `lanes`, evaluated over 20 episodes every `evaluate_every`."""

    steps: int
    lanes: int
    config: dict[str, Any] = field(default_factory=dict)
    evaluate_every: int = 5_000


POLICY: dict[str, Any] = {"hidden": (64, 64), "rollout": 1_024, "learning_rate": 1e-3}
VALUE: dict[str, Any] = {"hidden": (64, 64), "batch": 64, "learning_rate": 1e-3, "n_step": 3}
SWING: dict[str, Any] = {**VALUE, "train_every": 8, "target_every": 25}
"""What reaching the goal is worth comes to the first of its 80 steps by three of them with each update of the older net."""
DUELING: dict[str, Any] = {**VALUE, "train_every": 2, "target_every": 100}
"""How good it is to be here falls for all actions alike while no goal was seen; to tell them apart takes more updates."""
LANDER: dict[str, Any] = {
    "hidden": (64, 64), "rollout": 16_384, "epochs": 4, "discount": 0.999, "gae_lambda": 0.98, "entropy_weight": 0.01
}  # fmt: skip
"""Rollout, batch, epochs, discount, lambda and entropy are those of the RL Zoo for this task; the learning rate falls to 0."""
SETTINGS = {
    ("CartPole-v1", "ppo"): Run(50_000, 8, POLICY),
    ("Acrobot-v1", "ppo"): Run(50_000, 8, POLICY),
    **{("CartPole-v1", kind): Run(40_000, 4, VALUE) for kind in AGENTS[1:4]},
    ("CartPole-v1", "rainbow"): Run(60_000, 4, VALUE),
    ("Acrobot-v1", "double-dqn"): Run(80_000, 8, {**SWING, "exploration": 0.3}, 8_000),
    **{("Acrobot-v1", kind): Run(80_000, 8, {**DUELING, "exploration": 0.3}, 8_000) for kind in AGENTS[2:4]},
    ("Acrobot-v1", "rainbow"): Run(60_000, 8, SWING),
    ("LunarLander-v3", "ppo"): Run(1_000_000, 16, LANDER, 50_000),
}


def environment(name: str, lanes: int) -> VectorEnv[Any, Any, Any]:
    """`lanes` of Gymnasium's environment `name`, one after the other in this process."""
    return gymnasium.make_vec(name, lanes, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})


def measure(name: str, kind: str, seed: int, told: Run | None = None) -> dict[str, Any]:
    """Learn, put the best weights back, and play with them elsewhere: one line."""
    run = SETTINGS[name, kind] if told is None else told
    agent = tw.rl.agent(kind, **run.config)
    began, used = time.perf_counter(), time.process_time()
    learning = agent.learn(
        environment(name, run.lanes),
        run.steps,
        seed=seed,
        evaluate=environment(name, JUDGES),
        evaluate_every=run.evaluate_every,
        episodes=20,
    )
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    judged = tw.rl.evaluate(agent, environment(name, JUDGES), EPISODES, seed=derive(seed, "report"))
    evaluations = [line.evaluation for line in learning.history if line.evaluation is not None]
    return {
        "bench": "rl reference", "environment": name, "agent": kind, "seed": seed, "steps": run.steps, "lanes": run.lanes,
        "best_step": learning.best_step, "mean": round(judged.mean, 2), "deviation": round(judged.deviation, 2), "episodes": EPISODES,
        "last": round(evaluations[-1].mean, 2), "seconds": round(wall, 1), "cpu_seconds": round(cpu, 1),
    }  # fmt: skip


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """One line for all seeds of a pair."""
    first, means = lines[0], [line["mean"] for line in lines]
    return {
        "bench": "rl reference summary", "environment": first["environment"], "agent": first["agent"], "seeds": len(lines),
        "mean": round(float(np.mean(means)), 2), "least": min(means), "last": round(float(np.mean([line["last"] for line in lines])), 2),
        "band": BANDS[first["environment"]], "reached": bool(np.mean(means) >= BANDS[first["environment"]]), "steps": first["steps"],
        "cpu_seconds": round(float(np.mean([line["cpu_seconds"] for line in lines])), 1),
    }  # fmt: skip


def table(summaries: list[dict[str, Any]]) -> str:
    """The summaries as a table for documents."""
    rows = [
        "| environment | agent | steps | mean of seeds (least) | last evaluation | band | CPU seconds a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in summaries:
        means = f"{line['mean']:.1f} ({line['least']:.1f}), {line['seeds']} seeds"
        verdict = f"{line['band']:g} {'reached' if line['reached'] else 'missed'}"
        place = f"{line['environment']} | {line['agent']} | {line['steps']:,}"
        rows.append(f"| {place} | {means} | {line['last']:.1f} | {verdict} | {line['cpu_seconds']:.0f} |")
    return "\n".join(rows)


def main() -> None:
    """Read the flags, do what is left, print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", default="CartPole-v1,Acrobot-v1")
    parser.add_argument("--agents", default=",".join(AGENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed; those from 100 up are for choosing settings")
    parser.add_argument("--out", default="runs/rl_reference")
    arguments = parser.parse_args()
    summaries = []
    for name in arguments.environments.split(","):
        for kind in arguments.agents.split(","):
            if (name, kind) not in SETTINGS:
                parser.error(f"nothing is set for {kind} in {name}; there is {', '.join(f'{b} in {a}' for a, b in SETTINGS)}")
            lines = []
            for seed in range(arguments.first, arguments.first + arguments.seeds):
                run = SETTINGS[name, kind]
                told = digest({"run": asdict(run), "config": asdict(tw.rl.agent(kind, **run.config).config), "seed": seed})[:8]
                place = Path(arguments.out) / f"{name}-{kind}-{seed}-{told}.json"
                if not place.exists():
                    write_json(place, measure(name, kind, seed))
                lines.append(read_json(place))
                print(json.dumps(lines[-1]), flush=True)
            summaries.append(summary(lines))
            print(json.dumps(summaries[-1]), flush=True)
    print(table(summaries))


if __name__ == "__main__":
    main()
