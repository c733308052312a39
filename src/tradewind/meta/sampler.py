"""`TaskSampler`: batches of tasks made ahead by threads, kept from one pass to the next, of fair quality, and balanced by difficulty.

Task i is made of the distribution's seed and i alone, and tasks are judged in the order of i, so the batches are the same whatever the
number of workers and whatever a cache held. Refused are tasks of a quality below `min_quality_score` (meta/quality.py; it never sees a
query label). Balanced: a batch takes its tasks in turn from the easy, the middling and the hard third, parted at the terciles of the tasks
so far, which is a fixed curriculum of equal shares (Bengio et al. 2009, https://doi.org/10.1145/1553374.1553380, without the order).
Difficulty is that of the support alone.

Costs what its tasks cost, and a tenth of a millisecond a task for its measures. Fails to speed up what holds the interpreter's lock:
threads then only keep tasks ready while a learner computes. A balance by difficulty changes the distribution that is learned: judge on
unbalanced tasks.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, final

import numpy as np
import torch

from tradewind.core.errors import DataError
from tradewind.core.limits import fraction, whole
from tradewind.core.types import State
from tradewind.meta.quality import quality
from tradewind.meta.task_cache import TaskCache
from tradewind.meta.tasks import Task

__all__ = ["SamplerConfig", "TaskDistribution", "TaskSampler"]

PATIENCE: Final = 1000
"""Tasks refused in a row before the sampler says that the quality asked for is not to be had."""
PILOT: Final = 48
"""Tasks, at least, whose terciles of difficulty part easy from hard at first."""
ENOUGH: Final = 4096
"""Tasks after which the terciles stay as they are: they are then within a hundredth of what they would be of all."""
_GOLDEN: Final = 0.6180339887498949


class TaskDistribution(Protocol):
    """What tasks can be drawn from: task number `index` is the same at every call, and another process that asks."""

    @property
    def ways(self) -> int:
        """How many classes there are; 0 where labels are numbers."""
        ...

    @property
    def identity(self) -> str:
        """A hexadecimal sha256: equal where every task is equal."""
        ...

    def task(self, index: int) -> Task:
        """Task number `index`. Threads call it side by side."""
        ...

    def get_task_difficulty(self, task: Task) -> float:
        """From 0 to 1, by the support alone."""
        ...


@final
@dataclass(frozen=True)
class SamplerConfig:
    """`batch_size` tasks a batch, of which `prefetch_factor` are made ahead by `num_workers` threads; 0 workers make tasks when they are
    asked for.

    `enable_cache` keeps up to `cache_size` tasks, in the folder `cache_dir`, or in memory where it is None; what is kept saves making it
    again in the next pass or process. `balance_by_difficulty`, and `min_quality_score` from 0, every task will do, to 1.
    """

    batch_size: int = 16
    prefetch_factor: int = 4
    num_workers: int = 8
    enable_cache: bool = True
    cache_size: int = 1000
    cache_dir: str | Path | None = None
    balance_by_difficulty: bool = True
    min_quality_score: float = 0.7

    def __post_init__(self) -> None:
        whole(batch_size=self.batch_size, prefetch_factor=self.prefetch_factor, cache_size=self.cache_size)
        whole(least=0, num_workers=self.num_workers)
        fraction(zero=True, one=True, min_quality_score=self.min_quality_score)


@final
@dataclass(frozen=True, eq=False)
class _Candidate:
    """A task, and what is thought of it."""

    task: Task
    quality: float
    difficulty: float


@final
class TaskSampler:
    """Batches of a distribution's tasks, from task 0 on; a context manager, which every time it is entered begins anew.

    Outside of `with` it works without threads. Raises DataError where a thousand tasks in a row are refused.
    """

    _asked: int
    _judged: int

    def __init__(self, distribution: TaskDistribution, config: SamplerConfig | None = None) -> None:
        self.distribution, self.config = distribution, config or SamplerConfig()
        self.cache = TaskCache(self.config.cache_size, self.config.cache_dir) if self.config.enable_cache else None
        self._identity = distribution.identity if self.cache is not None else ""
        self._workers: ThreadPoolExecutor | None = None
        self._begin()

    def __enter__(self) -> Self:
        self._begin()
        if self.config.num_workers:
            self._workers = ThreadPoolExecutor(self.config.num_workers, thread_name_prefix="tasks")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
            self._workers = None
        self._ahead.clear()
        # Threads had begun these; without threads they are made when their turn comes.
        self._asked = self._judged

    def sample_batch(self) -> list[Task]:
        """The next `batch_size` tasks."""
        return [self._next().task for _ in range(self.config.batch_size)]

    def statistics(self) -> dict[str, float]:
        """Since the pass began: tasks `served`, `judged`, `refused` for their quality, `waiting` for their turn and `dropped` from it, mean
        `quality` and `difficulty` of those served; and over all passes what the cache did: `hits`, `misses`, `damaged`.
        """
        told = {name: float(getattr(self, f"_{name}")) for name in ("served", "judged", "refused", "dropped")}
        told["waiting"] = float(sum(map(len, self._waiting)))
        told |= {name: total / self._served if self._served else float("nan") for name, total in self._sums.items()}
        if self.cache is not None:
            told |= {"hits": float(self.cache.hits), "misses": float(self.cache.misses), "damaged": float(self.cache.damaged)}
        return told

    # -- the stream of tasks -----------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        self._asked = self._judged = self._served = self._refused = self._dropped = 0
        self._sums = {"quality": 0.0, "difficulty": 0.0}
        self._ahead: deque[Future[_Candidate]] = deque()
        self._waiting: tuple[deque[_Candidate], ...] = (deque(), deque(), deque())
        self._edges = np.empty(0)
        self._keys: list[float] = []

    def _next(self) -> _Candidate:
        chosen = self._balanced() if self.config.balance_by_difficulty else self._accepted()[1]
        self._served += 1
        self._sums["quality"] += chosen.quality
        self._sums["difficulty"] += chosen.difficulty
        return chosen

    def _balanced(self) -> _Candidate:
        """The oldest task of the third whose turn it is."""
        if not self._keys:
            first = [self._accepted() for _ in range(max(PILOT, 3 * self.config.batch_size))]
            self._keys = [_key(*one) for one in first]
            self._edges = np.quantile(self._keys, (1 / 3, 2 / 3))
            for key, (_, candidate) in zip(self._keys, first, strict=True):
                self._queue(key, candidate)
        turn = self._waiting[self._served % 3]
        while not turn:
            index, candidate = self._accepted()
            self._learn(key := _key(index, candidate))
            self._queue(key, candidate)
        return turn.popleft()

    def _learn(self, key: float) -> None:
        """Part the thirds anew whenever twice as many tasks are known, until they are known well."""
        if len(self._keys) < ENOUGH:
            self._keys.append(key)
            if len(self._keys) & (len(self._keys) - 1) == 0:
                self._edges = np.quantile(self._keys, (1 / 3, 2 / 3))

    def _queue(self, key: float, candidate: _Candidate) -> None:
        waiting = self._waiting[int(np.searchsorted(self._edges, key))]
        waiting.append(candidate)
        if len(waiting) > max(PILOT, 4 * self.config.batch_size):
            # Where the tasks come to lean to one side, its oldest are let go.
            waiting.popleft()
            self._dropped += 1

    def _accepted(self) -> tuple[int, _Candidate]:
        """The next task of sufficient quality, and its number."""
        best = 0.0
        for _ in range(PATIENCE):
            index, candidate = self._judged, self._candidate()
            self._judged += 1
            if candidate.quality >= self.config.min_quality_score:
                return index, candidate
            self._refused += 1
            best = max(best, candidate.quality)
        raise DataError(
            f"none of {PATIENCE} tasks in a row has the quality {self.config.min_quality_score}, the best has {best:.3f}; "
            "lower min_quality_score, or give features that vary and have no gaps"
        )

    def _candidate(self) -> _Candidate:
        """The next task, whatever its quality."""
        if self._workers is None:
            self._asked += 1
            return self._make(self._judged)
        while len(self._ahead) < self.config.prefetch_factor * self.config.batch_size:
            self._ahead.append(self._workers.submit(self._make, self._asked))
            self._asked += 1
        return self._ahead.popleft().result()

    def _make(self, index: int) -> _Candidate:
        """Task number `index` out of the cache, or made and kept there."""
        kept = None if self.cache is None else self.cache.get(self._identity, index)
        if kept is not None:
            task: Task = {name: torch.from_numpy(array) for name, array in kept.arrays.items()}
            return _Candidate(task, float(kept.values["quality"]), float(kept.values["difficulty"]))
        task = self.distribution.task(index)
        made = _Candidate(task, quality(task, self.distribution.ways), self.distribution.get_task_difficulty(task))
        if self.cache is not None:
            about = {"quality": made.quality, "difficulty": made.difficulty}
            self.cache.put(self._identity, index, State(about, {name: part.numpy() for name, part in task.items()}))
        return made


def _key(index: int, candidate: _Candidate) -> float:
    """Difficulty, and among equals an order that spreads their numbers evenly (Weyl 1916), so that every third is reached."""
    return candidate.difficulty + 1e-6 * (index * _GOLDEN % 1.0)
