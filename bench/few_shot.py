"""Few-shot tables: every kind of task, every learner and the controls on real markets; one JSON file a cell, none made twice.

    python bench/few_shot.py run FOLDER [--markets us-daily,btc-15m,binance-1h] [--kinds ...] [--iterations 400] [--episodes 30] [--steps 5]
    python bench/few_shot.py table FOLDER          the cells as Markdown
    python bench/few_shot.py pages FOLDER          the cells as pages with charts

`binance-1h` needs the folder of development data in the variable TRADEWIND_DEV_DATA. Meta-training is short: `--iterations` batches of
eight 5-shot tasks of the training part, the same for every learner and for the jointly trained control, nets of 32-32, every setting the
library's own. Tasks of the test part judge, which is later and, where there are symbols enough, of other symbols. Nothing is chosen on what
comes out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tradewind.core.clock import SystemClock
from tradewind.core.errors import DataError
from tradewind.core.files import read_json, write_json
from tradewind.core.market import Market
from tradewind.data.bundled import sample
from tradewind.data.reading import read
from tradewind.evaluate.pages.few_shot_charts import write
from tradewind.meta.benchmark import EvaluationConfig, FewShotBenchmark
from tradewind.meta.controls import BaseRate, ForecasterOnSupport, JointConfig, JointTraining, NearestCentroid
from tradewind.meta.crypto_tasks import TASK_TYPES, CryptoTaskConfig, CryptoTaskDistribution
from tradewind.meta.registry import configurable, learner, learners, perceptron
from tradewind.nets.device import reproducible

CLOCK: Final = SystemClock()
SHOTS: Final = (1, 5, 10)
HIDDEN: Final = (32, 32)
BATCH: Final = 8
BOOSTING: Final = {"trees": 50, "depth": 3, "leaf_rows": 1, "learning_rate": 0.1, "validation": 0.0}
"""Trees for a handful of rows: nothing to stop on, leaves of a single row allowed."""
CONTROLS: Final = ("fine-tuned", "pretrained", "from scratch", "nearest centroid", "lightgbm", "base rate", "support mean")
HEADS: Final = {"accuracy": "accuracy", "loss": "loss", "net_return": "net return a decision"}
ORDER: Final = (*learners(), *CONTROLS)


@dataclass(frozen=True)
class Where:
    """A market and how its tasks are laid: the label's horizon in bars, queries a task, and the shares of the three parts."""

    file: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def market(self, name: str) -> Market:
        """Bundled, or a file of the development data."""
        return read(Path(os.environ["TRADEWIND_DEV_DATA"]) / self.file) if self.file else sample(name)


MARKETS: Final[Mapping[str, Where]] = {
    "binance-1h": Where(
        "binance_spot_1h_10coins_to_2024-06.parquet",
        {"horizon": 12, "num_query": 15, "features": "relative-price", "max_assets_in_portfolio": 3},
    ),
    "us-daily": Where(
        settings={
            "horizon": 5,
            "num_query": 10,
            "features": "relative-price",
            "parts": (0.5, 0.1, 0.4),
            "max_assets_in_portfolio": 2,
            "band_window": 60,
        }
    ),
    "btc-15m": Where(settings={"horizon": 4, "num_query": 15, "features": "relative-price", "parts": (0.5, 0.1, 0.4)}),
}

KINDS: Final[Mapping[str, Mapping[str, Any]]] = {"portfolio_optimization": {"num_query": 5}, "arbitrage": {"num_query": 5}}
"""What a kind has of its own: fifteen weekly returns, or as many rare opportunities, last so long that a year has no eight of them."""


def report(name: str, **figures: float | int | str) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def distributions(market: Market, settings: Mapping[str, Any], seed: int) -> tuple[CryptoTaskDistribution, CryptoTaskDistribution]:
    """Tasks to learn from, of 5 shots, and tasks to be judged by, of as many of SHOTS as the test part has places for."""
    train = CryptoTaskDistribution(CryptoTaskConfig(**settings, seed=seed, num_support=5), market)
    for shots in sorted(SHOTS, reverse=True):
        try:
            return train, CryptoTaskDistribution(CryptoTaskConfig(**settings, seed=seed, num_support=shots, split="test"), market)
        except DataError as error:
            scarce = error
    raise scarce


def contestants(tasks: CryptoTaskDistribution, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """By name: those who learn from tasks, and those who do not. The fine-tuned net learns; the pretrained one shares its weights."""
    inputs, outputs, loss, ways = tasks.shape[0], tasks.outputs, tasks.loss, tasks.ways or None
    learning: dict[str, Any] = {}
    for name in learners():
        config = {key: value for key, value in (("loss", loss), ("num_outputs", outputs)) if key in configurable(name)}
        if name == "protonet" and loss == "mse":
            continue
        with reproducible(seed):
            learning[name] = learner(name, perceptron(name, inputs, outputs, HIDDEN, **config), ways, **config)
    with reproducible(seed):
        joint, fresh = (perceptron("maml", inputs, outputs, HIDDEN) for _ in range(2))
    learning["fine-tuned"] = JointTraining(joint, JointConfig(loss=loss), ways)
    learning["base rate"] = BaseRate(loss, ways)
    others: dict[str, Any] = {
        "pretrained": JointTraining(joint, JointConfig(loss=loss, num_inner_steps=0), ways),
        "from scratch": JointTraining(fresh, JointConfig(loss=loss), ways),
        "lightgbm": ForecasterOnSupport("lightgbm", loss, ways, **BOOSTING),
    }
    others |= {"nearest centroid": NearestCentroid(ways)} if ways else {"support mean": BaseRate("mse", source="support")}
    return learning, others


def cell(where: Where, name: str, kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One market and one kind of task: train all, judge all, as plain data; `reason` alone where the market has no such tasks."""
    began = CLOCK.monotonic()
    try:
        train, test = distributions(where.market(name), {**where.settings, **KINDS.get(kind, {}), "task_type": kind}, asked.seed)
    except DataError as error:
        return {"market": name, "kind": kind, "reason": str(error)}
    learning, others = contestants(train, asked.seed)
    with reproducible(asked.seed):
        for _ in range(asked.iterations):
            batch = train.sample_batch(BATCH)
            for one in learning.values():
                one.meta_train_step(batch)
    trained = CLOCK.monotonic() - began
    shots = tuple(count for count in SHOTS if count <= test.config.num_support)
    config = EvaluationConfig(asked.episodes, 5, shots, [int(step) for step in asked.steps.split(",")])
    benchmark = FewShotBenchmark(config)
    everyone = {**learning, **others}
    results = benchmark.run_benchmark({one: everyone[one] for one in ORDER if one in everyone}, test)
    tested, by_loss = (benchmark.get_statistical_significance(metric, against="base rate") for metric in (None, "loss"))
    told = {
        "market": name,
        "kind": kind,
        "iterations": asked.iterations,
        "seed": asked.seed,
        "hidden": list(HIDDEN),
        "inputs": train.shape[0],
    }
    places = {"train_symbols": list(train.symbols), "test_symbols": list(test.symbols), "test_places": len(test)}
    return {
        **told,
        **places,
        "train_seconds": trained,
        "seconds": CLOCK.monotonic() - began,
        "results": results,
        "significance": tested,
        "significance_of_loss": by_loss,
    }


def plain(value: Any) -> Any:
    """As JSON has it: None for what is no number."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run(asked: argparse.Namespace) -> None:
    """Every cell that has no file yet."""
    for name in asked.markets.split(","):
        for kind in asked.kinds.split(","):
            path = Path(asked.folder) / f"{name}_{kind}_{asked.seed}.json"
            if path.exists():
                continue
            if MARKETS[name].file and "TRADEWIND_DEV_DATA" not in os.environ:
                report("few_shot", market=name, kind=kind, left_out="set TRADEWIND_DEV_DATA")
                continue
            told = cell(MARKETS[name], name, kind, asked)
            write_json(path, plain(told))
            report("few_shot", market=name, kind=kind, seconds=float(told.get("seconds", 0.0)), left_out=str(told.get("reason", "")))


def table(asked: argparse.Namespace) -> None:
    """Markdown: one table a market and kind: accuracy, loss and, at the most shots, net return a decision, with intervals."""
    for path in sorted(Path(asked.folder).glob("*.json")):
        told = read_json(path)
        print(f"\n### {told['kind'].replace('_', ' ')}, {told['market']}\n")
        if "reason" in told:
            print(f"Not to be had: {told['reason']}.")
            continue
        results = told["results"]
        individual = results["individual_results"]
        cells = sorted(next(iter(individual.values()))["aggregated_results"], key=_numbers)
        columns = [
            (metric, one) for metric in ("accuracy", "loss") for one in cells if metric in individual["maml"]["aggregated_results"][one]
        ]
        columns += [("net_return", cells[-1])]
        places = f"Learned on {', '.join(told['train_symbols'])}; judged on {', '.join(told['test_symbols'])}"
        print(f"{places}: {results['episodes']} episodes in {results['blocks']} blocks of time.\n")
        print("| row | " + " | ".join(f"{HEADS[metric]}, {_shots(one)}" for metric, one in columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        better = _better(told)
        for name in [one for one in ORDER if one in individual]:
            by_cell = individual[name]["aggregated_results"]
            shown = [_told(by_cell[key].get(metric), metric) + _mark(better.get((metric, key, name)), name) for metric, key in columns]
            print(f"| {name} | " + " | ".join(shown) + " |")


def _better(told: Mapping[str, Any]) -> dict[tuple[str, str, str], str | None]:
    """(metric, cell, row): who is ahead there, the row or the base rate."""
    tests = [told[name] for name in ("significance", "significance_of_loss") if name in told]
    return {(test["metric"], one["cell"], one["first"]): one["better"] for test in tests for one in test["comparisons"]}


def _numbers(cell: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", cell)]


def _shots(cell: str) -> str:
    count = _numbers(cell)[0]
    return f"{count} shot{'s' if count > 1 else ''}"


def _told(value: Mapping[str, Any] | None, metric: str) -> str:
    if value is None:
        return "–"
    scale, unit = {"accuracy": (100.0, " %"), "net_return": (1e4, " bp")}.get(metric, (1.0, ""))
    digits = 3 if metric == "loss" else 1
    mean, (low, high) = value["mean"], value["interval"]
    interval = "no interval" if low is None else f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"
    return f"{scale * mean:.{digits}f}{unit} ({interval})"


def _mark(better: str | None, name: str) -> str:
    return "" if better is None else " **+**" if better == name else " **-**"


def pages(asked: argparse.Namespace) -> None:
    """A page of charts beside every cell's file."""
    for path in sorted(Path(asked.folder).glob("*.json")):
        told = read_json(path)
        if "results" in told:
            write(
                told["results"],
                path.with_suffix(".html"),
                f"Few-shot: {told['kind'].replace('_', ' ')}, {told['market']}",
                told["significance"],
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("run", "table", "pages"))
    parser.add_argument("folder")
    parser.add_argument("--markets", default="binance-1h,us-daily,btc-15m")
    parser.add_argument("--kinds", default=",".join(TASK_TYPES))
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--steps", default="5")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    {"run": run, "table": table, "pages": pages}[asked.work](asked)


if __name__ == "__main__":
    main()
