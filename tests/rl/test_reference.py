"""The bands that everybody's agents reach in Gymnasium's classic tasks, by the bench's own settings; and the bench's books."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

BENCH = "rl_reference"


AGENTS = ("ppo", "double-dqn", "d3qn", "twin-d3qn", "rainbow")
HOPELESS = pytest.mark.xfail(reason="the lower of two critics hopes for least where it has not been: docs/results.md", strict=False)
PAIRS = [
    pytest.param(environment, agent, marks=[HOPELESS] if (environment, agent) == ("Acrobot-v1", "twin-d3qn") else [])
    for environment in ("CartPole-v1", "Acrobot-v1")
    for agent in AGENTS
]


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "agent"), PAIRS)
def test_an_agent_reaches_the_band(bench: ModuleType, environment: str, agent: str) -> None:
    line = bench.measure(environment, agent, seed=1)
    print(line)
    assert line["steps"] <= 100_000 and line["episodes"] >= 20
    assert line["mean"] >= bench.BANDS[environment]


def test_a_line_tells_what_was_done(bench: ModuleType) -> None:
    run = bench.Run(300, 2, {"hidden": (8,), "batch": 8, "learning_starts": 100, "device": "cpu"}, 150)
    line = bench.measure("CartPole-v1", "rainbow", 7, run)
    assert (line["environment"], line["agent"], line["seed"], line["steps"], line["episodes"]) == ("CartPole-v1", "rainbow", 7, 300, 50)
    assert 8 <= line["mean"] <= 500 and 8 <= line["last"] <= 500 and 0 < line["best_step"] <= 400
    assert {**bench.measure("CartPole-v1", "rainbow", 7, run), "seconds": 0, "cpu_seconds": 0} == {**line, "seconds": 0, "cpu_seconds": 0}


def test_seeds_are_summed_up_without_favour(bench: ModuleType) -> None:
    def line(mean: float, last: float) -> dict[str, Any]:
        return {"environment": "CartPole-v1", "agent": "ppo", "steps": 100, "mean": mean, "last": last, "cpu_seconds": 2.0}

    told = bench.summary([line(500.0, 500.0), line(450.0, 90.0), line(475.0, 490.0)])
    assert (told["mean"], told["least"], told["last"], told["seeds"], told["reached"]) == (475.0, 450.0, 360.0, 3, True)
    missed = bench.summary([line(500.0, 500.0), line(449.0, 449.0)])
    assert missed["mean"] == 474.5 and not missed["reached"]
    rows = bench.table([told, missed]).splitlines()
    assert len(rows) == 4 and "475 reached" in rows[2] and "475 missed" in rows[3] and "475.0 (450.0), 3 seeds" in rows[2]


def test_every_pair_of_the_classics_has_settings(bench: ModuleType) -> None:
    wanted = {(environment, agent) for environment in ("CartPole-v1", "Acrobot-v1") for agent in bench.AGENTS}
    assert wanted | {("LunarLander-v3", "ppo")} == set(bench.SETTINGS)
    assert all(run.steps <= 100_000 or environment == "LunarLander-v3" for (environment, _), run in bench.SETTINGS.items())
