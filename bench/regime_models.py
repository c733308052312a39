"""How well the statistical regime models tell a known regime, and what a bar costs them; one JSON line a measurement.

    python bench/regime_models.py [ceiling] [markets] [speed] [--seeds 300] [--first 1001] [--bars 1000]

`ceiling`: the two-state market of `tw.synthetic.switching`, a fresh one for each seed, and beside every model the filter that is told the
true parameters: no causal answer is right more often. Each model is scored in three ways, on the same `--bars` bars: `within`, fitted on
the very bars that it then filters, as the literature does; `ahead`, fitted on as many bars just before them; `long`, on five times as many.
Balanced accuracy is the mean over both states of the share of its bars that were told right. `by_path`: of each path by itself, then the
mean over the paths that saw at least 20 bars of both states, with its standard error over paths; `pooled`: over the bars of all paths
together, with a jackknife error over paths; `single`: the share told right on the other paths, those with next to none of one state. A
gap is the ceiling less the model, on the same bars. The first 60 bars, which the jump model on downside features needs, count for nobody.
`markets`: the bundled markets, each symbol fitted on its first half; of the second half, `turbulent` the share of bars told so,
`bars_a_regime` how long an answer stays, and `wilder` the deviation of the next return after a turbulent answer over that after a calm one.
`speed`: microseconds a bar of one symbol, CPU time in a batch and wall time through a watch.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tradewind as tw
from tradewind.data.synthetic import REGIME_MEAN, REGIME_STAY, REGIME_VOLATILITY
from tradewind.regimes import RegimeFilter, detector
from tradewind.regimes.jump import DOWNSIDE

WARM = 60
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "hmm": ("hmm", {}),
    "jump": ("jump", {}),
    "jump-downside": ("jump", {"features": DOWNSIDE, "penalty": 50.0}),
    "bocpd": ("bocpd", {}),
}


def tell(**line: Any) -> None:
    """One measurement, numbers to four digits."""
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}), flush=True)


def told() -> RegimeFilter:
    """The causal filter that knows the truth but not the state."""
    calm, wild = REGIME_STAY
    return detector("hmm", means=REGIME_MEAN, deviations=REGIME_VOLATILITY, transition=((calm, 1 - calm), (1 - wild, wild)))


def states(model: RegimeFilter, market: tw.Market) -> NDArray[np.int64]:
    """(time,) 0 calm or 1 turbulent; a change point's third regime is left to whichever of the two is likelier beside it."""
    found: NDArray[np.int64] = model.filter(market).probabilities[:, 0, :2].argmax(axis=1)
    return found


def counts(found: NDArray[np.int64], truth: NDArray[np.int64]) -> list[int]:
    """Bars of state 0, those told right, bars of state 1, those told right."""
    return [int(n) for state in (0, 1) for n in ((truth == state).sum(), ((truth == state) & (found == state)).sum())]


def balanced(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Balanced accuracy of counts (..., 4)."""
    return (total[..., 1] / total[..., 0] + total[..., 3] / total[..., 2]) / 2


def one_path(seed: int, bars: int) -> dict[str, list[int]]:
    """Counts of every model and protocol on the last `bars` of one path."""
    made = tw.synthetic.switching(bars=6 * bars, seed=seed)
    assert made.oracle.states is not None
    truth = made.oracle.states[-bars:][WARM:]
    parts = {"within": made.market[-bars:], "ahead": made.market[-2 * bars : -bars], "long": made.market[:-bars]}
    asked = {"within": made.market[-bars:], "ahead": made.market[-2 * bars :], "long": made.market}
    found = {}
    for protocol, part in parts.items():
        for row, (name, settings) in MODELS.items():
            model = detector(name, **settings).fit(part)
            found[f"{row} {protocol}"] = counts(states(model, asked[protocol])[-bars:][WARM:], truth)
        found[f"truth {protocol}"] = counts(states(told(), asked[protocol])[-bars:][WARM:], truth)
    return found


def ceiling(first: int, seeds: int, bars: int) -> None:
    """The table of balanced accuracies beside that of the true parameters."""
    paths = [one_path(seed, bars) for seed in range(first, first + seeds)]
    tables = {row: np.array([path[row] for path in paths], dtype=np.float64) for row in paths[0]}
    for row, table in tables.items():
        model, protocol = row.split()
        limit = tables[f"truth {protocol}"]
        both = (table[:, 0] >= 20) & (table[:, 2] >= 20)
        own, best = balanced(table[both]), balanced(limit[both])
        out, best_out = (balanced(counted.sum(axis=0) - counted) for counted in (table, limit))
        tell(
            what="ceiling", bars=bars, model=model, fitted=protocol, paths=int(both.sum()),
            by_path=float(own.mean()), error=float(own.std() / len(own) ** 0.5),
            gap=float((best - own).mean()), gap_error=float((best - own).std() / len(own) ** 0.5),
            single=float((table[~both, 1] + table[~both, 3]).sum() / table[~both][:, [0, 2]].sum()),
            pooled=float(balanced(table.sum(axis=0))), pooled_error=float((seeds - 1) ** 0.5 * out.std()),
            pooled_gap=float(balanced(limit.sum(axis=0)) - balanced(table.sum(axis=0))),
            pooled_gap_error=float((seeds - 1) ** 0.5 * (best_out - out).std()),
        )  # fmt: skip


def markets() -> None:
    """What the models make of real bars that they were not fitted on: the mean over symbols."""
    for sample in ("btc-15m", "btc-1d", "us-daily"):
        market = tw.data.sample(sample)
        half = len(market) // 2
        following = market.close[half + 1 :] / market.close[half:-1] - 1.0
        for row, (name, settings) in MODELS.items():
            told = detector(name, **settings).fit(market[:half]).filter(market).probabilities[half:-1, :, :2].argmax(axis=2)
            share, stay, wilder = [], [], []
            for s in range(len(market.symbols)):
                wild, there = told[:, s] == 1, np.isfinite(following[:, s])
                share.append(wild[there].mean())
                stay.append(there.sum() / (1 + np.count_nonzero(np.diff(wild[there]))))
                if wild[there].any() and not wild[there].all():
                    wilder.append(following[there & wild, s].std() / following[there & ~wild, s].std())
            tell(
                what="markets", market=sample, model=row, symbols=len(market.symbols), turbulent=float(np.mean(share)),
                bars_a_regime=float(np.mean(stay)), wilder=float(np.mean(wilder)),
            )  # fmt: skip


def speed(bars: int) -> None:
    """CPU of one bar of one symbol."""
    market = tw.synthetic.switching(bars=bars, seed=1).market
    single = [market[t : t + 1] for t in range(bars)]
    for row, (name, settings) in MODELS.items():
        model = detector(name, **settings).fit(market)
        model.filter(market[:2])
        began = time.process_time()
        model.filter(market)
        batch = time.process_time() - began
        watch = model.watch(market.symbols)
        spent = []
        for bar in single:
            before = time.perf_counter()
            watch.update(bar)
            spent.append(time.perf_counter() - before)
        tell(
            what="speed", model=row, batch_us=1e6 * batch / bars, update_us_p50=1e6 * float(np.median(spent)),
            update_us_p99=1e6 * float(np.quantile(spent, 0.99)),
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["ceiling", "markets", "speed"])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1001)
    parser.add_argument("--bars", type=int, default=1000)
    asked = parser.parse_args()
    if "ceiling" in asked.what:
        ceiling(asked.first, asked.seeds, asked.bars)
    if "markets" in asked.what:
        markets()
    if "speed" in asked.what:
        speed(20_000)


if __name__ == "__main__":
    main()
