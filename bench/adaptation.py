"""What adapts, measured beside its peers; one JSON line a measurement.

    python bench/adaptation.py [section ...] [--seeds 5]

`forest`: the adaptive random forest beside River's (`pip install river`): prequential accuracy on River's bundled sets and on streams
whose concept changes, each forest with a seed of its own, and rows a second of CPU time, tested and trained. Intervals are 95 % of the
mean over seeds. Then the numbers that River itself gives for its logistic regression and its Hoeffding tree.

`online`: markets, walk-forward and net of the default costs: strategies that go on learning beside the same models fitted fold by fold,
with 90 % intervals of the Sharpe ratio; coins of $TRADEWIND_DEV_DATA too, where that is set.

`ensemble`: how long a decision of an ensemble of ten members takes, every model asked, and how much memory the process needs; on btc-15m
over the last 2,000 bars, one bar at a time, as live. The seeds are not used.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array
from tradewind.models.online_forest import ForestConfig, OnlineForest
from tradewind.models.online_linear import OnlineLinear
from tradewind.simulate.account import Book

Rows = list[tuple[dict[str, float], Any]]
DEPTH = 10


def tell(**line: Any) -> None:
    """One measurement, numbers to five digits."""
    print(json.dumps({name: round(value, 5) if isinstance(value, float) else value for name, value in line.items()}), flush=True)


def interval(values: list[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval by Student's t."""
    from scipy import stats

    spread = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1)) * spread


# -- forest ---------------------------------------------------------------------------------------------------------------
def streams() -> dict[str, Rows]:
    """River's bundled sets of numbers, and two generators of its whose concept changes twice."""
    from river import datasets
    from river.datasets import synth

    def parts(make: Callable[[int], Any], rows: int) -> Rows:
        return list(itertools.chain.from_iterable(make(part).take(rows) for part in range(3)))

    return {
        "Phishing": list(datasets.Phishing()),
        "Bananas": list(datasets.Bananas()),
        "ImageSegments": list(datasets.ImageSegments()),
        "Agrawal, 3 concepts": parts(lambda part: synth.Agrawal(classification_function=(0, 4, 6)[part], seed=part), 2000),
        "SEA, 3 concepts": parts(lambda part: synth.SEA(variant=(0, 2, 1)[part], seed=part, noise=0.1), 2000),
    }


def panel(rows: Rows) -> tuple[Array, NDArray[np.int64]]:
    """(n, column) numbers and (n,) classes 0, 1, ... of River's rows."""
    names = sorted(rows[0][0])
    classes = sorted({answer for _, answer in rows})
    numbers = np.array([[float(row[name]) for name in names] for row, _ in rows])
    return numbers, np.array([classes.index(answer) for _, answer in rows])


def ours(rows: Rows, seed: int) -> tuple[float, float]:
    """Prequential accuracy without the first row, which nobody can answer, and rows a second."""
    X, y = panel(rows)
    model = OnlineForest(X.shape[1], int(y.max()) + 1, ForestConfig(depth=DEPTH), seed)
    began = time.process_time()
    answers = model.prequential(X, y)
    spent = time.process_time() - began
    return float(np.mean(answers[1:].argmax(axis=1) == y[1:])), len(rows) / spent


def rivers(rows: Rows, seed: int) -> tuple[float, float]:
    """The same of River's forest."""
    from river import forest as river_forest

    model = river_forest.ARFClassifier(max_depth=DEPTH, seed=seed)
    right, began = 0, time.process_time()
    for row, answer in rows:
        right += model.predict_one(row) == answer
        model.learn_one(row, answer)
    return right / (len(rows) - 1), len(rows) / (time.process_time() - began)


def forest(seeds: int) -> None:
    """Adaptive random forest: accuracy and speed beside River's."""
    for name, rows in streams().items():
        ours(rows[:100], 0)  # compiles
        own = [ours(rows, seed) for seed in range(4 * seeds)]
        peer = [rivers(rows, seed) for seed in range(seeds)]
        (mean, half), (other, other_half) = (interval([accuracy for accuracy, _ in each]) for each in (own, peer))
        speed, other_speed = (float(np.median([rate for _, rate in each])) for each in (own, peer))
        tell(
            what="forest",
            stream=name,
            rows=len(rows),
            accuracy=mean,
            half=half,
            river=other,
            river_half=other_half,
            rows_a_second=round(speed),
            river_rows_a_second=round(other_speed),
            times=speed / other_speed,
        )
    X, y = panel(streams()["Phishing"])
    logistic = OnlineLinear(X.shape[1], 2, classes=True, rate=0.005).prequential(X, np.eye(2)[y])
    tell(what="logistic", stream="Phishing", accuracy=float(np.mean(logistic.argmax(axis=1) == y)), river=0.8872)
    alone = ForestConfig(trees=1, columns=1.0, resampling=0.0, grace=200, delta=1e-7, depth=900, warning=1e-300, drift=1e-300)
    tree = OnlineForest(X.shape[1], 2, alone).prequential(X, y)
    tell(what="tree", stream="Phishing", accuracy=float(np.mean(tree[1:].argmax(axis=1) == y[1:])), river=0.879904)


# -- online ---------------------------------------------------------------------------------------------------------------
def online(seeds: int) -> None:
    """Walk-forward net of the default costs: models that go on learning beside the same models fitted fold by fold."""
    import tradewind as tw

    markets = {"btc-15m": tw.data.sample("btc-15m")}
    if "TRADEWIND_DEV_DATA" in os.environ:
        path = Path(os.environ["TRADEWIND_DEV_DATA"]) / "binance_spot_1h_10coins_to_2024-06.parquet"
        coins = tw.data.read(path)
        markets["5 coins, 1h"] = coins.select(coins.symbols[:5])[-26_280:]
    made: dict[str, tuple[str, dict[str, Any], bool]] = {
        "hold": ("hold", {}, False),
        "logistic, each fold": ("logistic", {}, False),
        "online logistic, each fold": ("forecast", {"forecaster": "online-logistic"}, False),
        "online logistic, always": ("online", {"model": "logistic"}, False),
        "online forest, each fold": ("forecast", {"forecaster": "online-forest"}, True),
        "online forest, always": ("online", {"model": "forest"}, True),
    }
    for name, market in markets.items():
        for row, (strategy, settings, drawn) in made.items():
            for seed in range(seeds if drawn else 1):
                with tempfile.TemporaryDirectory() as folder:
                    began = time.process_time()
                    metrics = tw.walk_forward(tw.strategy(strategy, **settings), market, seed=seed, ledger=Path(folder) / "ledger").metrics
                    seconds = time.process_time() - began
                found = {key: float(metrics[key]) for key in ("sharpe", "sharpe_low", "sharpe_high", "net_return", "turnover")}
                tell(what="online", market=name, row=row, seed=seed, **found, seconds=seconds)


# -- ensemble -------------------------------------------------------------------------------------------------------------
TEN = (
    "momentum", "momentum-mix", "ema-cross", "rsi-reversal", "bollinger-reversal", "rsi-divergence", "logistic", "lightgbm", "online",
    ("price-action-transformer", {"forecaster_settings": {"epochs": 1}}),
)  # fmt: skip
ASKED = 2_000


def ensemble(seeds: int) -> None:
    """One decision of ten members: milliseconds, and the process's memory."""
    import resource

    import tradewind as tw

    market = tw.data.sample("btc-15m")
    first = len(market) - ASKED
    made = tw.strategy("ensemble", members=TEN)
    began = time.process_time()
    made.fit(market[:first])
    fitted = time.process_time() - began
    portfolio = Book(market.symbols).portfolio()
    spent = np.empty((ASKED, 2))
    for t in range(first, len(market)):
        wall, cpu = time.perf_counter(), time.process_time()
        made.decide(tw.View(market[: t + 1], int(market.known[t]), portfolio))
        spent[t - first] = time.perf_counter() - wall, time.process_time() - cpu
    # The first decision lives through the bars before it.
    told = np.percentile(1e3 * spent[1:], [50, 99, 100], axis=0)
    tell(
        what="ensemble",
        members=len(TEN),
        fit_cpu_seconds=fitted,
        opening_cpu_seconds=float(spent[0, 1]),
        **{
            f"{kind}_ms_{name}": float(told[k, c]) for k, name in enumerate(("p50", "p99", "max")) for c, kind in enumerate(("wall", "cpu"))
        },
        memory_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        at_work=int((made.decision.weights > 0).sum()),
        faults=len(made.faults),
    )


SECTIONS: dict[str, Callable[[int], None]] = {"forest": forest, "online": online, "ensemble": ensemble}


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the sections asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], help="all when none is named")
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    for name in chosen.sections or SECTIONS:
        SECTIONS[name](chosen.seeds)


if __name__ == "__main__":
    main()
