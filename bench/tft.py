"""Speed and quality of the Temporal Fusion Transformer beside pytorch-forecasting's, in one run; one JSON line a measurement.

    python bench/tft.py speed [--hidden 64 256] [--batches 3]
    python bench/tft.py quality [--epochs 6] [--seeds 3] [--hidden 32]

Both read the bundled BTC/USD 15-minute bars: 60 bars in, the returns over 1 to 20 bars out, seven quantiles, 17 columns of which four
are of the calendar. `ours` computes a bar's variable selection once a batch, `per window` once for every window that holds the bar.
`oracle` is pytorch-forecasting's net on the very same batches; `oracle, own loader` has them from its TimeSeriesDataSet, as its users do.
All are trained with AdamW and the same pinball loss on one thread; speeds are samples a second of CPU time, the best of some batches.
`quality` prints the best validation loss of each seed; with `--planted` a drift that the window tells is added to the paths.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tradewind.core.seeds import derive
from tradewind.core.types import Features, Labels
from tradewind.data.bundled import sample
from tradewind.features.batch import compute
from tradewind.features.catalog import CALENDAR
from tradewind.labels import label
from tradewind.models.rows import training_rows
from tradewind.models.tft import PRESETS
from tradewind.models.tft_inputs import Ahead
from tradewind.models.windowed import WindowedRows, as_tensor
from tradewind.nets.device import reproducible
from tradewind.nets.losses import quantiles
from tradewind.nets.tft import Histories, History, Sequences, TemporalFusionTransformer, TFTSizes
from tradewind.nets.training import Examples, TrainingSettings, train

__all__ = ["COLUMNS", "Oracle", "lessons", "oracle", "quality"]

COLUMNS: Final = (
    *("return_1", "return_5", "return_20", "volatility_20", "rsi_14", "bb_width_20", "bb_percent_20", "natr_14", "ema_distance_50"),
    *("stoch_k", "cci_20", "adx_14", "volume_ratio_20", "hour_sine", "hour_cosine", "weekday_sine", "weekday_cosine"),
)
STEPS: Final = 20
WINDOW: Final = 60
LEVELS: Final = PRESETS["guide"]["quantiles"]


def lessons(rows: int, stride: int, planted: bool = False) -> tuple[Examples, Examples]:
    """Examples to learn from and, purged, to stop on: the last fifth of the newest `rows` bars.

    `planted`: to each real path a drift is added that the window tells, so that there is something to learn.
    """
    market = sample("btc-15m")[-rows:]
    X, y = compute(market, COLUMNS), label("multi-horizon", horizons=tuple(range(1, STEPS + 1)))(market)
    found = training_rows(X, y)
    learned, stopped = (found.take(part) for part in found.tail(0.2))
    windowed, ahead = WindowedRows(WINDOW).fit(X, learned), Ahead.of(X, y.horizons)
    unit = np.sqrt(np.mean(_paths(y)[learned.time, learned.symbol] ** 2, axis=0))

    def examples(part: Any) -> Examples:
        lesson = windowed.lessons(X, part, stride)
        assert lesson is not None
        targets = _paths(y)[part.time, part.symbol][lesson.rows] / unit
        histories = ahead.histories(X, lesson.windows, windowed.scaler)
        if planted:
            targets = targets + _drift(histories)
        return Examples(histories, as_tensor(targets), as_tensor(part.weights[lesson.rows]))

    return examples(learned), examples(stopped)


def _drift(histories: Histories) -> Any:
    """(sample, step): tanh of the newest RSI less that of the return five bars before, growing with the root of the step."""
    scores = histories.windows.gather(torch.arange(len(histories))).double().numpy()
    told = np.tanh(scores[:, -1, COLUMNS.index("rsi_14")]) - np.tanh(scores[:, -6, COLUMNS.index("return_1")])
    return told[:, None] * np.sqrt(np.arange(1, STEPS + 1) / STEPS)


def _paths(y: Labels) -> Any:
    assert y.ahead is not None
    return y.ahead


class Oracle(nn.Module):
    """pytorch-forecasting's net behind the inputs of ours."""

    def __init__(self, net: nn.Module, calendar: list[int]) -> None:
        super().__init__()
        self.net, self.calendar = net, calendar

    def forward(self, batch: History | Sequences) -> Tensor:
        windows = batch.windows if isinstance(batch, Sequences) else batch.bars[batch.place]
        (n, size, inputs), steps = windows.shape, batch.future.shape[1]
        ahead = windows.new_zeros(n, steps, inputs + 1)
        ahead[:, :, self.calendar] = batch.future[:, :, 1:]
        ahead[:, :, -1] = batch.future[:, :, 0]
        kinds = {
            "encoder_cat": batch.symbol[:, None, None].expand(-1, size, 1),
            "decoder_cat": batch.symbol[:, None, None].expand(-1, steps, 1),
        }
        numbers = {"encoder_cont": nn.functional.pad(windows, (0, 1)), "decoder_cont": ahead}
        lengths = {"encoder_lengths": torch.full((n,), size), "decoder_lengths": torch.full((n,), steps)}
        found: Tensor = self.net({**kinds, **numbers, **lengths, "target_scale": torch.ones(n, 2)})["prediction"]
        return found


def oracle(sizes: TFTSizes, seed: int) -> Oracle:
    """Their net in the same sizes."""
    theirs = _their_package()
    calendar = [name for name in COLUMNS if name in CALENDAR]
    with reproducible(seed):
        net = theirs.TemporalFusionTransformer(
            hidden_size=sizes.hidden,
            lstm_layers=sizes.layers,
            dropout=sizes.dropout,
            output_size=len(LEVELS),
            loss=theirs.QuantileLoss(list(LEVELS)),
            attention_head_size=sizes.heads,
            max_encoder_length=sizes.window,
            static_categoricals=["symbol"],
            time_varying_reals_encoder=list(COLUMNS),
            time_varying_reals_decoder=["distance", *calendar],
            x_reals=[*COLUMNS, "distance"],
            x_categoricals=["symbol"],
            hidden_continuous_size=sizes.embedding,
            embedding_sizes={"symbol": (2, sizes.hidden)},
        )
    net.transform_output = lambda prediction, target_scale, loss=None: prediction
    return Oracle(net, [COLUMNS.index(name) for name in calendar])


def ours(sizes: TFTSizes, seed: int) -> TemporalFusionTransformer:
    """Our net."""
    known = 1 + sum(name in CALENDAR for name in COLUMNS)
    with reproducible(seed):
        return TemporalFusionTransformer(len(COLUMNS), known, 1, len(LEVELS), sizes)


def _base_rate(learned: Examples, stopped: Examples) -> float:
    """The loss of answering every window with the quantiles of the returns learned from."""
    levels = torch.tensor(LEVELS, dtype=torch.float32)
    always = torch.quantile(learned.targets, levels, dim=0).t().expand(len(stopped), -1, -1)
    loss = quantiles(LEVELS)
    return float(loss.value(loss.terms(always, stopped.targets, stopped.weights)))


def _apart(examples: Examples) -> Examples:
    assert isinstance(examples.inputs, Histories)
    return replace(examples, inputs=replace(examples.inputs, shared=False))


def quality(which: str, hidden: int, embedding: int, epochs: int, seed: int, parts: tuple[Examples, Examples]) -> dict[str, Any]:
    """The best validation loss of one training of one kind: ours (in blocks), shuffled, per window, oracle, base rate."""
    if which == "base rate":
        return {"best": _base_rate(*parts)}
    sizes = TFTSizes(WINDOW, hidden, 1, 4, embedding)
    block = {"ours": PRESETS["guide"]["block"], "blocks of 64": 64}.get(which, 1)
    settings = TrainingSettings(epochs=epochs, patience=epochs, batch=64, clip=0.1, weight_decay=0.0, block=block)
    net: nn.Module = oracle(sizes, derive(seed, which)) if which == "oracle" else ours(sizes, derive(seed, which))
    learned, stopped = (_apart(part) if which in ("per window", "oracle") else part for part in parts)
    found = train(net, learned, stopped, quantiles(LEVELS), settings, derive(seed, which, "order"))
    losses = [line.validation_loss for line in found.history if line.validation_loss is not None]
    return {"best": min(losses), "epochs": [round(loss, 5) for loss in losses], "samples_per_second": round(found.samples_per_second)}


def _rate(step: Callable[[Any], None], batches: Iterable[Any], size: int, repeats: int) -> float:
    """Samples a second of CPU, the best of `repeats` batches after one to warm up."""
    times = []
    for number, batch in enumerate(batches):
        began = time.process_time()
        step(batch() if callable(batch) else batch)
        times.append(time.process_time() - began)
        if number == repeats:
            break
    return size / min(times[1:])


def _speeds(hidden: int, embedding: int, size: int, repeats: int, examples: Examples) -> Iterator[tuple[str, float]]:
    sizes, loss = TFTSizes(WINDOW, hidden, 2, 4, embedding), quantiles(LEVELS)
    order = torch.randperm(len(examples) // 16, generator=torch.Generator().manual_seed(0))
    blocks = (order[:, None] * 16 + torch.arange(16)).flatten().split(size)
    for name, half in (("ours", False), ("ours, bfloat16", True), ("per window", False), ("per window, bfloat16", True), ("oracle", False)):
        net: nn.Module = oracle(sizes, 0) if name == "oracle" else ours(sizes, 0)
        given = examples if name.startswith("ours") else _apart(examples)
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)

        def step(
            which: Tensor, net: nn.Module = net, given: Examples = given, half: bool = half, optimiser: torch.optim.Optimizer = optimiser
        ) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = net(given.inputs.gather(which))
            value = loss.value(loss.terms(outputs.float(), given.targets[which], given.weights[which]))
            _learn(net, value, optimiser)

        with reproducible(0):
            yield name, _rate(step, blocks, size, repeats)
    yield "oracle, own loader", _own_loader(sizes, size, repeats)


def _learn(net: nn.Module, value: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(value)
    nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    optimiser.step()


def _own_loader(sizes: TFTSizes, size: int, repeats: int) -> float:
    """Their net fed by their own data set and loader, as in their tutorial, without Lightning's trainer."""
    theirs, X = _their_package(), compute(sample("btc-15m")[-3000:], COLUMNS)
    data = _frame(X)
    calendar = [name for name in COLUMNS if name in CALENDAR]
    training = theirs.TimeSeriesDataSet(
        data,
        time_idx="time_idx",
        target="target",
        group_ids=["symbol"],
        max_encoder_length=WINDOW,
        min_encoder_length=WINDOW,
        max_prediction_length=STEPS,
        min_prediction_length=STEPS,
        static_categoricals=["symbol"],
        time_varying_known_reals=calendar,
        time_varying_unknown_reals=[name for name in COLUMNS if name not in CALENDAR],
        target_normalizer=None,
        add_relative_time_idx=True,
    )
    net = theirs.TemporalFusionTransformer.from_dataset(
        training,
        hidden_size=sizes.hidden,
        lstm_layers=sizes.layers,
        attention_head_size=sizes.heads,
        dropout=sizes.dropout,
        hidden_continuous_size=sizes.embedding,
        output_size=len(LEVELS),
        loss=theirs.QuantileLoss(list(LEVELS)),
    )
    optimiser, loss = torch.optim.AdamW(net.parameters(), lr=1e-3), quantiles(LEVELS)
    loader = iter(training.to_dataloader(train=True, batch_size=size, num_workers=0))

    def step(batch: Any) -> None:
        x, (target, _) = batch
        _learn(net, loss.value(loss.terms(net(x)["prediction"], target, torch.ones(len(target)))), optimiser)

    with reproducible(0):
        return _rate(step, iter(lambda: lambda: next(loader), None), size, repeats)


def _frame(X: Features) -> Any:
    import pandas as pd

    rows = X.values[np.isfinite(X.values).all(axis=2)]
    data = pd.DataFrame(rows, columns=list(X.names))
    return data.assign(symbol="BTC/USD", time_idx=np.arange(len(rows)), target=data["return_1"] / data["return_1"].std())


def _their_package() -> Any:
    warnings.filterwarnings("ignore")
    import pytorch_forecasting

    return pytorch_forecasting


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "quality"))
    parser.add_argument("--hidden", type=int, nargs="+", default=None)
    parser.add_argument("--embedding", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--kinds", nargs="+", default=["ours", "shuffled", "per window", "oracle"])
    asked = parser.parse_args()
    if asked.what == "speed":
        examples, _ = lessons(4000, 1)
        for hidden in asked.hidden or (64, 256):
            for name, rate in _speeds(hidden, asked.embedding, asked.batch, asked.batches, examples):
                line = {"bench": "tft speed", "net": name, "hidden": hidden, "embedding": asked.embedding, "batch": asked.batch}
                print(json.dumps({**line, "samples_per_second": round(rate, 1)}), flush=True)
        return
    parts = lessons(asked.rows, asked.stride, asked.planted)
    hidden = (asked.hidden or [32])[0]
    for kind in asked.kinds:
        for seed in range(asked.seeds):
            found = quality(kind, hidden, asked.embedding, asked.epochs, seed, parts)
            line = {
                "bench": "tft quality",
                "net": kind,
                "seed": seed,
                "hidden": hidden,
                "planted": asked.planted,
                "samples": [len(part) for part in parts],
            }
            print(json.dumps({**line, **found}), flush=True)


if __name__ == "__main__":
    main()
