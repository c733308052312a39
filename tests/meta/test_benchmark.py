"""The benchmark: keys as people expect them, the same questions for all, means that are means, and tests that find what is there."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from tradewind.core.errors import DataError, NotFitted, SettingsError
from tradewind.core.seeds import generator
from tradewind.data.bundled import sample
from tradewind.meta.benchmark import EvaluationConfig, FewShotBenchmark, latest_shots
from tradewind.meta.controls import Answers, BaseRate, NearestCentroid
from tradewind.meta.crypto_tasks import CryptoTaskConfig, CryptoTaskDistribution
from tradewind.meta.tasks import Task

HOUR = 3_600_000_000_000
SMALL = EvaluationConfig(num_episodes=10, num_runs=3, support_shots=[1, 5], adaptation_steps=[1, 5], draws=200)


class Tasks:
    """Three clouds in order of time; `apart` is how far they are. The number of a task stands in its inputs' last column."""

    def __init__(self, apart: float = 3.0, shots: int = 5, timed: bool = True, returns: bool = True) -> None:
        self.apart, self.shots, self.timed, self.returns, self.drawn = apart, shots, timed, returns, 0

    def __call__(self) -> Task:
        random = generator(1, "clouds", self.drawn)
        support, query = np.tile(np.arange(3), self.shots), random.integers(3, size=12)
        support_data, query_data = (self._inputs(random, labels) for labels in (support, query))
        start = self.drawn % 30 * HOUR
        task = {
            "support_data": support_data,
            "support_labels": torch.from_numpy(support),
            "query_data": query_data,
            "query_labels": torch.from_numpy(query),
        }
        if self.timed:
            task["query_times"] = start + torch.arange(12) * HOUR // 12
            task["query_known"] = task["query_times"] + HOUR // 12
        if self.returns:
            task["query_returns"] = torch.from_numpy(0.01 * (query - 1.0)).float()
        self.drawn += 1
        return task

    def _inputs(self, random: np.random.Generator, labels: Any) -> torch.Tensor:
        data = random.normal(size=(len(labels), 4)) + self.apart * np.eye(4)[labels]
        return torch.from_numpy(data.astype(np.float32))


class Guess:
    """Answers at random, not looking."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def few_shot_adapt(self, support_data: torch.Tensor, support_labels: torch.Tensor, num_adaptation_steps: int | None = None) -> Answers:
        self.asked.append((len(support_data), num_adaptation_steps or 0))
        random = generator(7, "guess", len(self.asked))
        return lambda data: torch.from_numpy(random.normal(size=(len(data), 3)).astype(np.float32))


class Cheat:
    """Knows every answer from the returns that tasks of `Tasks` carry: its class is the largest input."""

    def few_shot_adapt(self, support_data: torch.Tensor, support_labels: torch.Tensor, num_adaptation_steps: int | None = None) -> Answers:
        return lambda data: 10.0 * data[:, :3]


def base_rate() -> BaseRate:
    control = BaseRate(ways=3)
    control.meta_train_step([Tasks()() for _ in range(3)])
    return control


def test_the_results_read_as_they_always_did() -> None:
    results = FewShotBenchmark(SMALL).run_benchmark({"centroid": NearestCentroid(3), "guess": Guess()}, Tasks(), task_type="classification")
    cells = results["individual_results"]["centroid"]["aggregated_results"]
    assert list(cells) == ["1shot_3way_1adapt", "1shot_3way_5adapt", "5shot_3way_1adapt", "5shot_3way_5adapt"]
    told = cells["5shot_3way_5adapt"]["accuracy"]
    assert set(told) == {"mean", "std", "interval"}
    assert told["interval"][0] < told["mean"] < told["interval"][1]
    runs = results["individual_results"]["centroid"]["run_results"]["5shot_3way_5adapt"]["accuracy"]
    assert told["mean"] == pytest.approx(np.mean(runs)) and told["std"] == pytest.approx(np.std(runs, ddof=1))
    assert told["mean"] > cells["1shot_3way_5adapt"]["accuracy"]["mean"] > 0.6
    assert json.loads(json.dumps(results))["episodes"] == 30


def test_all_are_asked_the_same_with_the_latest_of_the_same_shots() -> None:
    one, other = Guess(), Guess()
    benchmark = FewShotBenchmark(SMALL)
    benchmark.run_benchmark({"one": one, "other": other}, Tasks())
    assert one.asked == other.asked
    assert sorted(set(one.asked)) == [(3, 1), (3, 5), (15, 1), (15, 5)] and len(one.asked) == 30 * 4
    same = benchmark.get_statistical_significance()["comparisons"]
    assert all(one["difference"] == 0.0 and one["better"] is None for one in same)


def test_fewer_shots_are_the_latest_of_more() -> None:
    task = {
        "support_data": torch.arange(6.0)[:, None],
        "support_labels": torch.tensor([0, 0, 1, 0, 1, 1]),
        "query_data": torch.zeros(1, 1),
        "query_labels": torch.tensor([1]),
        "note": torch.tensor(5),
    }
    fewer = latest_shots(task, 2, "cross_entropy")
    assert fewer["support_data"][:, 0].tolist() == [1, 3, 4, 5] and fewer["support_labels"].tolist() == [0, 0, 1, 1]
    assert latest_shots(task, 2, "mse")["support_data"][:, 0].tolist() == [4, 5] and int(fewer["note"]) == 5


def test_a_model_that_takes_no_steps_is_asked_once_for_all_of_them() -> None:
    results = FewShotBenchmark(SMALL).run_benchmark({"centroid": NearestCentroid(3)}, Tasks())
    cells = results["individual_results"]["centroid"]["aggregated_results"]
    assert cells["5shot_3way_1adapt"] == cells["5shot_3way_5adapt"]


def test_who_knows_is_told_from_who_guesses_and_guessers_are_not_told_apart() -> None:
    benchmark = FewShotBenchmark(EvaluationConfig(num_episodes=20, num_runs=3, support_shots=[1], adaptation_steps=[1], draws=200))
    one, other = Guess(), Guess()
    other.asked = [(0, 0)] * 1_000  # draws other guesses
    benchmark.run_benchmark({"knows": NearestCentroid(3), "one": one, "other": other}, Tasks(apart=4.0))
    found = benchmark.get_statistical_significance()
    better = {(one["first"], one["second"]): one["better"] for one in found["comparisons"]}
    assert better == {("knows", "one"): "knows", ("knows", "other"): "knows", ("one", "other"): None}
    assert found["metric"] == "accuracy" and found["level"] == pytest.approx(0.1)
    by_loss = benchmark.get_statistical_significance("loss", against="knows")["comparisons"]
    assert [one["better"] for one in by_loss] == ["knows", "knows"]
    assert all(one["p_holm"] >= one["p_value"] and one["blocks"] == 30 for one in found["comparisons"])


def test_trading_is_told_after_costs() -> None:
    config = EvaluationConfig(num_episodes=10, num_runs=2, support_shots=[1], adaptation_steps=[1], cost=0.0, draws=200)
    free = FewShotBenchmark(config).run_benchmark({"cheat": Cheat()}, Tasks(apart=50.0))["individual_results"]["cheat"]
    told = free["aggregated_results"]["1shot_3way_1adapt"]
    assert told["accuracy"]["mean"] == 1.0 and told["hit_rate"]["mean"] == 1.0 and told["balanced_accuracy"]["mean"] == 1.0
    assert told["net_return"]["mean"] == pytest.approx(0.01 * 2 / 3, rel=0.1)  # a third of the answers is flat
    assert told["sharpe"]["interval"][0] < told["sharpe"]["mean"] < told["sharpe"]["interval"][1]
    dear = EvaluationConfig(num_episodes=10, num_runs=2, support_shots=[1], adaptation_steps=[1], cost=0.001, draws=200)
    paid = FewShotBenchmark(dear).run_benchmark({"cheat": Cheat()}, Tasks(apart=50.0))["individual_results"]["cheat"]
    net = paid["aggregated_results"]["1shot_3way_1adapt"]["net_return"]["mean"]
    assert net == pytest.approx(told["net_return"]["mean"] - 0.001 * told["turnover"]["mean"])


def test_without_returns_or_without_being_asked_nothing_is_traded() -> None:
    quiet = EvaluationConfig(num_episodes=10, num_runs=1, support_shots=[1], adaptation_steps=[1], include_trading_metrics=False)
    for config, tasks in ((SMALL, Tasks(returns=False)), (quiet, Tasks())):
        results = FewShotBenchmark(config).run_benchmark({"centroid": NearestCentroid(3)}, tasks)
        told = results["individual_results"]["centroid"]["aggregated_results"]["1shot_3way_1adapt"]
        assert set(told) == {"accuracy", "balanced_accuracy", "loss", "adaptation_seconds"}
    assert math.isnan(told["accuracy"]["std"])  # of one run


def test_knowing_how_often_classes_come_is_no_balanced_accuracy() -> None:
    results = FewShotBenchmark(SMALL).run_benchmark({"base rate": base_rate()}, Tasks())
    told = results["individual_results"]["base rate"]["aggregated_results"]["1shot_3way_1adapt"]
    assert told["balanced_accuracy"]["mean"] == pytest.approx(1 / 3, abs=0.03)


def test_shots_that_tasks_do_not_have_are_left_out_and_told() -> None:
    config = EvaluationConfig(num_episodes=10, num_runs=1, support_shots=[1, 10], adaptation_steps=[1])
    results = FewShotBenchmark(config).run_benchmark({"guess": Guess()}, Tasks())
    assert list(results["individual_results"]["guess"]["aggregated_results"]) == ["1shot_3way_1adapt"]
    assert results["left_out"] == {"10": "some tasks have fewer than 10 samples of a class; give tasks of num_support=10 or more"}
    with pytest.raises(DataError, match="no task has 10 shots"):
        FewShotBenchmark(EvaluationConfig(num_episodes=10, support_shots=[10])).run_benchmark({"guess": Guess()}, Tasks())


def test_tasks_without_times_are_draws_of_their_own() -> None:
    results = FewShotBenchmark(SMALL).run_benchmark({"guess": Guess()}, Tasks(timed=False))
    assert results["blocks"] == 30 and not results["blocked_by_time"]
    assert FewShotBenchmark(SMALL).run_benchmark({"guess": Guess()}, Tasks())["blocked_by_time"]


def test_numbers_are_judged_by_their_error() -> None:
    def task() -> Task:
        data = torch.linspace(-1, 1, 8)[:, None]
        return {"support_data": data, "support_labels": 2 * data, "query_data": data, "query_labels": 2 * data}

    config = EvaluationConfig(num_episodes=10, num_runs=1, support_shots=[5], adaptation_steps=[1])
    benchmark = FewShotBenchmark(config)
    results = benchmark.run_benchmark({"mean": BaseRate("mse", source="support")}, task, task_type="regression")
    told = results["individual_results"]["mean"]["aggregated_results"]["5shot_1adapt"]
    # The latest five have the mean 6/7; the queries' variance about it is that about zero and the square of the mean.
    wanted = float((2 * torch.linspace(-1, 1, 8)).square().mean()) + (6 / 7) ** 2
    assert told["loss"]["mean"] == pytest.approx(wanted, rel=1e-5)
    assert benchmark.get_statistical_significance()["metric"] == "loss"


def test_what_cannot_be_is_refused() -> None:
    benchmark = FewShotBenchmark(SMALL)
    with pytest.raises(NotFitted, match="run_benchmark first"):
        benchmark.get_statistical_significance()
    with pytest.raises(SettingsError, match="no model"):
        benchmark.run_benchmark({}, Tasks())
    with pytest.raises(SettingsError, match="did you mean 'classification'"):
        benchmark.run_benchmark({"guess": Guess()}, Tasks(), task_type="clasification")
    with pytest.raises(SettingsError, match="neither a task distribution nor a function"):
        benchmark.run_benchmark({"guess": Guess()}, [1])
    benchmark.run_benchmark({"guess": Guess()}, Tasks())
    for wrong in ({"metric": "acuracy"}, {"against": "gess"}, {"cells": ["1shot"]}):
        with pytest.raises(SettingsError, match="unknown"):
            benchmark.get_statistical_significance(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"num_episodes": 0}, {"support_shots": []}, {"support_shots": [0]}, {"adaptation_steps": [-1]}, {"confidence": 1.0}, {"cost": -1}],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        EvaluationConfig(**wrong)


def test_a_distribution_gives_as_many_shots_as_are_asked_for_and_says_what_its_tasks_are() -> None:
    config = CryptoTaskConfig("arbitrage", num_support=1, num_query=3, features="relative-price", band_window=60, horizon=5)
    tasks = CryptoTaskDistribution(config, sample("us-daily"))
    asked = EvaluationConfig(num_episodes=5, num_runs=2, support_shots=[1, 2], adaptation_steps=[1])
    by_method = FewShotBenchmark(asked).run_benchmark({"centroid": NearestCentroid(2)}, tasks.sample_task)
    by_itself = FewShotBenchmark(asked).run_benchmark({"centroid": NearestCentroid(2)}, tasks)
    assert by_method["task_type"] == "arbitrage" and by_method["ways"] == 2 and by_method["left_out"] == {}
    cells = [one["individual_results"]["centroid"]["run_results"] for one in (by_method, by_itself)]
    assert list(cells[0]) == ["1shot_2way_1adapt", "2shot_2way_1adapt"] and cells[0] == cells[1]
    assert tasks.drawn == 0  # the benchmark draws from a copy
