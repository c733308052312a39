"""What training an ensemble in episodes is worth: the holdout's Sharpe ratio after it, after one pass, and untrained.

python bench/trainer.py [episodes]: a JSON line for each bundled market, preset and seed. The best episode is a selection; it stands beside
them to show by how much it flatters.
"""

from __future__ import annotations

import json
import sys
from tempfile import mkdtemp

import numpy as np

import tradewind as tw
from tradewind import ensemble
from tradewind.core.clock import SystemClock

CLOCK = SystemClock()
MEMBERS = ("momentum", "ema-cross", "rsi-reversal", "bollinger-reversal", "logistic")


def measure(sample: str, preset: str, seed: int, episodes: int) -> dict[str, object]:
    """One training on one market."""
    begun = CLOCK.monotonic()
    trainer = ensemble.Trainer(preset, mkdtemp(), market=tw.data.sample(sample), members=MEMBERS, episode_bars=500, seed=seed)
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
    for market in ("us-daily", "btc-1d", "btc-15m"):
        for chosen in ("balanced", "aggressive"):
            for number in (0, 1, 2) if chosen == "balanced" else (0,):
                print(json.dumps(measure(market, chosen, number, count)), flush=True)
