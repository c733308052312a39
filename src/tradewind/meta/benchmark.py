"""`FewShotBenchmark`: learners and controls side by side on the same tasks, by shots and by steps of adaptation.

All are asked the same queries with the same supports; fewer shots are the latest of more, so that cells differ in nothing else. Means come
with intervals, and differences with a test, that know that episodes of a market overlap (`tradewind.meta.time_blocks`). The customary way,
a mean over episodes and 1.96 standard errors as if they were independent (Finn, Abbeel and Levine 2017, https://arxiv.org/abs/1703.03400),
is too sure of itself here. The cost is one adaptation for each model, episode and cell. Fails to show that the models were trained alike:
that is for who trains them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias, cast, final

import numpy as np
import torch
from torch import Tensor

from tradewind.core.arrays import Array
from tradewind.core.clock import SystemClock
from tradewind.core.errors import DataError, NotFitted
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import choose, require
from tradewind.meta.controls import Adapts
from tradewind.meta.positions import net_returns, positions
from tradewind.meta.tasks import KEYS, LossName, Task, accuracy, check_answers, check_tasks, sample_losses
from tradewind.meta.time_blocks import TimeBlocks
from tradewind.stats.metrics import sharpe
from tradewind.stats.skill import holm

__all__ = ["TASK_TYPES", "EvaluationConfig", "FewShotBenchmark", "latest_shots"]

Cell: TypeAlias = tuple[int, int]
"""Shots and steps."""

TASK_TYPES: Final[Mapping[str, LossName]] = {
    "classification": "cross_entropy",
    "regression": "mse",
    "price_direction": "cross_entropy",
    "market_regime": "cross_entropy",
    "arbitrage": "cross_entropy",
    "risk_assessment": "cross_entropy",
    "portfolio_optimization": "mse",
}
"""What tasks may be, and the loss that each is judged by."""
CLOCK: Final = SystemClock()


@final
@dataclass(frozen=True)
class EvaluationConfig:
    """`num_runs` runs of `num_episodes` tasks each, all of them different; every number of `support_shots` (of each class; in all, where
    labels are numbers) with every number of `adaptation_steps`.

    `include_trading_metrics`: where tasks carry `query_returns`, also what the answers earn, at `cost` a unit traded (10 bps fee and
    2 of slippage). `confidence` of the intervals, out of `draws` resamples under `seed`. Raises SettingsError for what cannot be.
    """

    num_episodes: int = 100
    num_runs: int = 5
    support_shots: tuple[int, ...] | list[int] = (1, 5, 10)
    adaptation_steps: tuple[int, ...] | list[int] = (1, 5, 10)
    include_trading_metrics: bool = True
    cost: float = 0.0012
    confidence: float = 0.9
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        whole(num_episodes=self.num_episodes, num_runs=self.num_runs, draws=self.draws)
        whole(least=0, seed=self.seed)
        for name in ("support_shots", "adaptation_steps"):
            values = tuple(getattr(self, name))
            require(len(values) > 0, f"{name} is empty; give at least one number")
            for value in values:
                whole(least=1 if name == "support_shots" else 0, **{name: value})
            object.__setattr__(self, name, tuple(dict.fromkeys(values)))
        number(positive=False, cost=self.cost)
        fraction(confidence=self.confidence)


@final
@dataclass(frozen=True, eq=False)
class _Scores:
    """Of one model in one cell: `metrics` (episode,) each, `seconds` (episode,) of adapting, `earned` (episode, query) net returns."""

    metrics: Mapping[str, Array]
    seconds: Array
    earned: Array | None


@final
class FewShotBenchmark:
    """Judges models; `run_benchmark` does the work, `get_statistical_significance` tests what it found."""

    def __init__(self, config: EvaluationConfig | None = None) -> None:
        self.config = config or EvaluationConfig()
        self._scores: dict[str, dict[str, _Scores]] = {}
        self._blocks = TimeBlocks(None, None, 0)

    def run_benchmark(
        self, models: Mapping[str, Adapts], task_generator: Callable[[], Task] | Any, task_type: str = "classification"
    ) -> dict[str, Any]:
        """Adapt every model to every task and score its answers; plain data comes back.

        `task_generator`: a task distribution or its `sample_task`, which then draws tasks of as many shots as are asked for, or
        any function that gives one task a call; shots that its tasks cannot provide are told in `left_out`. `task_type` says what
        answers mean for trading; for the plain words "classification" and "regression" a distribution's own kind is taken, and where
        there is none two or three classes are directions.

        `results["individual_results"][model]["aggregated_results"]["5shot_3way_5adapt"]["accuracy"]` holds `mean` over episodes, `std` of
        the runs' means, `interval` at the config's confidence; without classes a cell is called `5shot_5adapt`. Metrics: `accuracy`
        of classes, `balanced_accuracy`, to which knowing how often each class comes adds nothing, `loss`, `net_return` and `turnover`
        a decision, `hit_rate`, `sharpe` (a decision, not a year) and `adaptation_seconds`. `run_results` holds each run's means.

        Raises SettingsError for no models or an unknown task type, DataError for tasks that cannot be learned.
        """
        require(len(models) > 0, "there is no model to judge; give at least one by name")
        choose(task_type, TASK_TYPES, "task type")
        owner = getattr(task_generator, "__self__", task_generator)
        if task_type in ("classification", "regression"):
            task_type = str(getattr(getattr(owner, "config", None), "task_type", task_type))
        loss = TASK_TYPES.get(task_type, "cross_entropy")
        tasks = self._draw(owner, task_generator)
        check_tasks(tasks, loss)
        ways = _ways(tasks, owner) if loss == "cross_entropy" else 0
        shots = [count for count in self.config.support_shots if all(_provides(task, count, loss) for task in tasks)]
        if not shots:
            raise DataError(f"no task has {min(self.config.support_shots)} shots of each of its classes; give tasks of more")
        self._blocks = _laid(tasks)
        self._scores = {name: {} for name in models}
        for name, model in models.items():
            for count in shots:
                shown = [latest_shots(task, count, loss) for task in tasks]
                for steps, scores in self._judge(model, shown, loss, task_type):
                    self._scores[name][_key(count, ways, steps)] = scores
        return self._results(task_type, ways, tasks, shots)

    def get_statistical_significance(
        self, metric: str | None = None, against: str | None = None, cells: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Which models differ by more than chance in `metric` (None: accuracy, or the loss without classes), in each of `cells`.

        Every pair, or every model against the one called `against`; paired by task, blocked by time, and `p_holm` corrected for all
        comparisons of this call: ask for fewer to find more. Each of `comparisons` has `cell`, `first`, `second`, `difference` of their
        means, `p_value`, `p_holm`, `blocks` that the test saw, and `better`, None where 1 - confidence is not reached.
        Raises NotFitted before `run_benchmark`, SettingsError for an unknown word.
        """
        if not self._scores:
            raise NotFitted("nothing was run yet; call run_benchmark first")
        by_cell = next(iter(self._scores.values()))
        known = dict.fromkeys(next(iter(by_cell.values())).metrics)
        metric = metric or ("accuracy" if "accuracy" in known else "loss")
        choose(metric, known, "metric")
        for cell in cells or ():
            choose(cell, by_cell, "cell")
        names = list(self._scores)
        if against is not None:
            choose(against, self._scores, "model")
        pairs = [
            (first, second)
            for i, first in enumerate(names)
            for second in (names[i + 1 :] if against is None else [against])
            if first != second
        ]
        compared = [self._compare(cell, first, second, metric) for cell in cells or by_cell for first, second in pairs]
        level = 1.0 - self.config.confidence
        for one, p_value in zip(compared, holm([one["p_value"] for one in compared]), strict=True):
            one["p_holm"] = float(p_value)
            ahead = one["first"] if (one["difference"] > 0) != (metric in _LOWER) else one["second"]
            one["better"] = ahead if p_value < level else None
        test = "Diebold-Mariano, paired by task, blocked by time, tapered autocovariances; Holm over all comparisons"
        return {"test": test, "metric": metric, "level": level, "comparisons": compared}

    # -- tasks -----------------------------------------------------------------------------------------------------------
    def _draw(self, owner: Any, task_generator: Any) -> list[Task]:
        count = self.config.num_runs * self.config.num_episodes
        if hasattr(owner, "with_shots"):
            owner = owner.with_shots(max(self.config.support_shots))
            return [cast(Task, owner.sample_task()) for _ in range(count)]
        require(callable(task_generator), "task_generator is neither a task distribution nor a function that gives a task")
        return [cast(Task, task_generator()) for _ in range(count)]

    # -- one model -------------------------------------------------------------------------------------------------------
    def _judge(self, model: Adapts, tasks: Sequence[Task], loss: LossName, task_type: str) -> list[tuple[int, _Scores]]:
        """The scores for each number of steps; a model whom steps do not change is asked once."""
        config, judged = self.config, list[tuple[int, _Scores]]()
        for steps in config.adaptation_steps:
            scores = judged[0][1] if judged and _stepless(model) else self._score(model, tasks, loss, task_type, steps)
            judged.append((steps, scores))
        return judged

    def _score(self, model: Adapts, tasks: Sequence[Task], loss: LossName, task_type: str, steps: int) -> _Scores:
        told: dict[str, list[float]] = {}
        seconds, earned = [], []
        for task in tasks:
            began = CLOCK.monotonic()
            adapted = model.few_shot_adapt(task["support_data"], task["support_labels"], num_adaptation_steps=steps)
            seconds.append(CLOCK.monotonic() - began)
            with torch.no_grad():
                outputs = adapted(task["query_data"])
            check_answers(outputs, task["query_labels"], loss)
            scores = {"loss": float(sample_losses(outputs, task["query_labels"], loss).mean())}
            if loss == "cross_entropy":
                scores["accuracy"] = accuracy(outputs, task["query_labels"])
                scores["balanced_accuracy"] = _balanced(outputs, task["query_labels"])
            if self.config.include_trading_metrics and "query_returns" in task:
                traded = self._trade(task_type, outputs, task["query_returns"])
                if traded is not None:
                    scores |= traded[0]
                    earned.append(traded[1])
            for name, value in scores.items():
                told.setdefault(name, []).append(value)
        metrics = {name: np.array(values) for name, values in told.items()}
        return _Scores(metrics, np.array(seconds), np.stack(earned) if earned else None)

    def _trade(self, task_type: str, outputs: Tensor, returns: Tensor) -> tuple[dict[str, float], Array] | None:
        """What an episode's decisions earned, as numbers and one by one; None where answers say nothing of a position."""
        held = positions(task_type, outputs)
        if held is None:
            return None
        earned = net_returns(task_type, held, returns.double().reshape(held.shape).numpy(), self.config.cost)
        acted = (held != 0).any(axis=1)
        traded = np.abs(np.diff(held, axis=0, prepend=0.0, append=0.0)).sum()
        hits = float((earned[acted] > 0).mean()) if acted.any() else math.nan
        return {"net_return": float(earned.mean()), "hit_rate": hits, "turnover": float(traded) / len(held)}, earned

    # -- all of them -----------------------------------------------------------------------------------------------------
    def _results(self, task_type: str, ways: int, tasks: Sequence[Task], shots: Sequence[int]) -> dict[str, Any]:
        left_out = {
            str(count): f"some tasks have fewer than {count} samples of a class; give tasks of num_support={count} or more"
            for count in self.config.support_shots
            if count not in shots
        }
        individual = {
            name: {
                "aggregated_results": {cell: self._aggregate(scores) for cell, scores in by_cell.items()},
                "run_results": {
                    cell: {metric: self._runs(values).tolist() for metric, values in scores.metrics.items()}
                    for cell, scores in by_cell.items()
                },
            }
            for name, by_cell in self._scores.items()
        }
        return {
            "config": asdict(self.config),
            "task_type": task_type,
            "ways": ways,
            "episodes": len(tasks),
            "blocks": len(self._blocks),
            "blocked_by_time": self._blocks.timed,
            "left_out": left_out,
            "individual_results": individual,
        }

    def _runs(self, values: Array) -> Array:
        """(run,) means of (episode,); NaN where a run has nothing to average."""
        runs = values.reshape(self.config.num_runs, -1)
        told = ~np.isnan(runs)
        return np.asarray(np.where(told, runs, 0.0).sum(axis=1) / np.where(told.any(axis=1), told.sum(axis=1), np.nan))

    def _aggregate(self, scores: _Scores) -> dict[str, dict[str, Any]]:
        config = self.config
        aggregated: dict[str, dict[str, Any]] = {}
        for name, values in {**scores.metrics, "adaptation_seconds": scores.seconds}.items():
            told = values[~np.isnan(values)]
            interval = self._blocks.interval(values, config.confidence, config.draws, config.seed)
            mean = float(told.mean()) if len(told) else math.nan
            aggregated[name] = {"mean": mean, "std": _spread(self._runs(values)), "interval": list(interval)}
        if scores.earned is not None:
            interval = self._blocks.sharpe_interval(scores.earned, config.confidence, config.draws, config.seed)
            runs = [sharpe(run.ravel()) for run in scores.earned.reshape(config.num_runs, -1, scores.earned.shape[1])]
            aggregated["sharpe"] = {"mean": sharpe(scores.earned.ravel()), "std": _spread(np.array(runs)), "interval": list(interval)}
        return aggregated

    def _compare(self, cell: str, first: str, second: str, metric: str) -> dict[str, Any]:
        values = [self._scores[name][cell].metrics[metric] for name in (first, second)]
        found = self._blocks.compare(*values)
        told = {"cell": cell, "first": first, "second": second}
        return {**told, "difference": found.difference, "p_value": found.p_value, "blocks": found.rows}


_LOWER: Final = ("loss", "turnover")
"""Metrics of which less is better."""


def latest_shots(task: Task, shots: int, loss: LossName) -> dict[str, Tensor]:
    """The task with the latest `shots` samples of each class of its support, or the latest in all where labels are numbers."""
    labels = task["support_labels"]
    kept = torch.arange(len(labels))
    if loss == "cross_entropy":
        groups = [kept[labels == way][-shots:] for way in torch.unique(labels).tolist()]
        kept = torch.cat(groups).sort().values
    else:
        kept = kept[-shots:]
    return {key: task[key][kept] if key in KEYS[:2] else task[key] for key in task}


def _balanced(outputs: Tensor, labels: Tensor) -> float:
    """The mean, over the classes that the labels show, of the share of their samples that are answered rightly."""
    right = (outputs.argmax(dim=1) == labels).double()
    return float(torch.stack([right[labels == way].mean() for way in torch.unique(labels)]).mean())


def _provides(task: Task, shots: int, loss: LossName) -> bool:
    labels = task["support_labels"]
    counts = torch.unique(labels, return_counts=True)[1] if loss == "cross_entropy" else torch.tensor([len(labels)])
    return int(counts.min()) >= shots


def _ways(tasks: Sequence[Task], owner: Any) -> int:
    seen = 1 + max(int(task[key].max()) for task in tasks for key in ("support_labels", "query_labels"))
    return max(seen, int(getattr(owner, "ways", 0) or 0))


def _laid(tasks: Sequence[Task]) -> TimeBlocks:
    if not all("query_times" in task and "query_known" in task for task in tasks):
        return TimeBlocks(None, None, len(tasks))
    starts = np.array([int(task["query_times"].min()) for task in tasks])
    return TimeBlocks(starts, np.array([int(task["query_known"].max()) for task in tasks]), len(tasks))


def _stepless(model: Any) -> bool:
    """Whether any number of steps gives the same model: nothing is stepped."""
    return bool(getattr(model, "stepless", False)) or getattr(getattr(model, "config", None), "num_inner_steps", None) == 0


def _key(shots: int, ways: int, steps: int) -> str:
    return f"{shots}shot_{ways}way_{steps}adapt" if ways else f"{shots}shot_{steps}adapt"


def _spread(values: Array) -> float:
    told = values[~np.isnan(values)]
    return float(told.std(ddof=1)) if len(told) > 1 else math.nan
