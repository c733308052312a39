"""Drift detectors on streams whose changes are known, beside one that always fires, one that fires by the calendar and one that never does.

    python bench/drift.py [streams] [monitor] [market] [speed] [--seeds 30] [--table]

`streams`: 6,000 values of unit noise, a change of one deviation at every 1,000th (but in the quiet ones), scored by `score_alarms` with a
horizon of 500 rows: F1, the share of changes missed, rows to the first alarm, false alarms per 1,000 rows that belong to no change; means
over seeds with 95 % intervals (bootstrap over seeds). All detectors run with the settings they come with; `page-hinkley for one` is set by
the textbook for the size of these changes (allowance half of it, threshold 10), which a user does not know. `monitor`: looks of
`DriftMonitor` at quiet columns that remember `memory` of themselves, and at ones of which one moved by `shift` deviations; `plain`: the
same by tests that take rows for independent; and how often the stability index passes .1 and .25 by chance. `market`: the same looks at
columns of the bundled quarter-hours, the second half beside the first. `speed`: values a second, one by one and all at once, beside
River's. A JSON line a measurement; `--table` prints the streams as Markdown too.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tradewind.core.seeds import generator
from tradewind.core.types import Array
from tradewind.data.bundled import sample
from tradewind.features import compute
from tradewind.stats import drift
from tradewind.stats.skill import holm

ROWS, BETWEEN, WIDTH, HORIZON = 6000, 1000, 300, 500
CHANGES: Final = np.arange(BETWEEN, ROWS, BETWEEN)
DETECTORS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "adwin": ("adwin", {}),
    "adwin, window kept": ("adwin", {"restart": False}),
    "kswin": ("kswin", {}),
    "page-hinkley": ("page-hinkley", {}),
    "page-hinkley for one": ("page-hinkley", {"delta": 0.5, "threshold": 10.0}),
    "windows, KS": ("windows", {"test": "ks"}),
    "windows, PSI": ("windows", {"test": "psi"}),
    "always": ("always", {}),
    "every 450th": ("always", {"every": 450}),
    "never": ("never", {}),
}


def levels(random: np.random.Generator) -> Array:
    """(stretch,) a mean for each stretch, one deviation up or down from the last."""
    return np.concatenate([[0.0], np.cumsum(random.choice([-1.0, 1.0], len(CHANGES)))])


def abrupt(random: np.random.Generator) -> Array:
    """A jump of the mean."""
    return np.repeat(levels(random), BETWEEN) + random.standard_normal(ROWS)


def gradual(random: np.random.Generator) -> Array:
    """Values of the new mean become more likely over 300 rows."""
    means, passed = levels(random), (np.arange(ROWS) % BETWEEN) / WIDTH
    new = random.random(ROWS) < passed
    stretch = np.arange(ROWS) // BETWEEN
    return np.where(new, means[stretch], means[np.maximum(stretch - 1, 0)]) + random.standard_normal(ROWS)


def incremental(random: np.random.Generator) -> Array:
    """The mean slides to its new level over 300 rows."""
    means, share = levels(random), np.minimum(1.0, (np.arange(ROWS) % BETWEEN) / WIDTH)
    stretch = np.arange(ROWS) // BETWEEN
    before = means[np.maximum(stretch - 1, 0)]
    return before + share * (means[stretch] - before) + random.standard_normal(ROWS)


def recurring(random: np.random.Generator) -> Array:
    """Two means by turns."""
    return np.arange(ROWS) // BETWEEN % 2 + random.standard_normal(ROWS)


def variance(random: np.random.Generator) -> Array:
    """The deviation goes from 1 to 2 and back."""
    return (1.0 + np.arange(ROWS) // BETWEEN % 2) * random.standard_normal(ROWS)


def squares(random: np.random.Generator) -> Array:
    """The same, told as squares."""
    return variance(random) ** 2


def errors(random: np.random.Generator) -> Array:
    """Zeros and ones: an error rate of .3 and of .5 by turns."""
    return (random.random(ROWS) < 0.3 + 0.2 * (np.arange(ROWS) // BETWEEN % 2)).astype(np.float64)


def quiet(random: np.random.Generator) -> Array:
    """No change."""
    return random.standard_normal(ROWS)


def remembering(random: np.random.Generator) -> Array:
    """No change, and each value keeps half of the last; unit variance."""
    return autocorrelated(random, ROWS, 1, 0.5)[:, 0]


STREAMS: Final[dict[str, Callable[[np.random.Generator], Array]]] = {
    "mean, abrupt": abrupt,
    "mean, gradual": gradual,
    "mean, incremental": incremental,
    "mean, recurring": recurring,
    "variance": variance,
    "variance, as squares": squares,
    "error rate": errors,
    "none": quiet,
    "none, autocorrelated": remembering,
}
STILL: Final = ("none", "none, autocorrelated")


def autocorrelated(random: np.random.Generator, rows: int, columns: int, memory: float) -> Array:
    """(row, column) of unit variance, each value `memory` times the last and noise."""
    values = random.standard_normal((rows, columns))
    values[1:] *= math.sqrt(1.0 - memory**2)
    for t in range(1, rows):
        values[t] += memory * values[t - 1]
    return values


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of it over seeds (percentiles of 2,000 bootstrap means), NaN left out; NaN where there is none."""
    told = np.array([value for value in values if not math.isnan(value)])
    if not len(told):
        return math.nan, math.nan, math.nan
    means = told[generator(0, "bench", "drift", "interval").integers(len(told), size=(2000, len(told)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(told.mean()), float(low), float(high)


def tell(**line: Any) -> dict[str, Any]:
    """One measurement, numbers to four digits."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
    print(
        json.dumps({name: None if isinstance(value, float) and math.isnan(value) else value for name, value in rounded.items()}), flush=True
    )
    return line


def measure_streams(seeds: int) -> list[dict[str, Any]]:
    """Every detector on every stream."""
    lines = []
    for stream, make in STREAMS.items():
        changes = [] if stream in STILL else CHANGES
        series = [make(generator(seed, "bench", "drift", stream)) for seed in range(seeds)]
        for name, (kind, settings) in DETECTORS.items():
            scores = [drift.score_alarms(drift.detect(one, kind, **settings), changes, ROWS, HORIZON) for one in series]
            figures: dict[str, float] = {}
            for key, values in (
                ("f1", [score.f1 for score in scores]),
                ("missed", [score.missed / len(changes) if len(changes) else math.nan for score in scores]),
                ("delay", [score.delay for score in scores]),
                ("per_1000", [score.per_1000 for score in scores]),
            ):
                figures[key], figures[f"{key}_low"], figures[f"{key}_high"] = interval(values)
            lines.append(tell(what="stream", stream=stream, detector=name, seeds=seeds, **figures))
    return lines


def table(lines: list[dict[str, Any]]) -> None:
    """The streams as Markdown: a table a figure, a row a detector, a column a stream."""
    told = {(line["detector"], line["stream"]): line for line in lines}
    for key, title, form, factor in (
        ("f1", "F1", ".2f", 1.0),
        ("missed", "Missed, %", ".0f", 100.0),
        ("delay", "Rows to the alarm", ".0f", 1.0),
        ("per_1000", "False alarms per 1,000", ".2f", 1.0),
    ):
        # Without changes there is nothing to miss, and F1 is 0 as soon as there is one alarm.
        streams = [stream for stream in STREAMS if key == "per_1000" or stream not in STILL]
        print(f"\n| {title} | {' | '.join(streams)} |\n|{' --- |' * (len(streams) + 1)}")
        for name in DETECTORS:
            cells = []
            for stream in streams:
                mean, low, high = (factor * told[name, stream][key + end] for end in ("", "_low", "_high"))
                alone = math.isnan(mean) or f"{low:{form}}" == f"{high:{form}}"
                cells.append("–" if math.isnan(mean) else f"{mean:{form}}" + ("" if alone else f" ({low:{form}} to {high:{form}})"))
            print(f"| {name} | {' | '.join(cells)} |")


def looks(reference: Array, later: Array, window: int) -> tuple[list[float], list[float]]:
    """Whether each look of the monitor found drift, and whether the plain Kolmogorov-Smirnov tests of its rows did, corrected by Holm."""
    names = [str(place) for place in range(reference.shape[1])]
    monitor = drift.DriftMonitor(names, window=window).fit(reference)
    found, plain = [], []
    for t, row in enumerate(later, start=1):
        monitor.update(row)
        if t % window == 0:
            found.append(float(bool(monitor.report().drifted)))
            newest = later[t - window : t]
            chances = [drift.kolmogorov_smirnov(reference[:, k], newest[:, k]).p_value for k in range(len(names))]
            plain.append(float(np.nanmin(holm(chances)) <= monitor.alpha))
    return found, plain


def measure_monitor(seeds: int) -> None:
    """The share of looks at five columns that find drift: quiet ones, and where one column moved."""
    for memory in (0.0, 0.5, 0.9, 0.98):
        for shift in (0.0, 0.25, 0.5, 1.0):
            found, plain = [], []
            for seed in range(seeds):
                values = autocorrelated(generator(seed, "bench", "drift", "monitor", str(memory)), 3000, 5, memory)
                values[1500:, 0] += shift
                ours, independent = looks(values[:1500], values[1500:], 250)
                found.append(float(np.mean(ours)))
                plain.append(float(np.mean(independent)))
            share, low, high = interval(found)
            figures = {"found": share, "low": low, "high": high, "plain": float(np.mean(plain))}
            tell(what="monitor", memory=memory, shift=shift, looks=6 * seeds, **figures)


def measure_index(windows: int = 2000) -> None:
    """Windows in which nothing changed, beside a reference of 1,000 values: how often the stability index passes its customary limits."""
    for rows in (50, 100, 250, 1000):
        random = generator(0, "bench", "drift", "index", rows)
        found = np.array([drift.psi(random.standard_normal(1000), random.standard_normal(rows)) for _ in range(windows)])
        limit = drift.psi_limit(1000, rows, 10, 0.05)
        shares = {
            "above_10": float(np.mean(found > 0.1)),
            "above_25": float(np.mean(found > 0.25)),
            "above_limit": float(np.mean(found > limit)),
        }
        tell(what="index", window=rows, bins=10, limit=limit, **shares)


def measure_markets() -> None:
    """Columns of the bundled quarter-hours, the second half beside the first; those of the calendar left out."""
    features = compute(sample("btc-15m"), "relative")
    names = tuple(name for name in features.names if not name.endswith("sine"))
    values = features.select(names).values[features.warmup :, 0]
    half = len(values) // 2
    memory = [drift.memory_length(values[:half, k]) for k in range(len(names))]
    for window in (250, 1000):
        found, plain = looks(values[:half], values[half:], window)
        shares = {"found": float(np.mean(found)), "plain": float(np.mean(plain))}
        tell(what="market", market="btc-15m", columns=len(names), window=window, looks=len(found), **shares, longest_memory=max(memory))


def measure_speed() -> None:
    """Values a second, the best of three."""
    values = generator(0, "bench", "drift", "speed").standard_normal(100_000)
    for name in ("adwin", "kswin", "page-hinkley", "windows"):
        batch, stream = [], []
        drift.detect(values[:1000], name)
        for _ in range(3):
            started = time.perf_counter()
            drift.detect(values, name)
            batch.append(len(values) / (time.perf_counter() - started))
            watch = drift.detector(name)
            started = time.perf_counter()
            for x in values[:5000]:
                watch.update(x)
            stream.append(5000 / (time.perf_counter() - started))
        tell(what="speed", detector=name, at_once=max(batch), one_by_one=max(stream))
    try:
        from river import drift as theirs
    except ImportError:
        tell(what="speed", detector="River", missing="pip install river")
        return
    for made in (theirs.ADWIN, theirs.KSWIN, theirs.PageHinkley):
        rates = []
        for _ in range(3):
            watch = made()
            started = time.perf_counter()
            for x in values[:2000]:
                watch.update(x)
            rates.append(2000 / (time.perf_counter() - started))
        tell(what="speed", detector=f"River's {made.__name__}", one_by_one=max(rates))


def main() -> None:
    """Measure what was asked for, all of it where nothing was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["streams", "monitor", "market", "speed", []], default=[])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    wanted = asked.what or ["streams", "monitor", "market", "speed"]
    if "streams" in wanted:
        lines = measure_streams(asked.seeds)
        if asked.table:
            table(lines)
    if "monitor" in wanted:
        measure_monitor(asked.seeds)
        measure_index()
    if "market" in wanted:
        measure_markets()
    if "speed" in wanted:
        measure_speed()


if __name__ == "__main__":
    main()
