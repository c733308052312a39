"""Speed of the training loop on the PriceActionTransformer: float32 and bfloat16, one thread and two; one JSON line a measurement.

    python bench/training.py [--samples 768] [--batch 32] [--repeats 3]

Each line has wall and CPU time beside the samples a second, since two threads that wait for each other look busy. The last lines are one
fit as the main job does it (2,900 rows of one symbol, preset `quick`) and the cost of asking for a single row.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise

import numpy as np
import torch

from tradewind.core.clock import MINUTE, SystemClock
from tradewind.core.types import Features, Labels
from tradewind.models.neural import PriceActionForecaster
from tradewind.nets.device import reproducible
from tradewind.nets.losses import TWO_CLASSES
from tradewind.nets.price_action_transformer import PriceActionTransformer
from tradewind.nets.training import Examples, TrainingSettings, train
from tradewind.nets.windows import windows

CLOCK = SystemClock()


def examples(samples: int) -> Examples:
    """`samples` windows of 64 rows and 14 columns of noise."""
    random = np.random.default_rng(0)
    rows = samples + 63
    found = windows(random.standard_normal((rows, 1, 14)), np.ones((rows, 1), dtype=np.bool_), 64)
    return Examples(found, torch.from_numpy((random.uniform(size=samples) > 0.5).astype(np.float32)), torch.ones(samples))


def measure_loop(samples: int, batch: int, bfloat16: bool, threads: int, repeats: int) -> dict[str, object]:
    """The best of `repeats` epochs of a net that has been warmed up by one."""
    with reproducible(0):
        net = PriceActionTransformer()
    marks = [(CLOCK.monotonic(), time.process_time())]
    settings = TrainingSettings(epochs=repeats + 1, batch=batch, bfloat16=bfloat16, threads=threads, device="cpu")
    told = train(net, examples(samples), None, TWO_CLASSES, settings, 0, lambda _: marks.append((CLOCK.monotonic(), time.process_time())))
    walls = [after[0] - before[0] for before, after in pairwise(marks[1:])]
    busy = [after[1] - before[1] for before, after in pairwise(marks[1:])]
    return {
        "what": "training loop",
        "precision": "bfloat16" if bfloat16 else "float32",
        "threads": threads,
        "batch": batch,
        "samples_per_second": round(samples / min(walls)),
        "samples_per_cpu_second": round(samples / min(busy)),
        "device": told.device.name,
    }


def measure_fit(bfloat16: bool, rows: int = 2_900) -> list[dict[str, object]]:
    """One fit of the main job, all epochs used, and one decision."""
    random = np.random.default_rng(0)
    open_time = np.arange(rows, dtype=np.int64) * 15 * MINUTE
    known = open_time + 15 * MINUTE
    X = Features(tuple(f"x{i}" for i in range(14)), random.standard_normal((rows, 1, 14)), 0, open_time, known, ("A",))
    answers = np.where(random.uniform(size=(rows, 1)) > 0.5, 1.0, -1.0)
    y = Labels(answers, known[:, None] + 15 * MINUTE, np.arange(rows)[:, None] + 1, np.ones((rows, 1)), (-1.0, 1.0))
    model = PriceActionForecaster("quick", bfloat16=bfloat16, patience=100)
    began = CLOCK.monotonic(), time.process_time()
    model.fit(X, y)
    fitted = CLOCK.monotonic(), time.process_time()
    model.predict(X[-1_000:])
    asked = CLOCK.monotonic()
    for _ in range(50):
        model.predict(X[-model.window :][:64])
    precision = "bfloat16" if bfloat16 else "float32"
    return [
        {
            "what": "fit of the main job",
            "precision": precision,
            "rows": rows,
            "epochs": model.settings.epochs,
            "wall_seconds": round(fitted[0] - began[0], 2),
            "cpu_seconds": round(fitted[1] - began[1], 2),
        },
        {"what": "rows asked a second", "rows_per_second": round(937 / (asked - fitted[0]))},
        {"what": "one decision", "milliseconds": round((CLOCK.monotonic() - asked) / 50 * 1e3, 2)},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=768)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    for threads in (1, 2):
        for bfloat16 in (False, True):
            print(json.dumps(measure_loop(chosen.samples, chosen.batch, bfloat16, threads, chosen.repeats)), flush=True)
    for bfloat16 in (False, True):
        for line in measure_fit(bfloat16):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
