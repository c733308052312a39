"""Train an ensemble in episodes, judge it on bars that no episode saw, and put a newer fit in its place only if it is not worse."""

from tempfile import mkdtemp

import tradewind as tw
from tradewind import ensemble

market = tw.data.sample("us-daily")
members = ["momentum", "ema-cross", "rsi-reversal", "bollinger-reversal"]

config = ensemble.preset("balanced", max_agent_weight=0.6)
trainer = ensemble.Trainer(config, mkdtemp(), market=market[:-250], members=members, costs={"fee_bps": 5}, episode_bars=200)
results = trainer.train(episodes=100)

best = results.best_episode
print(f"best of {len(results.episodes)} episodes: number {best.number}, Sharpe {best.sharpe:.2f} - a selection, not a result")
print(ensemble.evaluate(results))
for name in ("one_pass", "untrained"):
    print(f"{name}: Sharpe {ensemble.evaluate(getattr(results, name)).portfolio['sharpe']:.2f} on the same bars")

# A year later: fit a copy on what has come since, and let both trade the newest bars.
at_work = trainer.ensemble
update = ensemble.hot_update(at_work, market, mkdtemp(), exam=0.04)
print(f"swapped: {update.swapped}, version {update.version}: {update.reason}")
