"""A strategy of your own: write `decide`, prove that it does not look ahead, and hear what it is worth."""

from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import tradewind as tw


class Mine(tw.Strategy):
    """Long after a rise over 20 bars, short after a fall, an equal share of each symbol."""

    warmup = 21

    def decide(self, view: tw.View) -> tw.Target:
        close = view.market.close  # (time, symbol): closed bars up to now and no others
        return tw.Target(np.sign(close[-1] / close[-21] - 1.0) / close.shape[1])


passed = tw.checks.check_strategy(Mine())
print(f"passed {len(passed)} checks: {', '.join(passed)}")

ledger = Path(mkdtemp()) / "ledger.sqlite"
result = tw.walk_forward(Mine(), tw.data.sample("btc-1d"), train="180d", test="60d", costs=tw.Costs(fee_bps=10), ledger=ledger)
print(f"net return {result.metrics['net_return']:.1%}, hold {result.hold['net_return']:.1%}: {result.verdict.label}")
print(result.verdict.reasons[0])
