"""Whether deep momentum finds what is there, finds nothing where nothing is, and beats the momentum mix; one JSON line a measurement.

    python bench/deep_momentum.py planted [--bars 730] [--nets lstm,transformer] [--seeds 0,1,2] [--set members=5]
    python bench/deep_momentum.py noise
    python bench/deep_momentum.py real --timeframe 1d [--train 730d --test 91d --refit-every 1]

`planted`: daily markets of four symbols whose oracle earns a Sharpe ratio of 3; fitted on the first `--bars`, tested on the next 1,000;
eight markets a seed. `noise`: walk-forwards over 20 markets in which there is nothing to find, and how many verdicts call it an edge.
`real`: the ten coins of TRADEWIND_DEV_DATA, every row walked forward on the same bars, with the paired stationary-bootstrap interval of
its Sharpe ratio less that of momentum-mix. `--set` sets what the strategy takes: members=5, long_only=true, window=32.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import tradewind as tw
from tradewind import engine
from tradewind.core.clock import SystemClock
from tradewind.stats.bootstrap import bootstrap_sharpes
from tradewind.stats.metrics import sharpe

CLOCK = SystemClock()
MARKETS, NOISES, TRAINED, TESTED = 8, 20, 730, 1_000
FILE = "binance_spot_1h_10coins_to_2024-06.parquet"


def tell(**line: Any) -> None:
    """One measurement."""
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in line.items()}), flush=True)


def planted(net: str, seed: int, settings: dict[str, Any], trained: int) -> None:
    """Mean net Sharpe ratios over the markets: the strategy's, the oracle's, and the mix's."""
    earned: dict[str, list[float]] = {"deep": [], "oracle": [], "mix": []}
    began = CLOCK.monotonic()
    for k in range(MARKETS):
        made = tw.data.synthetic.planted(sharpe=3.0, bars=trained + TESTED, timeframe="1d", symbols=4, seed=1_000 * (seed + 1) + k)
        deep = tw.strategy("deep-momentum", net=net, **settings)
        deep.reseed(seed)
        sources = {"deep": deep, "mix": tw.strategy("momentum-mix")}
        for strategy in sources.values():
            strategy.fit(made.market[:trained])
        targets = {name: engine.targets(strategy, made.market, start=trained) for name, strategy in sources.items()}
        for name, wanted in {**targets, "oracle": made.oracle.targets}.items():
            earned[name].append(sharpe(engine.backtest(wanted, made.market).returns[trained:], 365.0))
    spread = float(np.std(earned["deep"], ddof=1) / MARKETS**0.5)
    means = {name: float(np.mean(values)) for name, values in earned.items()}
    tell(
        what="planted",
        bars=trained,
        net=net,
        seed=seed,
        settings=settings,
        **means,
        standard_error=spread,
        seconds=CLOCK.monotonic() - began,
    )


def noise(net: str, seed: int, settings: dict[str, Any]) -> None:
    """Verdicts on markets without an edge."""
    labels, ratios = Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(NOISES):
            market = tw.data.synthetic.noise(bars=TRAINED + TESTED, timeframe="1d", symbols=4, seed=1_000 * (seed + 1) + k).market
            deep = tw.strategy("deep-momentum", net=net, **settings)
            result = tw.walk_forward(deep, market, train=TRAINED, test=250, seed=seed, ledger=Path(folder) / f"{k}.sqlite")
            labels[result.verdict.label] += 1
            ratios.append(result.metrics["sharpe"])
    tell(what="noise", net=net, seed=seed, settings=settings, verdicts=dict(labels), mean_net_sharpe=float(np.mean(ratios)))


def real(nets: list[str], seeds: list[int], settings: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Rows on the ten coins, each beside momentum-mix."""
    folder = os.environ.get("TRADEWIND_DEV_DATA")
    if not folder:
        raise SystemExit("set TRADEWIND_DEV_DATA to the folder that holds " + FILE)
    market = tw.data.resample(tw.data.read(Path(folder) / FILE), arguments.timeframe)
    with tempfile.TemporaryDirectory() as place:

        def walk(strategy: Any, seed: int) -> Any:
            ledger = Path(place) / "ledger.sqlite"
            return tw.walk_forward(strategy, market, train=arguments.train, test=arguments.test, seed=seed, ledger=ledger)

        mix = walk(tw.strategy("momentum-mix"), 0)
        report(market, arguments, "hold", 0, walk(tw.strategy("hold"), 0), mix, 0.0)
        report(market, arguments, "momentum-mix", 0, mix, mix, 0.0)
        for net in nets:
            for seed in seeds:
                began = CLOCK.monotonic()
                result = walk(tw.strategy("deep-momentum", net=net, refit_every=arguments.refit_every, **settings), seed)
                told = ", ".join([net, *(f"{name}={value}" for name, value in settings.items())])
                report(market, arguments, f"deep-momentum ({told})", seed, result, mix, CLOCK.monotonic() - began)


def report(market: Any, arguments: argparse.Namespace, row: str, seed: int, result: Any, mix: Any, seconds: float) -> None:
    """One row: what it earned, and by how much its Sharpe ratio exceeds the mix's."""
    m = result.metrics
    pair = np.stack([result.returns, mix.returns], axis=1)
    drawn = bootstrap_sharpes(pair, draws=2_000) * market.periods_per_year**0.5
    low, high = (float(np.quantile(drawn[:, 0] - drawn[:, 1], level)) for level in (0.05, 0.95))
    tell(
        what="real", timeframe=arguments.timeframe, row=row, seed=seed, net_return=m["net_return"], sharpe=m["sharpe"],
        sharpe_low=m["sharpe_low"], sharpe_high=m["sharpe_high"], max_drawdown=m["max_drawdown"], turnover=m["turnover"],
        difference=m["sharpe"] - mix.metrics["sharpe"], difference_low=low, difference_high=high, verdict=result.verdict.label,
        bars=len(pair), seconds=seconds,
    )  # fmt: skip


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="measure deep momentum")
    parser.add_argument("what", choices=("planted", "noise", "real"))
    parser.add_argument("--nets", default="lstm,transformer")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--bars", type=int, default=TRAINED)
    parser.add_argument("--timeframe", default="1d")
    parser.add_argument("--train", default="730d")
    parser.add_argument("--test", default="91d")
    parser.add_argument("--refit-every", type=int, default=1)
    arguments = parser.parse_args()
    settings = {name: json.loads(value) for name, _, value in (item.partition("=") for item in arguments.set)}
    nets, seeds = arguments.nets.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    if arguments.what == "real":
        real(nets, seeds, settings, arguments)
        return
    for net in nets:
        for seed in seeds:
            if arguments.what == "planted":
                planted(net, seed, settings, arguments.bars)
            else:
                noise(net, seed, settings)


if __name__ == "__main__":
    main()
