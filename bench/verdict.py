"""How often is the verdict right? Edge on pure noise, and the power to find a planted edge; one JSON line a measurement.

    python bench/verdict.py [--noise 200] [--free-noise 200] [--net-noise 40] [--planted 30] [--workers 2] [--plot docs/verdict.svg]

Each market is gone through as the main job does: every row walks forward into one ledger, then every row is judged by the trials that the
ledger counted, beside all other rows. The whole study takes about half an hour on two cores; `--noise 0` and so on leave a part out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

import tradewind as tw
from tradewind.core.clock import SystemClock
from tradewind.core.files import write_text
from tradewind.evaluate.ledger import Ledger
from tradewind.simulate.costs import Costs

RULES = ("momentum", "momentum-mix", "ema-cross", "rsi-reversal", "bollinger-reversal", "rsi-divergence")
NET = "price-action-transformer"
NOISE_BARS, PLANTED_BARS, TRAIN = 8_760, 35_040, 8_760
SHARPES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
SEERS = ("momentum", "logistic")
"""The rows that can see what is planted: the rule itself, and a model that has to learn it."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One market: its kind, its seed, the rows that walk over it, the Sharpe ratio planted in it, and whether trading is free."""

    kind: str
    seed: int
    rows: tuple[str, ...]
    sharpe: float = 0.0
    free: bool = False


def study(task: Task) -> dict[str, str]:
    """The verdict of each row on one market."""
    if task.kind == "planted":
        market = tw.synthetic.planted(sharpe=task.sharpe, bars=PLANTED_BARS, seed=task.seed).market
    else:
        market = tw.synthetic.noise(bars=NOISE_BARS, seed=task.seed).market
    train = TRAIN if task.kind == "planted" else None
    with Ledger(":memory:") as ledger:
        costs = Costs.zero() if task.free else Costs()
        results = [
            tw.walk_forward(tw.strategy(name), market, train=train, costs=costs, seed=task.seed, ledger=ledger) for name in task.rows
        ]
        trials = ledger.trials(results[0].market)
    verdicts = {}
    for k, (name, result) in enumerate(zip(task.rows, results, strict=True)):
        if task.kind != "planted" or name in SEERS:
            others = np.column_stack([other.returns for other in results[:k] + results[k + 1 :]])
            verdicts[name] = dataclasses.replace(result, trials=trials, alternatives=others).verdict.label
    return verdicts


def interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927)."""
    z, share = 1.96, hits / n
    middle, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - half) / (1 + z**2 / n)), min(1.0, (middle + half) / (1 + z**2 / n))


def noise_lines(kind: str, verdicts: Sequence[dict[str, str]]) -> Iterator[dict[str, object]]:
    """Share of noise markets on which any row, and each row, was called an edge."""
    n = len(verdicts)
    hits = sum("edge" in verdict.values() for verdict in verdicts)
    yield {"bench": kind, "row": "any", "markets": n, "edge": hits / n, "interval": [round(x, 3) for x in interval(hits, n)]}
    for row in verdicts[0]:
        count = Counter(verdict[row] for verdict in verdicts)
        yield {"bench": kind, "row": row, **{label: count[label] / n for label in ("edge", "no edge", "cannot tell")}}


def planted_lines(verdicts: dict[float, Sequence[dict[str, str]]]) -> Iterator[dict[str, object]]:
    """Power: the share of planted markets on which a row that can see the signal was called an edge, by the Sharpe ratio planted."""
    for sharpe, found in verdicts.items():
        for row in found[0]:
            count, n = Counter(verdict[row] for verdict in found), len(found)
            shares = {label: round(count[label] / n, 4) for label in ("edge", "no edge", "cannot tell")}
            yield {"bench": "planted", "sharpe": sharpe, "row": row, "markets": n, **shares}


def power_plot(lines: Sequence[dict[str, object]]) -> str:
    """The power curve as an SVG page, readable on light and dark."""
    left, top, width, height = 60, 20, 480, 260
    colours = dict(zip(SEERS, ("#2563eb", "#d97706"), strict=True))

    def place(sharpe: float, share: float) -> tuple[float, float]:
        return left + width * sharpe / max(SHARPES), top + height * (1 - share)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 580 340" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#333}.g{stroke:#8884}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = place(0, share)
        parts.append(f'<line class="g" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for sharpe in SHARPES:
        parts.append(f'<text x="{place(sharpe, 0)[0]:.1f}" y="{top + height + 18}" text-anchor="middle">{sharpe:g}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">planted annual net Sharpe ratio</text>')
    for k, row in enumerate(SEERS):
        points = [place(float(str(x["sharpe"])), float(str(x["edge"]))) for x in lines if x["row"] == row]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[row]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colours[row]}"/>' for x, y in points]
        parts.append(f'<text x="{left + 16}" y="{top + 20 + 20 * k}" style="fill:{colours[row]}">{row}: called edge</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Run the parts asked for and print their lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=int, default=200, help="noise markets for rules, logistic and LightGBM")
    parser.add_argument("--free-noise", type=int, default=200, help="the same without costs: the rule alone keeps luck from passing")
    parser.add_argument("--net-noise", type=int, default=40, help="noise markets for the same rows and the net")
    parser.add_argument("--planted", type=int, default=30, help="planted markets at each Sharpe ratio")
    parser.add_argument("--seed", type=int, default=0, help="the first market's seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--plot", help="write the power curve to this SVG file")
    asked = parser.parse_args()
    clock, seeds = SystemClock(), range(asked.seed, asked.seed + 1_000_000)
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        for kind, count, rows in (
            ("noise", asked.noise, (*RULES, "logistic", "lightgbm")),
            ("free-noise", asked.free_noise, (*RULES, "logistic", "lightgbm")),
            ("net-noise", asked.net_noise, (*RULES, "logistic", NET)),
        ):
            started = clock.monotonic()
            found = list(pool.map(study, [Task(kind, seed, rows, free=kind == "free-noise") for seed in seeds[:count]]))
            for line in noise_lines(kind, found) if found else ():
                print(json.dumps({**line, "seconds": round(clock.monotonic() - started)}), flush=True)
        started = clock.monotonic()
        tasks = [Task("planted", seed, (*RULES, "logistic"), sharpe) for sharpe in SHARPES for seed in seeds[: asked.planted]]
        found = list(pool.map(study, tasks))
    n = asked.planted
    lines = list(planted_lines({sharpe: found[k * n : (k + 1) * n] for k, sharpe in enumerate(SHARPES)})) if n else []
    for line in lines:
        print(json.dumps({**line, "seconds": round(clock.monotonic() - started)}), flush=True)
    if asked.plot and lines:
        write_text(asked.plot, power_plot(lines))


if __name__ == "__main__":
    main()
