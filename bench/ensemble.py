"""Does the ensemble know whom to trust now? One JSON line a seed, then one for all of them.

    python bench/ensemble.py switching [--seeds 10] [--first 0] [--bars 20000] [--regime rules]
    python bench/ensemble.py hidden    [--seeds 10] [--first 0] [--bars 20000]
    python bench/ensemble.py step      [--members 10]

`switching`: `tw.synthetic.three_regimes`, told apart by volatility 1 : 3 : 9, mean stay 500 bars, and the three rules of which each earns
in one regime and loses in the others: the sign of the last 24 bars' return, against that of the last 2, and with it. `hidden`: the same
with one volatility in all regimes, so that nothing but what the rules earn tells them apart. Every rule trades an account at 12 basis
points a unit of turnover. The ensemble is the preset `custom` as it stands: no cap, no sizing; it begins with equal weights and no record.
Its regime filter is the hidden Markov model of three states on returns and ranges, fitted once on the 5,000 bars before. Chosen on seeds
from 100 up; `--regime rules` takes the seven regimes by rules in its place.

`earned`: the sum of the account's net simple returns. `oracle` knows the regime of each bar and holds what its rule holds. `best_member` is
chosen in hindsight. `fixed_share` weighs the members by what they earned alone; `fixed_share_plain` does so without the scaling of losses.
`share` is that of the oracle's. `late`: bars from a switch until more than half of the weight is with the rule that suits the new regime,
over stays of 20 bars or more, those that never get there counting as infinitely late. Intervals are of Student's t over seeds, 95 %.

`bound` (hidden): the mix on paper against the best member less AdaHedge's bound over the ways and that over the members; `slack` above 0
says that it holds. `confidence`: by fifths, what was said, how often the mix then gained over 50 bars, in how many windows. `step`:
microseconds a bar of `Combiner.step` by the wall and by the CPU, training of the net included.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

import numpy as np
from scipy.stats import t as student

import tradewind as tw
from tradewind.core.types import Array
from tradewind.ensemble.combine import Combined, combined
from tradewind.ensemble.combiner import WAYS, Combiner, Evidence
from tradewind.ensemble.presets import preset
from tradewind.ensemble.weights import run

COSTS = tw.Costs(fee_bps=10, slippage_bps=2)
FITTED = 5_000
RULES = ("slow trend", "against fast", "fast trend")
LEAST_STAY = 20
WINDOW = 50
"""Bars that the confidence speaks of."""


def tell(name: str, **figures: Any) -> None:
    """One JSON line, numbers to four places."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return round(value, 4) if isinstance(value, float) else value

    print(json.dumps({"bench": name, **{key: plain(value) for key, value in figures.items()}}), flush=True)


def rules(market: tw.Market) -> list[Array]:
    """What the three rules hold, (time, symbol) each."""
    slow, fast = (tw.strategy("momentum", lookback=bars).decide_all(market) for bars in (24, 2))
    return [slow, -fast, fast]


def earned(targets: Array, market: tw.Market) -> float:
    """The sum of the net simple returns of an account that follows `targets`."""
    return float(tw.backtest(targets, market, COSTS).returns.sum())


def lateness(weights: Array, states: Array) -> list[float]:
    """Bars from each switch until the member of the new regime has more than half of the weight."""
    begins = np.flatnonzero(np.diff(states)) + 1
    late = []
    for begin, end in zip(begins, np.append(begins[1:], len(states)), strict=True):
        if end - begin >= LEAST_STAY:
            there = np.flatnonzero(weights[begin:end, states[begin]] > 0.5)
            late.append(float(there[0]) if len(there) else math.inf)
    return late


def bound(gained: Array, weights: Array) -> float:
    """AdaHedge's bound for what experts `gained` (time, expert) under its `weights` (time, expert)."""
    mean = (weights * gained).sum(axis=1, keepdims=True)
    variance = float((weights * (gained - mean) ** 2).sum())
    widest, count = float(np.ptp(gained, axis=1).max()), math.log(gained.shape[1])
    return 2.0 * math.sqrt(variance * count) + widest * (4.0 / 3.0 * count + 2.0)


def forecasts(found: Combined) -> list[tuple[float, float]]:
    """The confidence at the beginning of each window, and whether the mix gained in it on paper."""
    gained = found.parts["earned by whole"]
    begins = range(WINDOW, len(gained) - WINDOW, WINDOW)
    return [(float(found.confidence[t]), float(gained[t + 1 : t + 1 + WINDOW].sum() > 0)) for t in begins]


def calibration(pairs: list[tuple[float, float]]) -> list[list[float]]:
    """By fifths of the confidence from 0 to 1: what was said on average, how often it came true, and in how many windows."""
    said, true = np.array(pairs).T
    fifth = np.minimum((5 * said).astype(int), 4)
    there = [fifth == k for k in range(5) if (fifth == k).any()]
    return [[round(float(said[rows].mean()), 3), round(float(true[rows].mean()), 3), int(rows.sum())] for rows in there]


def one_seed(name: str, seed: int, bars: int, regime: str) -> tuple[dict[str, float], list[float], list[tuple[float, float]]]:
    """The figures of one market, how late the weights were at each switch, and what the confidence came to."""
    made = tw.synthetic.three_regimes(bars=FITTED + bars, seed=seed, observable=name == "switching")
    market, tested = made.market, made.market[FITTED:]
    states = made.oracle.states[FITTED:]
    wanted = [targets[FITTED:] for targets in rules(market)]
    accounts = [tw.backtest(targets, tested, COSTS) for targets in wanted]
    returns = np.column_stack([account.returns for account in accounts])
    settings = {"states": 3, "inputs": ("return", "range")} if regime == "hmm" else {}
    detector = tw.regimes.detector(regime, **settings).fit(market[:FITTED])
    held = [account.weights for account in accounts]
    found = combined(market, wanted, held, list(returns.T), preset("custom"), RULES, FITTED, COSTS, detector)
    positions = np.stack([np.where(np.isnan(w), h, w) for w, h in zip(wanted, held, strict=True)], axis=1)
    alone = {way: earned(np.einsum("ti,tis->ts", found.ways[:, i], positions), tested) for i, way in enumerate(WAYS)}
    plain = np.vstack([run("fixed-share", -returns)[1:], np.full((1, 3), 1 / 3)])
    oracle, ensemble = earned(made.oracle.targets[FITTED:], tested), earned(found.targets, tested)
    figures = {
        "oracle": oracle,
        "ensemble": ensemble,
        "share": ensemble / oracle,
        "best_member": float(returns.sum(axis=0).max()),
        "equal": alone["equal"],
        "fixed_share": alone["experts"],
        "fixed_share_plain": earned(np.einsum("ti,tis->ts", plain, positions), tested),
        "regimes_alone": alone["regimes"],
        "gate_open": float(found.gate.mean()),
        "slack": slack(found, returns),
    }
    if regime == "hmm":
        figures["told"] = accuracy(found, states)
    return figures, lateness(found.weights, states), forecasts(found)


def slack(found: Combined, returns: Array) -> float:
    """How far the mix on paper, which pays for the net of its trades, is above the best member less the two bounds."""
    gained = np.column_stack([found.parts[f"earned by {way}"] for way in WAYS])[1:]
    leader = found.ways[:-1, WAYS.index("leader")]
    allowed = bound(gained, found.trust[:-1]) + bound(returns[1:], leader)
    return float(found.parts["earned by whole"].sum() - (returns[1:].sum(axis=0).max() - allowed))


def accuracy(found: Combined, states: Array) -> float:
    """The share of bars whose most probable state is the true regime; the filter's states are in the order of their volatility."""
    return float((found.probabilities.argmax(axis=1) == states).mean())


def finite(value: float) -> float | None:
    """None for what JSON has no number for."""
    return value if math.isfinite(value) else None


def interval(values: list[float]) -> list[float]:
    """Mean, and the ends of its 95 % interval."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))
    reach = float(student.ppf(0.975, len(values) - 1)) * error
    return [mean, mean - reach, mean + reach]


def many_seeds(name: str, first: int, seeds: int, bars: int, regime: str) -> None:
    """One line a seed, and one over all."""
    rows, late, told = [], [], []
    for seed in range(first, first + seeds):
        figures, lags, pairs = one_seed(name, seed, bars, regime)
        tell(name, seed=seed, **figures, late_median=finite(float(np.median(lags))), switches=len(lags))
        rows.append(figures)
        late += lags
        told += pairs
    over = {key: interval([row[key] for row in rows]) for key in rows[0]}
    rivals = ("best_member", "equal", "fixed_share", "fixed_share_plain")
    lead = {f"ahead_of_{rival}": interval([row["ensemble"] - row[rival] for row in rows]) for rival in rivals}
    whole = sum(row["ensemble"] for row in rows) / sum(row["oracle"] for row in rows)
    # An order statistic, not an interpolation: late may be infinite.
    quantiles = {f"late_{int(100 * q)}": finite(float(np.quantile(late, q, method="higher"))) for q in (0.5, 0.9)}
    within = float(np.mean(np.array(late) <= LEAST_STAY))
    tell(
        f"{name} over seeds",
        regime=regime,
        seeds=seeds,
        bars=bars,
        **over,
        **lead,
        share_of_sums=whole,
        **quantiles,
        within_20=within,
        switches=len(late),
        confidence=calibration(told),
    )


def step(members: int, bars: int = 3_000) -> None:
    """How long a step takes, members, two symbols and seven regimes."""
    random = np.random.default_rng(0)
    combiner = Combiner(preset("balanced"), [f"member {i}" for i in range(members)], ["A", "B"], [f"regime {k}" for k in range(7)])
    shape, taken = (members, 2), []
    for _ in range(bars):
        evidence = Evidence(
            random.normal(0.0, 0.01, members), random.normal(0.0, 0.3, shape), random.normal(0.0, 0.3, shape),
            np.ones(members, dtype=np.bool_), random.dirichlet(np.ones(7)), random.normal(0.0, 0.01, 2),
        )  # fmt: skip
        begun, worked = time.perf_counter(), time.process_time()
        combiner.step(evidence)
        taken.append((1e6 * (time.perf_counter() - begun), 1e6 * (time.process_time() - worked)))
    late, cpu = np.array(taken[bars // 2 :]).T
    tell(
        "step",
        members=members,
        median_us=float(np.median(late)),
        p99_us=float(np.quantile(late, 0.99)),
        mean_us=float(late.mean()),
        cpu_us=float(cpu.mean()),
    )


def main() -> None:
    """Run a section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=("switching", "hidden", "step"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--regime", choices=("hmm", "rules"), default="hmm")
    parser.add_argument("--members", type=int, default=10)
    given = parser.parse_args()
    if given.section == "step":
        step(given.members)
    else:
        many_seeds(given.section, given.first, given.seeds, given.bars, given.regime)


if __name__ == "__main__":
    main()
