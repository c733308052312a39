"""Who finds what is planted, and how much data does it take? One JSON line a market and forecaster, then one line a point of the curves.

    python bench/planted.py [--forecasters ridge,logistic,lightgbm] [--r2 0.05,0.01] [--forms linear,nonlinear] [--bars 35040] [--seeds 3]
                            [--noise 20] [--jobs 2] [--out runs/planted] [--set lstm.epochs=30]

Every market is `tw.synthetic.planted(r2=...)`, hourly bars; `noise` markets have nothing to find. All but the last quarter of the bars
trains, once; the last quarter is traded. All forecasters learn the same label from the same columns (the next bar's return,
`horizon-return` over 1 bar, from `relative`) and are traded by the same policy, which knows the costs: a full position where the mean pays
two round trips, moved to the near edge of a band of .15. That is the oracle's own best rule in the linear market of r2 = .05, in round
numbers; it is chosen by the truth, before any forecaster. `share` is the net Sharpe ratio over that which the oracle, who knows the mean
and has the rule that is best for each market, earned on the same bars.

Each verdict counts as many trials as there are forecasters in the study. What is finished lies in `--out` and is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tradewind as tw
from tradewind.cli.options import setting
from tradewind.core.files import read_json, write_json
from tradewind.evaluate.comparing.forecasts import Question, forecast_forward
from tradewind.evaluate.identity import digest
from tradewind.evaluate.parallel import run_all
from tradewind.evaluate.splits import WalkForward
from tradewind.evaluate.verdict import judge
from tradewind.simulate.account import Book
from tradewind.stats import sharpe
from tradewind.strategies.policy import Policy

R2 = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
FORECASTERS = ("ridge", "logistic", "random-forest", "lightgbm", "xgboost")
NETS = ("mlp", "lstm", "transformer", "price-action-transformer", "tft")
COSTS = tw.Costs(fee_bps=10, slippage_bps=2)
POLICY = Policy(threshold=0.0, gain=0.5, band=0.15, move="edge", cost=0.0024)
WORTH = 0.5
"""Annual net Sharpe ratio of the oracle under which a share of it says nothing."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One forecaster on one market: `form` is linear, nonlinear or noise."""

    form: str
    r2: float
    seed: int
    bars: int
    forecaster: str
    settings: tuple[tuple[str, Any], ...]
    trials: int
    folder: str

    @property
    def place(self) -> Path:
        told = {**dataclasses.asdict(self), "folder": None, "settings": [list(pair) for pair in self.settings]}
        return Path(self.folder) / f"{self.form}-{self.r2:g}-{self.forecaster}-{self.seed}-{digest(told)[:8]}.json"


def study(task: Task) -> str | None:
    """One line into its file."""
    if task.form == "noise":
        made = tw.synthetic.noise(bars=task.bars, seed=task.seed)
    else:
        made = tw.synthetic.planted(r2=task.r2, form=task.form, bars=task.bars, seed=task.seed)
    first = task.bars - task.bars // 4
    question = Question(task.forecaster, dict(task.settings), "relative", "horizon-return", {"horizon": 1})
    found = forecast_forward(question, made.market, WalkForward(first, task.bars - first, embargo=1), seed=task.seed)
    tested, mean = found.market, found.forecast.score()
    account = tw.backtest(POLICY.walk(POLICY.desired(found.forecast), tested, Book(tested.symbols, COSTS)), tested, COSTS)
    hold = tw.backtest(tw.strategy("hold"), tested, COSTS)
    year = tested.periods_per_year
    returns = (tested.close / tested.open - 1.0)[1:, 0]
    line: dict[str, Any] = {
        "bench": "planted", "form": task.form, "r2": task.r2, "forecaster": task.forecaster, "seed": task.seed, "train": first,
        "test": len(tested), "sharpe": float(sharpe(account.returns, year)), "turnover": float(account.record.traded.sum()),
        "found_r2": float(1.0 - np.mean((returns - mean[:-1, 0]) ** 2) / np.mean(returns**2)),
        "verdict": judge(account.returns, hold.returns, year, trials=task.trials, seed=task.seed).label, "seconds": round(found.seconds, 2),
    }  # fmt: skip
    if made.oracle.mean is not None:
        targets = made.oracle.targets[first:].copy()
        before = made.oracle.targets[:first, 0]
        held = before[np.isfinite(before)]
        # The oracle comes in holding what it would have held.
        targets[0] = targets[0] if np.isfinite(targets[0, 0]) or not len(held) else held[-1]
        line["oracle"] = float(sharpe(tw.backtest(targets, tested, COSTS).returns, year))
        line["oracle_expected"] = made.oracle.sharpe
        truth = made.oracle.mean[first:, 0]
        line["correlation"] = float(np.corrcoef(truth, mean[:, 0])[0, 1]) if truth.std() > 0 and mean.std() > 0 else 0.0
    write_json(task.place, line)
    return None


def summary(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One line for each form, r2 and forecaster: the mean over the seeds; a share is the ratio of the mean Sharpe ratios."""
    keys = dict.fromkeys((line["form"], line["r2"], line["forecaster"]) for line in lines)
    for form, r2, forecaster in keys:
        mine = [line for line in lines if (line["form"], line["r2"], line["forecaster"]) == (form, r2, forecaster)]
        verdicts = {label: sum(line["verdict"] == label for line in mine) for label in ("edge", "cannot tell", "no edge")}
        point: dict[str, Any] = {"bench": "planted curve", "form": form, "r2": r2, "forecaster": forecaster, "markets": len(mine)}
        point["sharpe"] = round(float(np.mean([line["sharpe"] for line in mine])), 2)
        if form != "noise":
            oracle = float(np.mean([line["oracle"] for line in mine]))
            point["oracle"] = round(oracle, 2)
            # Under costs that eat the signal the oracle holds nothing, and a share of nothing says nothing.
            point["share"] = round(point["sharpe"] / oracle, 3) if mine[0]["oracle_expected"] >= WORTH else None
            point["correlation"] = round(float(np.mean([line["correlation"] for line in mine])), 3)
        yield {**point, "found_r2": round(float(np.mean([line["found_r2"] for line in mine])), 5), "verdicts": verdicts}


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """Every line of the study, the noise last."""
    names = arguments.forecasters.split(",")
    chosen: dict[str, dict[str, Any]] = {name: {"preset": "quick"} if name in NETS else {} for name in names}
    for change in arguments.set or ():
        key, value = setting(change)
        name, _, what = key.partition(".")
        chosen[name][what] = value
    points = [(form, float(r2)) for form in arguments.forms.split(",") if form for r2 in arguments.r2.split(",") if r2]
    markets = [(form, r2, seed) for form, r2 in points for seed in range(1, arguments.seeds + 1)]
    markets += [("noise", 0.0, seed) for seed in range(1, arguments.noise + 1)]
    return [
        Task(form, r2, seed, arguments.bars, name, tuple(sorted(chosen[name].items())), len(names), arguments.out)
        for form, r2, seed in markets
        for name in names
    ]


def main() -> None:
    """Read the flags, do what is left, print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forecasters", default=",".join(FORECASTERS))
    parser.add_argument("--r2", default=",".join(f"{r2:g}" for r2 in R2))
    parser.add_argument("--forms", default="linear,nonlinear")
    parser.add_argument("--bars", type=int, default=35_040)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="runs/planted")
    parser.add_argument("--set", action="append", metavar="FORECASTER.KEY=VALUE")
    arguments = parser.parse_args()
    todo = tasks(arguments)
    run_all(study, [task for task in todo if not task.place.exists()], arguments.jobs, lambda: None)
    lines = [read_json(task.place) for task in todo]
    for line in (*lines, *summary(lines)):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
