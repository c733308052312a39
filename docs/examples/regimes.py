"""The regime of a market bar by bar: read, as columns for a model, as a gate, as a key, and as a page."""

import tradewind as tw
from tradewind.evaluate.pages import regime_charts
from tradewind.evaluate.regime_reading import read

market = tw.data.sample("btc-1d")

# The seven by published rules: nothing is fitted, and no later bar changes what was said.
rules = tw.regimes.detector("rules")
regimes = rules.filter(market)
now = tw.regimes.regime_info(regimes)
print(f"{now.symbol}: {now.current_regime} for {now.bars} bars, stability {now.regime_stability:.2f}")

# A detector that learns is fitted on the past, and joined to other features as columns.
hmm = tw.regimes.detector("hmm", states=2).fit(market[:400])
X = tw.features.compute(market, "relative").join(tw.regimes.columns(hmm, market))
print(X.names[-2:], X.values.shape)

# A forecaster for each regime: the rules are features by name.
forest = tw.strategy("regime-specific").fit(market[:400])
print(*forest.model.notes, sep="\n")

# A strategy that trades only in trends, and one with a member for each regime.
gate = tw.strategy("regime-gate", member="momentum", regimes=("trending_bull", "breakout"), threshold=0.5)
keyed = tw.strategy("by-regime", members={"trending_bull": "momentum", "low_volatility_range": "rsi-reversal", "default": "hold"})
for strategy in (gate, keyed, tw.strategy("hold")):
    account = tw.backtest(strategy.fit(market[:400]), market[400:])
    print(f"{type(strategy).__name__}: {account.equity[-1] - 1:+.1%} after costs, turnover {account.turnover.sum():.0f}")

# What `tradewind regimes --market btc-1d --timeframes 1w` writes.
page = regime_charts.write(read(market, "rules", timeframes=("1w",)), "regimes.html")
print(page)
