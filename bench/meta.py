"""Speed of few-shot learning: second-order meta-iterations a second beside TorchOpt, and how long an adaptation takes; a JSON line each.

    python bench/meta.py [training] [adaptation] [--rounds 7] [--iterations 20]

The net is 9-256-256-3 with ReLU, five inner steps, eight tasks of ten support and twenty query samples, three classes, float32, one thread.
`training`: whole meta-iterations (adapt to eight tasks, differentiate through all steps, clip, Adam) of `MAML` on its low-rank way and on
its general one, which takes any module, of first order, and of TorchOpt's `MetaSGD`, the differentiable optimiser that MAML is written with
there (`pip install torchopt`; left out and said so where it is missing), all taking turns from the same weights; the largest difference of
their first meta-gradients is told. `adaptation`: `few_shot_adapt` of five steps on one new task, checks and the copy of the model within.
Speed counts seconds of the processor, the best of several rounds: on one thread those of an idle machine; those of the clock stand beside.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewind.core.clock import SystemClock
from tradewind.core.seeds import derive
from tradewind.meta.maml import MAML, MAMLConfig

CLOCK: Final = SystemClock()
INPUTS, HIDDEN, CLASSES, STEPS, TASKS, SUPPORT, QUERY = 9, 256, 3, 5, 8, 10, 20
INNER_LR, OUTER_LR, CLIP = 0.01, 0.001, 10.0


def report(name: str, **figures: float | int | str | None) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 8) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def net() -> nn.Sequential:
    """The net of the comparison, the same weights at every call."""
    torch.manual_seed(derive(0, "bench", "meta", "net"))
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


def tasks() -> list[dict[str, Tensor]]:
    """Eight tasks, each with a linear rule of its own, to which the labels keep."""
    generator = torch.Generator().manual_seed(derive(0, "bench", "meta", "tasks"))
    made = []
    for _ in range(TASKS):
        rule = torch.randn(INPUTS, CLASSES, generator=generator)
        data = torch.randn(SUPPORT + QUERY, INPUTS, generator=generator)
        labels = (data @ rule).argmax(dim=1)
        labels[:2] = torch.tensor([0, 1])  # a support of one class would be refused
        made.append(
            {
                "support_data": data[:SUPPORT],
                "support_labels": labels[:SUPPORT],
                "query_data": data[SUPPORT:],
                "query_labels": labels[SUPPORT:],
            }
        )
    return made


def torchopt_iteration(torchopt: ModuleType, model: nn.Module, batch: list[dict[str, Tensor]]) -> Callable[[], None]:
    """A meta-iteration as TorchOpt's own few-shot example writes it: step a differentiable optimiser, take back, next task."""
    inner = torchopt.MetaSGD(model, lr=INNER_LR)
    outer = torch.optim.Adam(model.parameters(), lr=OUTER_LR)

    def iteration() -> None:
        outer.zero_grad()
        weights, moments = torchopt.extract_state_dict(model, by="reference"), torchopt.extract_state_dict(inner, by="reference")
        losses = []
        for task in batch:
            for _ in range(STEPS):
                inner.step(functional.cross_entropy(model(task["support_data"]), task["support_labels"]))
            losses.append(functional.cross_entropy(model(task["query_data"]), task["query_labels"]))
            torchopt.recover_state_dict(model, weights)
            torchopt.recover_state_dict(inner, moments)
        torch.stack(losses).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        outer.step()

    return iteration


def turns(works: dict[str, Callable[[], object]], rounds: int, iterations: int) -> dict[str, tuple[float, float]]:
    """For each: seconds of the processor and of the clock of one call, the best of several rounds in which all take turns."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            start, began = CLOCK.monotonic(), time.process_time()
            for _ in range(iterations):
                work()
            seconds[name].append(((time.process_time() - began) / iterations, (CLOCK.monotonic() - start) / iterations))
    return {name: (min(busy for busy, _ in taken), min(passed for _, passed in taken)) for name, taken in seconds.items()}


def training(rounds: int, iterations: int) -> None:
    """Meta-iterations a second of all, and how far their first meta-gradients are apart."""
    start, batch = net(), tasks()
    models = {name: copy.deepcopy(start) for name in ("low_rank", "general", "torchopt")}
    config = MAMLConfig(INNER_LR, OUTER_LR, STEPS, clip=CLIP)
    ours = {
        "low_rank": MAML(models["low_rank"], config, CLASSES),
        "general": MAML(models["general"], MAMLConfig(INNER_LR, OUTER_LR, STEPS, clip=CLIP, low_rank=False), CLASSES),
    }
    first_order = MAML(copy.deepcopy(start), MAMLConfig(INNER_LR, OUTER_LR, STEPS, clip=CLIP, first_order=True), CLASSES)
    works: dict[str, Callable[[], object]] = {
        **{name: (lambda learner=learner: learner.meta_train_step(batch)) for name, learner in ours.items()},
        "first_order": lambda: first_order.meta_train_step(batch),
    }
    try:
        works["torchopt"] = torchopt_iteration(importlib.import_module("torchopt"), models["torchopt"], batch)
    except ImportError:
        report("meta training", of="torchopt", left_out="not installed: pip install torchopt")
    for name in (name for name in ("low_rank", "general", "torchopt") if name in works):
        works[name]()
    slopes = {
        name: torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        for name, model in models.items()
        if name in works
    }
    taken = turns(works, rounds, iterations)
    for name, (busy, passed) in taken.items():
        report(
            "meta training",
            of=name,
            iterations_per_cpu_second=round(1 / busy, 1),
            iterations_per_second=round(1 / passed, 1),
            of_torchopt=round(taken["torchopt"][0] / busy, 2) if "torchopt" in taken else None,
            gradient_apart=float((slopes[name] - slopes["low_rank"]).abs().max()) if name in slopes else None,
            gradient_largest=float(slopes[name].abs().max()) if name in slopes else None,
        )


def adaptation(rounds: int, iterations: int) -> None:
    """Milliseconds of one adaptation of five steps: the median of single calls in the calmest round, and in all of them."""
    task = tasks()[0]
    for name, low_rank in (("low_rank", True), ("general", False)):
        learner = MAML(net(), MAMLConfig(INNER_LR, OUTER_LR, STEPS, low_rank=low_rank), CLASSES)
        busy: list[list[float]] = []
        passed: list[list[float]] = []
        for _ in range(rounds):
            busy.append([])
            passed.append([])
            for _ in range(5 * iterations):
                start, began = CLOCK.monotonic(), time.process_time()
                learner.few_shot_adapt(task["support_data"], task["support_labels"])
                busy[-1].append((time.process_time() - began) * 1e3)
                passed[-1].append((CLOCK.monotonic() - start) * 1e3)
        report(
            "meta adaptation",
            of=name,
            calls=rounds * 5 * iterations,
            calmest_p50_ms=round(min(statistics.median(taken) for taken in passed), 3),
            p50_ms=round(statistics.median(one for taken in passed for one in taken), 3),
            cpu_p50_ms=round(statistics.median(one for taken in busy for one in taken), 3),
            cpu_p95_ms=round(statistics.quantiles([one for taken in busy for one in taken], n=20)[-1], 3),
        )


def main() -> None:
    """Measure what is asked for, everything by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="training, adaptation; both by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, Callable[[int, int], None]] = {"training": training, "adaptation": adaptation}
    for part in options.parts or known:
        known[part](options.rounds, options.iterations)


if __name__ == "__main__":
    main()
