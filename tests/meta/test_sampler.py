"""Batches of tasks: the same whatever the workers and the cache, balanced, of fair quality, and blind to the query's labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.meta.markets import related

from tradewind.core.errors import DataError, SettingsError
from tradewind.core.seeds import generator
from tradewind.meta.crypto_tasks import CryptoTaskConfig, CryptoTaskDistribution
from tradewind.meta.difficulty import difficulty
from tradewind.meta.quality import quality
from tradewind.meta.sampler import SamplerConfig, TaskSampler
from tradewind.meta.tasks import Task


@dataclass
class Drawn:
    """Two classes in two inputs, their distance drawn anew for each task; every `faulty`-th task has holes in half of its inputs."""

    seed: int = 1
    faulty: int = 4
    ways: int = 2
    garbled: bool = False
    made: int = 0

    @property
    def identity(self) -> str:
        return f"{self.seed:064x}"

    def task(self, index: int) -> Task:
        self.made += 1
        random = generator(self.seed, index)
        labels = np.arange(12) % 2
        data = random.standard_normal((12, 2)) + labels[:, None] * random.uniform(0, 3)
        if self.faulty and index % self.faulty == 0:
            data[:, 0] = np.nan
        query = torch.from_numpy(labels[8:] if not self.garbled else 1 - labels[8:])
        data = data.astype(np.float32)
        number = torch.tensor([index])
        return {
            "support_data": torch.from_numpy(data[:8]),
            "support_labels": torch.from_numpy(labels[:8]),
            "query_data": torch.from_numpy(data[8:]),
            "query_labels": query,
            "number": number,
        }

    def get_task_difficulty(self, task: Task) -> float:
        return difficulty(task, "cross_entropy") if bool(torch.isfinite(task["support_data"]).all()) else 1.0


def numbers(sampler: TaskSampler, batches: int) -> list[int]:
    return [int(task["number"]) for _ in range(batches) for task in sampler.sample_batch()]


def stream(config: SamplerConfig, batches: int = 8, **about: Any) -> list[int]:
    with TaskSampler(Drawn(**about), config) as sampler:
        return numbers(sampler, batches)


@given(
    workers=st.integers(0, 5),
    factor=st.integers(1, 5),
    balance=st.booleans(),
    cache=st.booleans(),
    size=st.integers(1, 60),
    batch=st.integers(1, 20),
)
@settings(max_examples=20, deadline=None)
def test_the_same_batches_whatever_the_workers_and_the_cache(
    workers: int, factor: int, balance: bool, cache: bool, size: int, batch: int
) -> None:
    plain = SamplerConfig(batch_size=batch, num_workers=0, enable_cache=False, balance_by_difficulty=balance)
    other = SamplerConfig(
        batch_size=batch, num_workers=workers, prefetch_factor=factor, enable_cache=cache, cache_size=size, balance_by_difficulty=balance
    )
    expected = stream(plain)
    with TaskSampler(Drawn(), other) as sampler:
        assert numbers(sampler, 8) == expected
    with sampler:
        assert numbers(sampler, 8) == expected, "entered again, it begins anew"
    assert numbers(sampler, 1) == numbers(_went_on(plain), 1), "outside of with it goes on without threads"


def _went_on(config: SamplerConfig) -> TaskSampler:
    sampler = TaskSampler(Drawn(), config)
    numbers(sampler, 8)
    return sampler


def test_permuted_labels_of_the_query_change_no_decision() -> None:
    for balance in (True, False):
        config = SamplerConfig(balance_by_difficulty=balance, num_workers=0)
        assert stream(config) == stream(config, garbled=True)


def test_poor_tasks_are_refused_and_good_ones_kept_in_order() -> None:
    config = SamplerConfig(batch_size=6, balance_by_difficulty=False, num_workers=2)
    assert stream(config, 2) == [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]
    assert stream(SamplerConfig(batch_size=5, balance_by_difficulty=False, min_quality_score=0.0), 1) == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"none of 1000 tasks in a row has the quality 0.9, the best has 0.250; lower min_quality_score"):
        stream(SamplerConfig(min_quality_score=0.9), faulty=1)


def test_batches_are_balanced_by_difficulty() -> None:
    tasks, terciles = Drawn(faulty=0), np.quantile([difficulty(Drawn().task(i), "cross_entropy") for i in range(1, 400, 4)], (1 / 3, 2 / 3))
    with TaskSampler(tasks, SamplerConfig(batch_size=15, num_workers=0)) as sampler:
        for _ in range(20):
            levels = [tasks.get_task_difficulty(task) for task in sampler.sample_batch()]
            assert np.mean(levels[0::3]) < np.mean(levels[1::3]) < np.mean(levels[2::3])
            assert max(levels[0::3]) <= terciles[0] + 0.13 and min(levels[2::3]) >= terciles[1] - 0.13
        told = sampler.statistics()
    assert told["served"] == 300 and told["judged"] == 300 + told["waiting"] + told["dropped"] and told["refused"] == 0


def test_equal_difficulties_are_all_served() -> None:
    class Same(Drawn):
        def get_task_difficulty(self, task: Task) -> float:
            return 1.0

    with TaskSampler(Same(), SamplerConfig(num_workers=0)) as sampler:
        numbers(sampler, 30)
        assert sampler.statistics()["difficulty"] == 1.0 and sampler.statistics()["dropped"] < 100


def test_a_second_pass_makes_no_task_again(tmp_path: Path) -> None:
    config = SamplerConfig(batch_size=4, cache_dir=tmp_path / "tasks", num_workers=2, prefetch_factor=1)
    with TaskSampler(Drawn(), config) as sampler:
        first = [task for _ in range(3) for task in sampler.sample_batch()]
    later = Drawn()
    with TaskSampler(later, config) as again:
        second = [task for _ in range(3) for task in again.sample_batch()]
        assert later.made <= 4 and again.statistics()["hits"] >= 48  # at most what threads had begun beyond
    assert all(a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in zip(first, second, strict=True))
    # Another seed shares the folder and finds nothing of it.
    with TaskSampler(Drawn(seed=2), config) as other:
        other.sample_batch()
        assert other.statistics()["hits"] == 0


def test_a_damaged_entry_is_made_anew(tmp_path: Path) -> None:
    config = SamplerConfig(batch_size=4, cache_dir=tmp_path, num_workers=0, balance_by_difficulty=False)
    expected = numbers(TaskSampler(Drawn(), config), 2)
    for entry in tmp_path.iterdir():
        path = entry / "arrays.npz"
        path.write_bytes(path.read_bytes()[:-9])
    sampler = TaskSampler(Drawn(), config)
    assert numbers(sampler, 2) == expected and sampler.statistics()["damaged"] == len(expected) + sampler.statistics()["refused"]
    assert numbers(TaskSampler(whole := Drawn(), config), 2) == expected and whole.made == 0


def test_a_fault_of_the_distribution_is_told() -> None:
    class Broken(Drawn):
        def task(self, index: int) -> Task:
            if index == 20:
                raise DataError("task 20 cannot be made")
            return super().task(index)

    with pytest.raises(DataError, match="task 20 cannot be made"), TaskSampler(Broken(), SamplerConfig(num_workers=3)) as sampler:
        numbers(sampler, 3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"prefetch_factor": 0}, "prefetch_factor is 0"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"cache_size": 0}, "cache_size is 0"),
        ({"min_quality_score": 1.5}, "min_quality_score is 1.5"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        SamplerConfig(**settings)


def test_over_a_market_with_the_customary_settings(tmp_path: Path) -> None:
    tasks = CryptoTaskDistribution(CryptoTaskConfig(features=["return_1", "rsi_7", "volatility_10"], horizon=3, num_support=2), related())
    config = SamplerConfig(16, 4, 8, True, 1000, str(tmp_path / "task_cache"), True, 0.7)
    with TaskSampler(tasks, config) as sampler:
        batch = sampler.sample_batch()
    assert len(batch) == 16 and all(quality(task, 3) >= 0.7 for task in batch)
    assert len(list((tmp_path / "task_cache").iterdir())) <= 1000
