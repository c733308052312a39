"""From real bars to a verdict: the example of the README."""

from pathlib import Path
from tempfile import mkdtemp

import tradewind as tw

folder = Path(mkdtemp())
market = tw.data.sample("us-daily")
print(f"{', '.join(market.symbols)}: {len(market)} bars of {market.timeframe}")

strategy = tw.strategy("momentum-mix")
costs = tw.Costs(fee_bps=10, slippage_bps=2)
r = tw.walk_forward(strategy, market, train="730d", test="365d", costs=costs, seed=0, ledger=folder / "ledger.sqlite")
print(
    f"net Sharpe {r.metrics['sharpe']:.2f} ({r.metrics['sharpe_low']:.2f} to {r.metrics['sharpe_high']:.2f}), hold {r.hold['sharpe']:.2f}"
)
print(r.verdict.label, *r.verdict.reasons, sep="\n  ")
r.report(folder / "report.html")
