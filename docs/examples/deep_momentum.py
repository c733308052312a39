"""Deep momentum: a net that outputs the position, on a market where momentum is planted; what it earned beside who knows the truth."""

import tradewind as tw
from tradewind import engine
from tradewind.stats import sharpe

made = tw.data.synthetic.planted(sharpe=3.0, bars=2_000, timeframe="1d", symbols=4, seed=7)
train, test = made.market[:1_200], slice(1_200, None)

deep = tw.strategy("deep-momentum", net="lstm", members=2)  # or net="transformer"
deep.reseed(7)
deep.fit(train)
for report in deep.reports:
    print(f"{len(report.history)} epochs in {report.seconds:.1f} s, the best was {report.best_epoch}; stopped by {report.stopped}")

rows = {
    "deep-momentum": engine.targets(deep, made.market, start=1_200),
    "momentum-mix": engine.targets(tw.strategy("momentum-mix").fit(train), made.market, start=1_200),
    "the oracle": made.oracle.targets,
}
for name, targets in rows.items():
    account = engine.backtest(targets, made.market)  # 10 bps of fees and 2 of slippage a fill
    print(f"{name}: net Sharpe {sharpe(account.returns[test], 365.0):.2f}, turnover {365 * account.turnover[test].mean():.0f} a year")

view = tw.View(made.market, int(made.market.known[-1]), tw.Portfolio(*[rows["the oracle"][-1] * 0] * 2, 1.0, 1.0))
print(*deep.explain(view, symbol=0).words, sep="\n")
