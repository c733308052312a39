"""What using regimes is worth: as a gate, as a key of strategies and of forecasters, as features; one JSON line a seed, then one for all.

    python bench/regime_strategies.py switching [--seeds 5] [--first 0] [--bars 20000]
    python bench/regime_strategies.py meaning   [--seeds 5] [--first 0] [--bars 20000]
    python bench/regime_strategies.py markets
    python bench/regime_strategies.py speed

`switching`: `tw.synthetic.three_regimes`, told apart by volatility 1 : 3 : 9, and three rules of which each earns in one regime and loses
in the others. `probability` and `most-probable` are `by-regime`: told which rule suits which regime, it reads the regime from the hidden
Markov model of three states on returns and ranges, fitted on the 5,000 bars before; `gate` holds the third rule in the third regime alone.
All figures are sums of net simple returns at 12 basis points a unit of turnover; `oracle` knows the regime of each bar.
`meaning`: the same markets for forecasters. The signs of the returns over 2 and 24 bars mean something else in each regime. Correlation of
forecasts with the true expected return on the last quarter of the bars: a ridge regression pooled, the same shown the probabilities as
columns, and one ridge for each regime; `told` is one ridge for each true regime.
`markets`: the bundled markets by walk-forward under default costs, beside what each row is made of. Nothing was chosen on them.
`speed`: nanoseconds a bar of the seven as columns, and microseconds a decision of a gate beside its member's.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

import tradewind as tw
from tradewind.core.types import Array, Features, Target, Targets, View
from tradewind.engine import targets

COSTS = tw.Costs(fee_bps=10, slippage_bps=2)
FITTED = 5_000
HMM = {"states": 3, "inputs": ("return", "range")}
BARS_SEEN = (2, 24)


class Contrary(tw.Strategy):
    """Against the sign of the last two bars' return."""

    warmup = 3

    def decide(self, view: View) -> Target:
        close = view.market.close
        return Target(-np.sign(close[-1] / close[-3] - 1.0) / close.shape[1])

    def decide_all(self, market: tw.Market, book: Any = None, start: int = 0) -> Targets:
        return np.asarray(-tw.strategy("momentum", lookback=2).decide_all(market))


RULES: dict[str, Any] = {"calm": ("momentum", {"lookback": 24}), "normal": Contrary(), "turbulent": ("momentum", {"lookback": 2})}


def tell(name: str, **figures: Any) -> None:
    """One JSON line."""
    print(json.dumps({"bench": name, **{k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def over(name: str, lines: list[dict[str, float]]) -> None:
    """Means over seeds with their 95 % intervals of Student's t."""
    n = len(lines)
    for key in lines[0]:
        values = np.array([line[key] for line in lines])
        half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
        tell(name, seeds=n, figure=key, mean=float(values.mean()), low=float(values.mean()) - half, high=float(values.mean()) + half)


def switching(seed: int, bars: int) -> dict[str, float]:
    """What each strategy earned on one market."""
    made = tw.synthetic.three_regimes(bars=FITTED + bars, seed=seed)
    market = made.market
    subjects: dict[str, tw.Strategy] = {
        **{f"{blend}": tw.strategy("by-regime", members=RULES, blend=blend, detector="hmm", detector_settings=HMM)
           for blend in ("probability", "most-probable")},
        "gate": tw.strategy("regime-gate", member=RULES["turbulent"], regimes=("turbulent",), detector="hmm", detector_settings=HMM),
        **{f"always {name}": tw.strategy(*rule[:1], **rule[1]) if isinstance(rule, tuple) else rule for name, rule in RULES.items()},
    }  # fmt: skip
    wanted: dict[str, Array] = {"oracle": made.oracle.targets}
    for name, subject in subjects.items():
        wanted[name] = targets(subject.fit(market[:FITTED]), market, start=FITTED)
    earned = {name: float(tw.backtest(each[FITTED:], market[FITTED:], COSTS).returns.sum()) for name, each in wanted.items()}
    return {**earned, "share": earned["probability"] / earned["oracle"], "share most-probable": earned["most-probable"] / earned["oracle"]}


def meaning(seed: int, bars: int) -> dict[str, float]:
    """Correlations of forecasts with the truth on one market."""
    made = tw.synthetic.three_regimes(bars=bars, seed=seed)
    market, split = made.market, 3 * bars // 4
    assert made.oracle.mean is not None and made.oracle.states is not None
    plain = signs(tw.features.compute(market, [f"return_{n}" for n in BARS_SEEN]))
    hmm = tw.regimes.detector("hmm", **HMM).fit(market[:split])
    keyed = plain.join(tw.regimes.columns(hmm, market))
    truth = np.eye(3)[made.oracle.states][:, None]
    told = plain.join(replace(plain, names=("regime_0", "regime_1", "regime_2"), values=np.broadcast_to(truth, (*market.close.shape, 3))))
    y = tw.labels.label("horizon-return", horizon=1)(market).known_by(int(market.known[split - 1]))
    found = {}
    for name, model, X in (
        ("pooled", "ridge", plain),
        ("columns", "ridge", keyed),
        ("regime-specific", "regime-specific", keyed),
        ("told", "regime-specific", told),
    ):
        settings = {"base": "ridge"} if model != "ridge" else {}
        score = tw.forecaster(model, **settings).fit(X[:split], y[:split]).predict(X[split:]).score()[:, 0]
        there = np.isfinite(score)
        found[name] = float(np.corrcoef(score[there], made.oracle.mean[split:, 0][there])[0, 1])
    return found


def signs(X: Features) -> Features:
    """The signs of the columns, as the market itself reads them."""
    return replace(X, values=np.sign(X.values))


def markets() -> None:
    """Net Sharpe ratios on the bundled markets, out of sample."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        "hold": ("hold", {}),
        "hold in trends and calm": ("regime-gate", {"member": "hold", "regimes": ("trending_bull", "low_volatility_range", "breakout")}),
        "hold but in crises": ("regime-gate", {"member": "hold", "regimes": tuple(name for name in tw.regimes.SEVEN if name != "crisis")}),
        "momentum": ("momentum", {}),
        "momentum in trends": ("regime-gate", {}),
        "by regime": ("by-regime", {}),
        "logistic": ("forecast", {"features": "relative-price"}),
        "logistic, regimes as columns": ("forecast", {"features": "relative-price+regime"}),
        "logistic for each regime": ("regime-specific", {"features": "relative-price+regime"}),
    }
    with tempfile.TemporaryDirectory() as folder:
        for data in ("btc-15m", "btc-1d", "us-daily"):
            market = tw.data.sample(data)
            for row, (name, settings) in rows.items():
                result = tw.walk_forward(tw.strategy(name, **settings), market, ledger=Path(folder) / "ledger.sqlite")
                told = result.metrics
                interval = [round(told["sharpe_low"], 2), round(told["sharpe_high"], 2)]
                tell("markets", market=data, row=row, sharpe=told["sharpe"], interval=interval, net_return=told["net_return"],
                     drawdown=told["max_drawdown"], turnover=told["turnover"])  # fmt: skip


def speed() -> None:
    """What a bar costs."""
    market = tw.synthetic.noise(bars=100_000).market
    for columns in ("regime", "relative", "relative+regime"):
        tw.features.compute(market[:500], columns)
        began = time.process_time()
        tw.features.compute(market, columns)
        tell("columns", columns=columns, nanoseconds_a_bar=1e9 * (time.process_time() - began) / len(market))
    short, first = market[:4_000], 2_000
    for name, settings in (("momentum", {}), ("regime-gate", {"member": "momentum"}), ("by-regime", {})):
        subject = tw.strategy(name, **settings).fit(short)
        portfolio = tw.Portfolio(np.zeros(1), np.zeros(1), 1.0, 1.0)
        views = [View(short[: t + 1], int(short.known[t]), portfolio) for t in range(first, len(short))]
        subject.decide(views[0])
        took = []
        for view in views[1:]:
            began = time.thread_time()
            subject.decide(view)
            took.append(1e6 * (time.thread_time() - began))
        tell("decide", strategy=name, median=float(np.median(took)), p99=float(np.quantile(took, 0.99)))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("switching", "meaning", "markets", "speed"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bars", type=int, default=20_000)
    asked = parser.parse_args()
    if asked.what in ("switching", "meaning"):
        lines = []
        for seed in range(asked.first, asked.first + asked.seeds):
            lines.append((switching if asked.what == "switching" else meaning)(seed, asked.bars))
            tell(asked.what, seed=seed, **lines[-1])
        over(asked.what, lines)
    else:
        {"markets": markets, "speed": speed}[asked.what]()


if __name__ == "__main__":
    main()
