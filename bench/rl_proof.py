"""What agents must show where the truth is known: one JSON line a run, and one a table row; see docs/results.md.

    python bench/rl_proof.py [optimum] [planted] [--agents ppo,rainbow] [--seeds 5] [--everywhere]

`optimum`: the trading problem whose best policy is known (`tradewind.rl.KnownOptimum`): the share of the optimal gain that an agent's last
weights earn on signals that it has not learned from. `--everywhere` adds other costs and speeds of the signal.
`planted`: a market whose next return is planted in one feature (R^2 .2). An agent learns on the first 12,000 bars and trades the 8,000
after them, net of costs, beside an oracle that knows the true mean of each next bar and turns where the best policy does.
Then the same with the feature shuffled in time, where nothing is to be earned. Agents see the feature and nothing of the account: the
weight of a short position drifts with the price, which tells the last return, and in this market the last return tells the next. Of SELL,
HOLD and BUY the second keeps what is held, so that no position needs to be seen to turn seldom.
No weights are chosen by any of these numbers: an agent is judged as it stands after its last step.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from tradewind.core.seeds import derive, generator
from tradewind.core.settings import choose
from tradewind.core.types import Array, Features
from tradewind.data.synthetic import Synthetic, planted
from tradewind.engine import backtest
from tradewind.features import compute
from tradewind.rl.base import Agent
from tradewind.rl.known_optimum import KnownOptimum, judge, optimal_gain, sign_gain, solve
from tradewind.rl.registry import agent, agents
from tradewind.rl.trading_vector_env import TradingVectorEnv
from tradewind.simulate.costs import Costs

WANTED: Final = {"optimum": 0.90, "planted": 0.80}
HERE: Final = (0.10, 0.9)
ELSEWHERE: Final = ((0.02, 0.9), (0.30, 0.9), (0.10, 0.8), (0.10, 0.95))
"""Cost and persistence of the known optimum."""
FIRST: Final = 200
LEARNED: Final = 12_000
BARS: Final = 20_000
"""Of the planted market: the first bar that has the feature, the first that is not learned from, and how many there are."""
FEATURE: Final = "ema_distance_200"
COSTS: Final = Costs(fee_bps=10, slippage_bps=0, min_trade=0.01)
STUDENT: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}
"""The 97.5 % quantile of Student's t for so many seeds."""


@dataclass(frozen=True)
class Schooling:
    """How long an agent learns, in how many environments at once, and how it differs from its default config."""

    steps: int
    lanes: int
    settings: Mapping[str, Any]


# Small nets, since there are two numbers to see; steps such that a run takes half a minute of one core or less.
ON_POLICY: Final = Schooling(150_000, 64, {"hidden": (64, 64), "rollout": 8_192, "batch": 512, "learning_rate": 1e-3})
OFF_POLICY: Final = Schooling(40_000, 32, {"hidden": (64, 64)})
# Its own default nets; returns over one step, since three count what noise costs where trading is dear (a share of 0 at a cost of .30).
RAINBOW: Final = Schooling(40_000, 32, {"n_step": 1})


def schooling(name: str) -> Schooling:
    """That of the agent called `name`."""
    return ON_POLICY if name == "ppo" else RAINBOW if name == "rainbow" else OFF_POLICY


def report(name: str, **figures: Any) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 6) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def told(name: str, run: dict[str, Any]) -> dict[str, Any]:
    """The same run, reported."""
    report(name, **run)
    return run


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the two ends of its 95 % interval by Student's t over seeds."""
    mean = statistics.fmean(values)
    reach = STUDENT.get(len(values), 2.0) * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return mean, mean - reach, mean + reach


# -- the known optimum --------------------------------------------------------------------------------------------------
def optimum_run(name: str, seed: int, cost: float = HERE[0], persistence: float = HERE[1], actions: str = "discrete") -> dict[str, Any]:
    """Let one agent learn the trading problem, and judge it; shares above 1 by more than the error would be look-ahead."""
    began, plan = time.process_time(), schooling(name)
    learner = agent(name, **plan.settings)
    learner.learn(KnownOptimum(plan.lanes, cost, persistence, actions=actions), plan.steps, seed=seed)
    took = time.process_time() - began
    judged = judge(learner, KnownOptimum(256, cost, persistence, actions=actions), 1_000, derive(seed, "judge"))
    optimal = optimal_gain(cost, persistence)
    return {
        "agent": name, "cost": cost, "persistence": persistence, "actions": actions, "seed": seed, "steps": plan.steps,
        "gain": judged.gain, "optimal": optimal, "share": judged.share, "error": judged.error / optimal, "cpu_s": round(took, 1),
    }  # fmt: skip


def optimum(asked: argparse.Namespace) -> None:
    """Every agent at every setting asked for, and the row of the table."""
    for cost, persistence in (HERE, *(ELSEWHERE if asked.everywhere else ())):
        blind = sign_gain(cost, persistence) / optimal_gain(cost, persistence)
        report("optimum", agent="sign of the signal", cost=cost, persistence=persistence, share=blind)
        for name in asked.agents:
            seeds = range(asked.seeds if (cost, persistence) == HERE else 1)
            runs = [told("optimum", optimum_run(name, seed, cost, persistence)) for seed in seeds]
            shares = [run["share"] for run in runs]
            mean, low, high = interval(shares)
            above = max((run["share"] - 1.0) / max(run["error"], 1e-12) for run in runs)
            report(
                "optimum, all seeds", agent=name, cost=cost, persistence=persistence, share=mean, low=low, high=high, least=min(shares),
                most_above_in_errors=above, wanted=WANTED["optimum"],
            )  # fmt: skip


# -- the planted market -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class School:
    """A planted market in two parts, with the one feature that tells its next return, or that feature shuffled in time."""

    made: Synthetic
    features: Features

    @classmethod
    def of(cls, seed: int, shuffled: bool) -> School:
        """That of a seed."""
        made = planted(r2=0.2, bars=BARS, seed=seed, fee_bps=COSTS.fee_bps, slippage_bps=COSTS.slippage_bps)
        features = compute(made.market, [FEATURE])
        if shuffled:
            values = features.values.copy()
            values[FIRST:] = generator(seed, "shuffled").permutation(values[FIRST:])
            features = replace(features, values=values)
        return cls(made, features)

    def environment(self, rows: slice, lanes: int, length: int | None, actions: str, seed: int) -> TradingVectorEnv:
        """Trading in some of its bars; observed is the feature alone."""
        market, features = self.made.market[rows], self.features[rows]
        return TradingVectorEnv(market, lanes, features=features, account=(), actions=actions, costs=COSTS, length=length, seed=seed)

    def oracle(self, rows: slice) -> Array:
        """(bar,) log returns of one who knows the mean of each next bar, and turns where that pays for the fee in the long run."""
        mean = self.made.oracle.mean
        assert mean is not None
        size = float(np.std(mean[FIRST:LEARNED]))
        persistence = float(np.corrcoef(mean[FIRST : LEARNED - 1, 0], mean[FIRST + 1 : LEARNED, 0])[0, 1])
        turn = size * solve(COSTS.fee_bps * 1e-4, persistence, size).turn
        known = mean[rows]
        targets = np.where(known >= turn, 1.0, np.where(known <= -turn, -1.0, np.nan))
        return np.diff(np.log(backtest(targets, self.made.market[rows], COSTS).equity))


def earned(learner: Agent, env: TradingVectorEnv) -> Array:
    """(bar,) log returns of an agent that trades one stretch from its first bar to its last."""
    seen, _ = env.reset(seed=0)
    log_returns = []
    while True:
        seen, rewards, terminated, truncated, _ = env.step(learner.act(seen, deterministic=True))
        log_returns.append(float(rewards[0]))
        if terminated[0] or truncated[0]:
            return np.array(log_returns)


def planted_run(name: str, seed: int, shuffled: bool = False, actions: str = "discrete") -> dict[str, Any]:
    """Let one agent learn the first part and trade the second: its log return a bar in basis points, and the oracle's."""
    began, plan = time.process_time(), schooling(name)
    school = School.of(derive(seed, "planted market") % 1_000_000, shuffled)
    learner = agent(name, **plan.settings)
    learner.learn(school.environment(slice(FIRST, LEARNED), plan.lanes, 128, actions, seed), plan.steps, seed=seed)
    took = time.process_time() - began
    later = slice(LEARNED, BARS)
    mine, best = earned(learner, school.environment(later, 1, None, actions, seed)), school.oracle(later)
    share = float(mine.mean() / best.mean())
    root = math.sqrt(len(mine))
    return {
        "agent": name, "shuffled": shuffled, "actions": actions, "seed": seed, "steps": plan.steps, "bars": len(mine),
        "bp_a_bar": 1e4 * float(mine.mean()), "error_bp": 1e4 * float(mine.std()) / root, "oracle_bp": 1e4 * float(best.mean()),
        "share": share, "share_error": float((mine - share * best).std()) / root / float(best.mean()), "cpu_s": round(took, 1),
    }  # fmt: skip


def planted_market(asked: argparse.Namespace) -> None:
    """Every agent with the feature and with the feature shuffled, and the row of the table."""
    for shuffled in (False, True):
        for name in asked.agents:
            runs = [told("planted", planted_run(name, seed, shuffled)) for seed in range(asked.seeds)]
            key = "bp_a_bar" if shuffled else "share"
            mean, low, high = interval([run[key] for run in runs])
            figures = {key: mean, "low": low, "high": high, "least": min(run[key] for run in runs), "most": max(run[key] for run in runs)}
            report("planted, all seeds", agent=name, shuffled=shuffled, **figures, wanted="0" if shuffled else WANTED["planted"])


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {"optimum": optimum, "planted": planted_market}
"""What can be shown, by the name it is asked for on the command line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all of them")
    parser.add_argument("--agents", type=lambda told: told.split(","), default=agents(), help="names, with commas between; all of them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--everywhere", action="store_true", help="the known optimum at other costs and signals too, one seed each")
    asked = parser.parse_args()
    for part in asked.parts or PARTS:
        choose(part, PARTS, "part")(asked)


if __name__ == "__main__":
    main()
