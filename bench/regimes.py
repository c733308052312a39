"""How well, how soon and how fast regimes are told.

    python bench/regimes.py [rules] [speed] [--seeds 10] [--bars 20000]

`rules`: the seven on labelled paths (`tradewind.synthetic.regimes`), seeds 1, 2, ...: balanced accuracy of the causal filter, a line for
each regime with its row of the confusion matrix; beside it the same rules without their filter, a gradient boosting that was shown the true
labels of other paths (seeds 101 to 105) and reads the same measures, and chance. The constants of the rules were chosen on seeds 100 to
105, none on those reported. `speed`: one bar through Python, and a batch. One JSON line a measurement; seconds are CPU time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable

import lightgbm
import numpy as np
from numpy.typing import NDArray

import tradewind as tw
from tradewind.regimes import SEVEN, RegimeRules, Timeframes, stabilities

REPETITIONS = 7
TAUGHT_ON = range(101, 106)
Labels = NDArray[np.int64]


def say(name: str, **numbers: object) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **numbers}), flush=True)


def path(seed: int, bars: int) -> tuple[tw.Market, Labels]:
    """A labelled path: its bars and the true regime of each."""
    made = tw.synthetic.regimes(bars, seed=seed)
    assert made.oracle.states is not None
    return made.market, made.oracle.states


def by_rules(market: tw.Market, **settings: float) -> Labels:
    """The most probable regime of each bar, -1 before the rules are warm."""
    return RegimeRules(**settings).filter(market).current[:, 0]


def taught(bars: int) -> Callable[[tw.Market], Labels]:
    """What a gradient boosting makes of the same measures once it has seen true labels."""
    rules, inputs, answers = RegimeRules(), [], []
    for seed in TAUGHT_ON:
        market, states = path(seed, bars)
        inputs.append(rules.measures(market)[rules.warmup :, 0])
        answers.append(states[rules.warmup :])
    model = lightgbm.LGBMClassifier(n_estimators=200, num_leaves=31, learning_rate=0.05, class_weight="balanced", n_jobs=1, verbose=-1)
    model.fit(np.concatenate(inputs), np.concatenate(answers))

    def tell(market: tw.Market) -> Labels:
        told = np.full(len(market), -1, dtype=np.int64)
        told[rules.warmup :] = model.predict(rules.measures(market)[rules.warmup :, 0])
        return told

    return tell


def confusion(truth: Labels, told: Labels) -> NDArray[np.int64]:
    """(true regime, told regime) counts of bars that have an answer."""
    counts = np.zeros((7, 7), dtype=np.int64)
    np.add.at(counts, (truth[told >= 0], told[told >= 0]), 1)
    return counts


def balanced(counts: NDArray[np.int64]) -> float:
    """The mean over regimes of the share of their bars that were told rightly."""
    return float(np.mean(counts.diagonal() / counts.sum(axis=1)))


def delays(truth: Labels, told: Labels) -> list[list[float]]:
    """For each regime the bars until a spell of it was told for the first time; infinite where it never was."""
    edges = [0, *(np.flatnonzero(np.diff(truth)) + 1), len(truth)]
    found: list[list[float]] = [[] for _ in SEVEN]
    for a, b in itertools.pairwise(edges[1:-1]):
        hits = np.flatnonzero(told[a:b] == truth[a])
        found[truth[a]].append(float(hits[0]) if len(hits) else np.inf)
    return found


def rules(seeds: int, bars: int) -> None:
    """Accuracy on labelled paths."""
    tellers: dict[str, Callable[[tw.Market], Labels]] = {
        "rules": by_rules,
        "rules without their filter": lambda market: by_rules(market, stay=1 / 7, evidence=1.0),
        "boosting taught on true labels": taught(bars),
    }
    for name, tell in tellers.items():
        tables, turns, waits = [], [], [[] for _ in SEVEN]
        for seed in range(1, seeds + 1):
            market, truth = path(seed, bars)
            told = tell(market)
            tables.append(confusion(truth, told))
            turns.append(float(np.mean(np.diff(told[told >= 0]) != 0)))
            for regime, more in enumerate(delays(truth, told)):
                waits[regime] += more
        scores, pooled = [balanced(table) for table in tables], np.sum(tables, axis=0)
        error = statistics.stdev(scores) / len(scores) ** 0.5
        switches = float(np.mean([len(wait) for wait in waits]) * 7 / seeds)
        mean, changes = round(statistics.mean(scores), 4), round(1000 * statistics.mean(turns), 1)
        say(name, balanced_accuracy=mean, error=round(error, 4), chance=0.1429, changes_per_1000_bars=changes, seeds=seeds, bars=bars)
        if name != "rules":
            continue
        say("the truth", changes_per_1000_bars=round(1000 * switches / bars, 1))
        for k, regime in enumerate(SEVEN):
            recall, precision = pooled[k, k] / pooled[k].sum(), pooled[k, k] / pooled[:, k].sum()
            reached = float(np.mean(np.isfinite(waits[k])))
            say(
                f"regime {regime}",
                share=round(float(pooled[k].sum() / pooled.sum()), 3),
                recall=round(float(recall), 3),
                precision=round(float(precision), 3),
                spells=len(waits[k]),
                told_at_all=round(reached, 3),
                median_delay_bars=float(np.median(waits[k])),
                confusion=(pooled[k] / pooled[k].sum()).round(3).tolist(),
            )


def steadiness(seeds: int, bars: int) -> None:
    """How often the regime told is the true one, by its stability."""
    right: dict[str, list[int]] = {"stable (from .7)": [], "between": [], "alert (under .3)": []}
    for seed in range(1, seeds + 1):
        market, truth = path(seed, bars)
        found = RegimeRules().filter(market)
        steady, hit = stabilities(found)[:, 0], found.current[:, 0] == truth
        there = ~np.isnan(steady)
        for name, where in zip(right, (steady >= 0.7, (steady < 0.7) & (steady >= 0.3), steady < 0.3), strict=True):
            right[name] += hit[there & where].tolist()
    total = sum(len(hits) for hits in right.values())
    for name, hits in right.items():
        say(f"stability {name}", share_of_bars=round(len(hits) / total, 3), right=round(float(np.mean(hits)), 3))


def measure(prepare: Callable[[], Callable[[], object]]) -> tuple[float, float]:
    """CPU seconds of what `prepare` gives, least and median, after one run that does not count."""
    seconds = []
    for _ in range(REPETITIONS + 1):
        action = prepare()
        begin = time.process_time()
        action()
        seconds.append(time.process_time() - begin)
    return min(seconds[1:]), statistics.median(seconds[1:])


def speed(bars: int) -> None:
    """One bar through Python for one symbol, and a batch."""
    market, _ = path(1, bars)
    rows = [market[t : t + 1] for t in range(5_000)]
    detector, several = RegimeRules(), Timeframes(("4h", "1d"))
    for name, told in (("one bar", detector), ("one bar, three timeframes", several)):

        def stream(told: RegimeRules | Timeframes = told) -> Callable[[], object]:
            # A bar is lived once: every repetition has a watch of its own.
            update = told.watch(market.symbols).update
            return lambda: [update(row) for row in rows]

        least, middle = measure(stream)
        say(name, min=round(least / len(rows) * 1e6, 2), median=round(middle / len(rows) * 1e6, 2), unit="us a bar")
    least, middle = measure(lambda: lambda: detector.filter(market))
    say("batch", min=round(least / bars * 1e9), median=round(middle / bars * 1e9), unit="ns a bar")


def main() -> None:
    """Run the parts asked for and print their lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--bars", type=int, default=20_000)
    asked = parser.parse_args()
    parts = asked.parts or ["rules", "speed"]
    if set(parts) - {"rules", "speed"}:
        parser.error(f"the parts are rules and speed, not {' '.join(parts)}")
    if "rules" in parts:
        rules(asked.seeds, asked.bars)
        steadiness(asked.seeds, asked.bars)
    if "speed" in parts:
        speed(asked.bars)


if __name__ == "__main__":
    main()
