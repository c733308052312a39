"""Forecasters by hand: fit on the first part of a market, ask about the rest, and trade the answers.

The signal here is one that a linear model hardly sees; `tw.forecasters()` lists what else there is.
"""

import numpy as np

import tradewind as tw

made = tw.synthetic.planted(r2=0.05, form="nonlinear", bars=8_000, seed=5)
X = tw.features.compute(made.market, "relative")
y = tw.labels.label("horizon-return", horizon=1)(made.market)
parts = slice(None, 6_000), slice(6_000, None)

for name, settings in {
    "ridge": {},
    "lightgbm": {},
    "mlp": {"preset": "quick", "quantiles": (0.05, 0.5, 0.95)},
    "conformal": {"forecaster": "lightgbm", "alpha": 0.1},
}.items():
    f = tw.forecaster(name, **settings)
    f.fit(X[parts[0]], y[parts[0]].known_by(int(X.known[parts[0]][-1])))
    forecast = f.predict(X[parts[1]])
    seen = np.isfinite(forecast.mean[:, 0])
    found = np.corrcoef(forecast.mean[seen, 0], made.oracle.mean[parts[1]][seen, 0])[0, 1]
    line = f"{name}: correlation with the true mean {found:.2f}"
    if forecast.quantiles is not None:
        answers = y.values[parts[1]][seen, 0]
        within = (answers >= forecast.quantiles[seen, 0, 0]) & (answers <= forecast.quantiles[seen, 0, -1])
        line += f"; {within[np.isfinite(answers)].mean():.1%} of the answers lie within its 90 % interval"
    print(line)

strategy = tw.strategy("forecast", forecaster="lightgbm", label="horizon-return", policy={"threshold": 0.0, "gain": 0.5, "band": 0.15})
result = tw.walk_forward(strategy, made.market, train=6_000, test=1_000, costs=tw.Costs(fee_bps=10, slippage_bps=2), seed=0)
print(f"as a strategy: net Sharpe {result.metrics['sharpe']:.1f}, {result.verdict.label}")
