"""The nets of tradewind beside plain PyTorch: samples a second, loss for loss; one JSON line a measurement.

    python bench/training.py [--samples 1024] [--batch 32] [--seeds 3] [--quality-samples 1500]

Plain is what most people write: torch's own layers and dropout, float32, AdamW, and a DataLoader over a Dataset that holds a copy of every
window. Ours gathers windows on the device, in float32 and in bfloat16, through the one training loop. Each line of speed is the best of
three epochs after one to warm up, plain and ours in turn, and in seconds of the processor: on one thread those are the seconds of an idle
machine, whatever else is running. The quality lines train both on an answer that
lies between rows (the sum of one column's newest ten) with the same sizes, steps and learning rate, and give the least validation loss
of each seed. The last lines are fits with the preset `quick`, one decision, and rows asked a second.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tradewind.core.clock import MINUTE, SystemClock
from tradewind.core.types import Features, Labels
from tradewind.models.registry import forecaster
from tradewind.nets.device import report_device, reproducible, supports_bfloat16
from tradewind.nets.losses import RETURN
from tradewind.nets.lstm import LSTM, LSTMSizes
from tradewind.nets.price_action_transformer import PriceActionTransformer, sinusoids
from tradewind.nets.training import Examples, TrainingSettings, train
from tradewind.nets.transformer import Transformer, TransformerSizes
from tradewind.nets.windows import windows

CLOCK = SystemClock()
COLUMNS, WINDOW = 32, 60


class Pooled(nn.Module):
    """Attention asked by the newest row, which is joined to it, and a linear head, as anybody would write them."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.score = nn.Sequential(nn.Tanh(), nn.Linear(width, 1, bias=False))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, 1))

    def forward(self, rows: Tensor) -> Tensor:
        shares = torch.softmax(self.score(self.key(rows) + self.query(rows[:, -1:])), dim=1)
        return cast(Tensor, self.head(torch.cat([(shares * rows).sum(dim=1), rows[:, -1]], dim=1)))


class PlainLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(COLUMNS, 128, 2, batch_first=True, bidirectional=True, dropout=0.2)
        self.pooled = Pooled(256, 0.2)

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, self.pooled(self.cells(rows)[0]))


class PlainTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.dropout = nn.Linear(COLUMNS, 128), nn.Dropout(0.2)
        self.register_buffer("positions", sinusoids(WINDOW, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 512, 0.2, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(128), enable_nested_tensor=False)
        self.pooled = Pooled(128, 0.2)
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, self.pooled(self.encoder(self.dropout(self.embed(rows) + cast(Tensor, self.positions)))))


class PlainPriceActionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.dropout = nn.Linear(COLUMNS, 128), nn.Dropout(0.1)
        self.register_buffer("positions", sinusoids(WINDOW, 128))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 512, 0.1, batch_first=True), 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 1))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, rows: Tensor) -> Tensor:
        encoded = self.encoder(self.dropout(self.embed(rows) + cast(Tensor, self.positions)))
        return cast(Tensor, self.head(encoded.mean(dim=1)))


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "lstm": (PlainLSTM, lambda: LSTM(COLUMNS, 1, LSTMSizes())),
    "transformer": (PlainTransformer, lambda: Transformer(COLUMNS, 1, TransformerSizes())),
    "price-action-transformer": (PlainPriceActionTransformer, lambda: PriceActionTransformer(COLUMNS, WINDOW)),
}


class Copies(Dataset[tuple[Tensor, Tensor]]):
    """Every window copied out beforehand."""

    def __init__(self, values: np.ndarray, answers: np.ndarray) -> None:
        stacked = np.stack([values[end - WINDOW + 1 : end + 1] for end in range(WINDOW - 1, len(values))])
        self.windows = torch.from_numpy(stacked.astype(np.float32))
        self.answers = torch.from_numpy(answers[WINDOW - 1 :].astype(np.float32))

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.windows[number], self.answers[number]


def lesson(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (row, column) and an answer (row,) of variance 1: the newest ten rows of column 0 added up, and a fifth of noise."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((samples + WINDOW - 1, COLUMNS))
    recent = np.convolve(values[:, 0], np.ones(10) / math.sqrt(10), "full")[: len(values)]
    return values, math.sqrt(0.8) * recent + math.sqrt(0.2) * random.standard_normal(len(values))


def examples(values: np.ndarray, answers: np.ndarray) -> Examples:
    found = windows(values[:, None], np.ones((len(values), 1), dtype=np.bool_), WINDOW)
    targets = torch.from_numpy(answers[found.time].astype(np.float32))
    return Examples(found, targets, torch.ones(len(found)))


def plain_epochs(net: nn.Module, data: Copies, later: Copies | None, batch: int, seed: int, rate: float = 1e-3) -> Iterator[float]:
    """Train as in a tutorial, epoch by epoch; the validation loss after each, NaN without `later`."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate)
    loader = DataLoader(data, batch, shuffle=True, generator=torch.Generator().manual_seed(seed))
    while True:
        net.train()
        for rows, answers in loader:
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.mse_loss(net(rows)[:, 0], answers))
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
        net.eval()
        with torch.no_grad():
            parts = [] if later is None else [((net(rows)[:, 0] - answers) ** 2).sum() for rows, answers in DataLoader(later, 64)]
        yield float(sum(parts)) / len(later) if later is not None else math.nan


def measure_speed(name: str, samples: int, batch: int, repeats: int = 3) -> dict[str, Any]:
    """Samples a second of plain PyTorch and of ours in float32 and bfloat16, an epoch of each in turn."""
    values, answers = lesson(samples, 0)
    data, ours = Copies(values, answers), examples(values, answers)
    best = {"plain float32": math.inf, "float32": math.inf, "bfloat16": math.inf}
    with reproducible(0):
        course = plain_epochs(NETS[name][0](), data, None, batch, 0)
        nets = {half: NETS[name][1]() for half in (False, True)}
        for turn in range(repeats + 1):
            began = time.process_time()
            next(course)
            taken = {"plain float32": time.process_time() - began}
            for half, label in ((False, "float32"), (True, "bfloat16")):
                began = time.process_time()
                train(nets[half], ours, None, RETURN, TrainingSettings(epochs=1, batch=batch, bfloat16=half, device="cpu"), turn)
                taken[label] = time.process_time() - began
            if turn:
                best = {label: min(best[label], taken[label]) for label in best}
    speeds = {label: round(samples / seconds) for label, seconds in best.items()}
    ratios = {f"{label} against plain": round(best["plain float32"] / best[label], 2) for label in ("float32", "bfloat16")}
    return {"what": "samples a CPU second", "net": name, "batch": batch, **speeds, **ratios}


def measure_quality(name: str, samples: int, batch: int, seeds: int, epochs: int) -> dict[str, Any]:
    """The least validation loss of plain PyTorch and of ours in bfloat16, seed by seed; the answer's variance is 1, its noise .2."""
    least: dict[str, list[float]] = {"plain float32": [], "bfloat16": []}
    for seed in range(seeds):
        data, later = lesson(samples, 2 * seed), lesson(500, 2 * seed + 1)
        with reproducible(seed):
            course = plain_epochs(NETS[name][0](), Copies(*data), Copies(*later), batch, seed)
            least["plain float32"].append(min(next(course) for _ in range(epochs)))
        with reproducible(seed):
            net = NETS[name][1]()
        settings = TrainingSettings(epochs=epochs, patience=epochs, batch=batch, bfloat16=True, device="cpu")
        told = train(net, examples(*data), examples(*later), RETURN, settings, seed)
        least["bfloat16"].append(min(cast(float, line.validation_loss) for line in told.history))
    rounded = {label: [round(loss, 4) for loss in losses] for label, losses in least.items()}
    means = {f"mean {label}": round(statistics.fmean(losses), 4) for label, losses in least.items()}
    return {"what": "least validation loss", "net": name, "epochs": epochs, "samples": samples, **rounded, **means}


def measure_quick(name: str, rows: int = 3_000) -> dict[str, Any]:
    """A fit with the preset `quick`, single decisions, and a whole history asked at once."""
    random = np.random.default_rng(0)
    open_time = np.arange(rows, dtype=np.int64) * 15 * MINUTE
    known = open_time + 15 * MINUTE
    X = Features(tuple(f"x{i}" for i in range(COLUMNS)), random.standard_normal((rows, 1, COLUMNS)), 0, open_time, known, ("A",))
    answers = np.where(random.uniform(size=(rows, 1)) > 0.5, 1.0, -1.0)
    y = Labels(answers, known[:, None] + 15 * MINUTE, np.arange(rows)[:, None] + 1, np.ones((rows, 1)), (-1.0, 1.0))
    model = cast(Any, forecaster(name, preset="quick", patience=100))
    began = time.process_time()
    model.fit(X, y)
    fitted = time.process_time()
    model.predict(X)
    asked = time.process_time()
    wall, busy = [], []
    for row in range(rows - 300, rows):
        start = CLOCK.monotonic(), time.process_time()
        model.predict_last(X[row + 1 - model.window : row + 1])
        wall.append(1e3 * (CLOCK.monotonic() - start[0]))
        busy.append(1e3 * (time.process_time() - start[1]))
    return {
        "what": "preset quick",
        "net": name,
        "rows": rows,
        "epochs": len(model.training.history),
        "fit_cpu_seconds": round(fitted - began, 1),
        "rows_asked_per_cpu_second": round(rows / (asked - fitted)),
        "decision_cpu_ms_p50": round(float(np.quantile(busy, 0.5)), 2),
        "decision_cpu_ms_p99": round(float(np.quantile(busy, 0.99)), 2),
        "decision_wall_ms_p50": round(float(np.quantile(wall, 0.5)), 2),
        "decision_wall_ms_p99": round(float(np.quantile(wall, 0.99)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_024)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3, help="of the quality lines; 0 leaves them out")
    parser.add_argument("--quality-samples", type=int, default=1_500)
    parser.add_argument("--epochs", type=int, default=12, help="of the quality lines")
    parser.add_argument("--nets", nargs="*", default=list(NETS))
    chosen = parser.parse_args()
    device = torch.device("cpu")
    about = report_device(device, 1, supports_bfloat16(device), "")
    capabilities = cast(Any, torch.cpu).get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = {name: bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16")}
    print(json.dumps({"what": "machine", "name": about.name, "threads": 1, "torch": torch.__version__, **native}), flush=True)
    for name in chosen.nets:
        print(json.dumps(measure_speed(name, chosen.samples, chosen.batch)), flush=True)
    for name in chosen.nets if chosen.seeds else ():
        print(json.dumps(measure_quality(name, chosen.quality_samples, chosen.batch, chosen.seeds, chosen.epochs)), flush=True)
    for name in ("mlp", *chosen.nets):
        print(json.dumps(measure_quick(name)), flush=True)


if __name__ == "__main__":
    main()
