"""Online learning: a forest that goes on learning after its fit, and what its trees found on the way."""

import tradewind as tw
from tradewind.core.clock import format_time
from tradewind.engine import run

market = tw.data.sample("btc-15m")
strategy = tw.strategy("online", model="forest", features=["return_1", "return_5", "return_20", "rsi_7", "volatility_20"], seed=1)

# The fit is one pass over the first 3,000 bars; from then on every label is learned as soon as it is known, here bar by bar.
strategy.fit(market[:3000])
lived = run(strategy, market, start=3000)
print(f"net return over {len(market) - 3000} bars: {lived.equity[-1] / lived.equity[2999] - 1:+.1%}")

# What the detectors of its trees found, and how good each tree was until then.
for change in strategy.changes[-5:]:
    found = "was exchanged" if change.drift else "was warned of"
    print(f"{format_time(change.known)}: tree {change.tree} {found}; it had been right in {change.accuracy:.0%} of its rows")
