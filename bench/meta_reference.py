"""Do the meta-learners learn what everybody's meta-learners learn? One JSON line a run, one a kind of run, and a table.

    OMP_NUM_THREADS=1 nice python bench/meta_reference.py [--runs waves,regimes,digits] [--seeds 3] [--out runs/meta_reference]
    OMP_NUM_THREADS=1 nice python bench/meta_reference.py --runs waves/maml --seeds 1

`waves`: sine waves of a random amplitude and phase, of frequency too for Meta-SGD, by the papers' own settings; the numbers are squared
errors over new tasks after adapting to ten points. `regimes`: a rule that flips its sign with a hidden regime, nine labels of ten agreeing;
the numbers are shares of right answers after 10 or 5 bars, and an oracle has .9. `digits`: scikit-learn's digits of 8 x 8 pixels, five
classes at a time, 1 or 5 images of each; each seed parts the ten digits into five to learn from and five for the test, whose floor `pixels`
is the nearest mean of raw pixels in the same tasks. The five are learned in all eight orientations, which count as classes of their own, as
is done with Omniglot.

`joint` is the control: the same net trained on all tasks at once, then adapted by as many steps of descent as MAML. `RUNS` is all there is
to set, the same for every seed; what no paper sets was chosen on seeds from 100 up, which are not reported. What is finished lies in
`--out` and is not done again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import tradewind as tw
from tradewind.core.files import read_json, write_json
from tradewind.core.seeds import derive, generator
from tradewind.evaluate.identity import digest
from tradewind.meta.base import MetaLearner
from tradewind.meta.protonet import prototype_logits, prototypes
from tradewind.meta.synthetic_tasks import FREQUENCIES, SINUSOIDS, RegimeTasks, Sinusoids
from tradewind.meta.tasks import Task, accuracy, sample_losses
from tradewind.nets.device import reproducible

ORIENTATIONS = 8
"""Of a square: four turns, each mirrored or not."""


@dataclass(frozen=True)
class Digits:
    """Tasks of five classes from one half of the ten digits, in all orientations or upright; the halves are drawn by `seed`."""

    half: str
    num_support: int
    num_query: int = 15
    ways: int = 5
    oriented: bool = False
    seed: int = 0

    def sample_batch(self, random: np.random.Generator, n: int) -> list[Task]:
        """`n` tasks: `num_support` and `num_query` different images of each of `ways` classes, which are numbered anew in each task."""
        return [self._task(random) for _ in range(n)]

    def _task(self, random: np.random.Generator) -> Task:
        halves = generator(self.seed, "digits", "halves").permutation(10).reshape(2, 5)
        kinds = [(int(digit), turn) for digit in halves[int(self.half == "test")] for turn in range(ORIENTATIONS if self.oriented else 1)]
        chosen = [kinds[place] for place in random.permutation(len(kinds))[: self.ways]]
        images = [random.permutation(digits()[digit])[: self.num_support + self.num_query] for digit, _ in chosen]
        data = torch.from_numpy(np.stack([turned(part, turn) for part, (_, turn) in zip(images, chosen, strict=True)]))
        labels = torch.arange(self.ways)[:, None]
        return {
            "support_data": data[:, : self.num_support].flatten(0, 1),
            "support_labels": labels.expand(-1, self.num_support).flatten(),
            "query_data": data[:, self.num_support :].flatten(0, 1),
            "query_labels": labels.expand(-1, self.num_query).flatten(),
        }


@cache
def digits() -> list[NDArray[np.float32]]:
    """(image, pixel) from 0 to 1, for each of the ten digits."""
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    return [(data[target == digit] / 16).astype(np.float32) for digit in range(10)]


def turned(images: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """The images (image, 64) in one of the eight orientations of a square."""
    squares = np.rot90(images.reshape(-1, 8, 8), turn % 4, axes=(1, 2))
    return np.ascontiguousarray(squares[:, :, ::-1] if turn >= 4 else squares).reshape(-1, 64)


Source = Sinusoids | RegimeTasks | Digits


@dataclass(frozen=True)
class Run:
    """How one learner meta-learns: `iterations` of `batch` tasks, then `tests` new ones, adapted to in as many steps as `steps` says.

    The first of `steps` is judged, None as many as were trained. `band` is what is to be reached: at most that by squared errors, of which
    the `median` task or the mean one counts, at least that by shares.
    """

    learner: str
    train: Source
    test: Source
    iterations: int
    config: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[int, ...] = (64, 64)
    tanh: bool = False
    batch: int = 16
    steps: tuple[int | None, ...] = (None,)
    tests: int = 600
    band: float | None = None
    median: bool = False


ONE_STEP = {"loss": "mse", "num_inner_steps": 1, "clip": 0.0}
GRID = Sinusoids(10, 40, phase=(0.0, 2 * math.pi), spaced=True)
"""Fifty points from end to end: those of Reptile's published code, which tests on all of them, also on the ten that it learned from."""
RUNS: dict[str, Run] = {
    "waves/maml": Run("maml", SINUSOIDS, Sinusoids(10, 100), 15_000, ONE_STEP, (40, 40), batch=25, steps=(None, 10), band=0.60),
    "waves/cavia": Run(
        "cavia", SINUSOIDS, Sinusoids(10, 100), 15_000, {**ONE_STEP, "context_size": 5}, (40, 40), batch=25, steps=(None, 10), band=0.60
    ),
    "waves/joint": Run("joint", SINUSOIDS, Sinusoids(10, 100), 15_000, ONE_STEP, (40, 40), batch=25, steps=(None, 0, 10)),
    "waves/meta-sgd": Run(
        "meta-sgd", FREQUENCIES, replace(FREQUENCIES, num_query=100), 30_000, {**ONE_STEP, "lr_regularization": 0.0}, (40, 40),
        batch=25, steps=(None, 10), band=0.62,
    ),
    "waves/reptile": Run(
        "reptile", GRID, GRID, 30_000,
        {"loss": "mse", "inner_lr": 0.02, "outer_lr": 0.1, "num_inner_steps": 5, "inner_batch": 10, "anneal_over": 30_000},
        (64, 64), tanh=True, batch=1, steps=(32, 5), band=0.08, median=True,
    ),
}  # fmt: skip
REGIMES: dict[str, dict[str, Any]] = {
    "maml": {"inner_lr": 0.1},
    "meta-sgd": {"inner_lr": 0.1, "num_inner_steps": 5},
    "cavia": {},
    "reptile": {"inner_lr": 0.1},
    "protonet": {"embedding_dim": 32},
    "matching": {"embedding_dim": 32},
    "xtrend": {"num_outputs": 2, "width": 32},
    "joint": {"inner_lr": 0.1},
}
for bars, least in ((10, 0.86), (5, 0.80)):
    for name, config in REGIMES.items():
        RUNS[f"regimes/{name}/{bars}"] = Run(
            name, RegimeTasks(bars, 20), RegimeTasks(bars, 100), 2_000, config, steps=(0, 5) if name == "joint" else (None,), tests=300,
            band=None if name in ("joint", "reptile") else least,
        )  # fmt: skip
DIGITS: dict[str, dict[str, Any]] = {
    "protonet": {},
    "matching": {"full_context": False},
    "maml": {"inner_lr": 0.1},
    "pixels": {},
}
for shots, floor in ((1, 0.736), (5, 0.896)):
    for name, config in DIGITS.items():
        RUNS[f"digits/{name}/{shots}"] = Run(
            name, Digits("train", shots, 5, oriented=True), Digits("test", shots), 0 if name == "pixels" else 600, config, batch=4,
            tests=300, band=None if name == "pixels" else floor,
        )  # fmt: skip


def seeing(outputs: int | None) -> nn.Module:
    """Two convolutions of 8 x 8 pixels: (image, 64) -> (image, 512), or through a linear head to (image, outputs)."""
    layers = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
    head = [] if outputs is None else [nn.Linear(512, outputs)]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), *head)


def learner_of(run: Run, task: Task) -> MetaLearner:
    """The run's learner around its net, for tasks like this one; the control adapts as MAML does. Weights come from torch's state."""
    name, mse = "maml" if run.learner == "joint" else run.learner, run.config.get("loss") == "mse"
    inputs, ways = task["support_data"].shape[-1], None if mse else 1 + int(task["support_labels"].max())
    model = (
        seeing(ways if name == "maml" else None)
        if isinstance(run.train, Digits)
        else tw.meta.perceptron(name, inputs, ways or 1, run.hidden, **run.config)
    )
    if run.tanh:
        model = nn.Sequential(*[nn.Tanh() if isinstance(layer, nn.ReLU) else layer for layer in model.children()])
    return tw.meta.learner(name, model, ways, **run.config)


def joint_gradients(learner: MetaLearner, tasks: Sequence[Task]) -> dict[str, float]:
    """Leave the gradient of the mean loss of all samples of all tasks, as if they were one task."""
    data, labels = (torch.cat([task[f"{key}_{part}"] for task in tasks for key in ("support", "query")]) for part in ("data", "labels"))
    loss = sample_losses(learner.model(data), labels, learner.config.loss).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return {"meta_loss": float(loss.detach())}


def trained(run: Run, seed: int) -> Callable[[Task, int | None], Callable[[Tensor], Tensor]]:
    """Meta-train, and what answers a task after that: (task, steps) -> its model."""
    if run.learner == "pixels":
        return lambda task, steps: _nearest(task)
    random = generator(seed, "tasks", "train")
    learner = learner_of(run, run.train.sample_batch(random, 1)[0])
    for _ in range(run.iterations):
        tasks = run.train.sample_batch(random, run.batch)
        if run.learner == "joint":
            learner.optimiser.step(learner.optimiser.gather(partial(joint_gradients, learner), tasks)["meta_loss"])
        else:
            learner.meta_train_step(tasks)
    return lambda task, steps: learner.few_shot_adapt(task["support_data"], task["support_labels"], steps)


def _nearest(task: Task) -> Callable[[Tensor], Tensor]:
    """The nearest mean of raw inputs."""
    means, present = prototypes(task["support_data"], task["support_labels"], 1 + int(task["support_labels"].max()))
    return lambda data: prototype_logits(data, means, present, "squared_euclidean", 1.0)


@torch.no_grad()
def score(run: Run, task: Task, answers: Tensor) -> float:
    """The mean squared error, or the share of right answers, on a task's query."""
    if run.config.get("loss") == "mse":
        return float(sample_losses(answers, task["query_labels"], "mse").mean())
    return accuracy(answers, task["query_labels"])


def measure(name: str, seed: int, told: Run | None = None) -> dict[str, Any]:
    """Meta-learn from tasks of this seed, then adapt to new ones, the same for all learners: one line."""
    run = RUNS[name] if told is None else told
    if isinstance(run.train, Digits):
        run = replace(run, train=replace(run.train, seed=seed), test=replace(run.test, seed=seed))
    began, used = time.perf_counter(), time.process_time()
    with reproducible(derive(seed, "net")):
        answer = trained(run, seed)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        tests = run.test.sample_batch(generator(seed, "tasks", "test"), run.tests)
        scores = {str(steps): [score(run, task, answer(task, steps)(task["query_data"])) for task in tests] for steps in run.steps}
    judged = np.array(scores[str(run.steps[0])])
    return {
        "bench": "meta reference", "run": name, "learner": run.learner, "seed": seed, "iterations": run.iterations, "tests": run.tests,
        "mean": round(float(judged.mean()), 4), "error": round(float(judged.std(ddof=1) / math.sqrt(len(judged))), 4),
        "median": round(float(np.median(judged)), 4), "steps": {steps: round(float(np.mean(each)), 4) for steps, each in scores.items()},
        "seconds": round(wall, 1), "cpu_seconds": round(cpu, 1),
    }  # fmt: skip


def summary(run: Run, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """One line for all seeds of a kind of run; it has reached its band when the mean of the seeds has."""
    figures = [line["median" if run.median else "mean"] for line in lines]
    mean = float(np.mean(figures))
    reached = None if run.band is None else bool(mean <= run.band if run.config.get("loss") == "mse" else mean >= run.band)
    return {
        "bench": "meta reference summary", "run": lines[0]["run"], "seeds": len(lines), "of": "medians" if run.median else "means",
        "mean": round(mean, 4), "least": min(figures), "most": max(figures), "band": run.band, "reached": reached,
        "iterations": run.iterations, "cpu_seconds": round(float(np.mean([line["cpu_seconds"] for line in lines])), 1),
    }  # fmt: skip


def table(summaries: list[dict[str, Any]]) -> str:
    """The summaries as a table for documents."""
    rows = ["| run | iterations | mean of seeds (least to most) | band | CPU seconds a run |", "|---|---|---|---|---|"]
    for line in summaries:
        figures = f"{line['mean']:.3f} ({line['least']:.3f} to {line['most']:.3f}), {line['seeds']} seeds"
        verdict = "" if line["band"] is None else f"{line['band']:g} {'reached' if line['reached'] else 'missed'}"
        rows.append(f"| {line['run']} | {line['iterations']:,} | {figures} | {verdict} | {line['cpu_seconds']:.0f} |")
    return "\n".join(rows)


def main() -> None:
    """Read the flags, do what is left, print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="waves,regimes,digits", help="beginnings of the names of runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed; those from 100 up are for choosing settings")
    parser.add_argument("--out", default="runs/meta_reference")
    arguments = parser.parse_args()
    summaries = []
    for name in [known for known in RUNS if known.startswith(tuple(arguments.runs.split(",")))]:
        lines = []
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            told = digest({"run": asdict(RUNS[name]), "seed": seed})[:8]
            place = Path(arguments.out) / f"{name.replace('/', '-')}-{seed}-{told}.json"
            if not place.exists():
                write_json(place, measure(name, seed))
            lines.append(read_json(place))
            print(json.dumps(lines[-1]), flush=True)
        summaries.append(summary(RUNS[name], lines))
        print(json.dumps(summaries[-1]), flush=True)
    print(table(summaries))


if __name__ == "__main__":
    main()
