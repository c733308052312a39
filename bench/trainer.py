"""What training an ensemble in episodes is worth: the holdout's Sharpe ratio after it, after one pass, and untrained.

    python bench/trainer.py [episodes] [market ...]

A JSON line for each market, preset and seed: the bundled ones, and `switching`, three regimes told apart by volatility in which each of
three members earns in one and loses in the others. The best episode is a selection; it stands beside them to show by how much it flatters.
"""

from __future__ import annotations

import json
import sys
from tempfile import mkdtemp
from typing import Any, final

import numpy as np

import tradewind as tw
from tradewind import ensemble
from tradewind.core.clock import SystemClock

CLOCK = SystemClock()
MEMBERS = ("momentum", "ema-cross", "rsi-reversal", "bollinger-reversal", "logistic")


@final
class Against(tw.Strategy):
    """The other side of the sign of the last two bars' return."""

    def decide(self, view: tw.View) -> tw.Target:
        close = view.market.close
        return tw.Target(-np.sign(close[-1] / close[-3] - 1.0) if len(close) > 2 else np.zeros(close.shape[1]))

    def decide_all(self, market: tw.Market, book: object = None, start: int = 0) -> np.ndarray:
        wanted = np.zeros(market.close.shape)
        wanted[2:] = -np.sign(market.close[2:] / market.close[:-2] - 1.0)
        return wanted


SUITED = (("momentum", {"lookback": 24}), Against(), ("momentum", {"lookback": 2}))
HIDDEN_MARKOV = {"regime": "hmm", "regime_settings": {"states": 3, "inputs": ("return", "range")}}


def course(name: str, preset: str, seed: int) -> dict[str, Any]:
    """The settings of a trainer on a market."""
    if name == "switching":
        market = tw.synthetic.three_regimes(bars=20_000, seed=seed).market
        return {"config": ensemble.preset("custom", **HIDDEN_MARKOV), "market": market, "members": SUITED}
    return {"config": preset, "market": tw.data.sample(name), "members": MEMBERS}


def measure(sample: str, preset: str, seed: int, episodes: int) -> dict[str, object]:
    """One training on one market."""
    begun = CLOCK.monotonic()
    trainer = ensemble.Trainer(save_dir=mkdtemp(), **course(sample, preset, seed), episode_bars=500, seed=seed)
    training = trainer.train(episodes=episodes)
    found: dict[str, object] = {"bench": "trainer", "market": sample, "preset": preset, "seed": seed, "episodes": episodes}
    for name in ("out_of_sample", "one_pass", "untrained"):
        told = ensemble.evaluate(getattr(training, name))
        numbers = {key: round(told.portfolio[key], 3) for key in ("sharpe", "sharpe_low", "sharpe_high", "net_return", "max_drawdown")}
        found[name] = {**numbers, "adaptability": round(told.meta["adaptability"], 3), "score": round(told.score, 1), "grade": told.grade}
    found["hold"] = round(
        tw.stats.sharpe(tw.backtest(tw.strategy("hold"), training.out_of_sample.market).returns, trainer.market.periods_per_year), 3
    )
    ratios = [episode.sharpe for episode in training.episodes if episode.sharpe is not None]
    found["best_episode"], found["median_episode"] = round(max(ratios), 3), round(float(np.median(ratios)), 3)
    found["seconds"] = round(CLOCK.monotonic() - begun, 1)
    return found


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for market in sys.argv[2:] or ("us-daily", "btc-1d", "btc-15m", "switching"):
        presets = ("custom",) if market == "switching" else ("balanced", "aggressive")
        for chosen in presets:
            for number in (0,) if chosen == "aggressive" else (0, 1, 2):
                print(json.dumps(measure(market, chosen, number, count)), flush=True)
