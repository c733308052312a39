"""A forecaster of your own becomes a strategy: nearest class centres on features of bundled real bars.

Write `fit` and `predict`; features, labels, policy, costs and the walk-forward come from tradewind.
"""

import numpy as np

import tradewind as tw


class NearestCentre(tw.Forecaster):
    """Gaussian classes that differ in their mean alone: the nearer a row lies to a class's centre, the likelier that class."""

    def fit(self, X, y):
        learnable = np.isfinite(X.values).all(axis=2) & np.isfinite(y.values)
        inputs, answers = X.values[learnable], y.values[learnable]
        self.classes = tuple(float(c) for c in np.unique(answers))
        self.middle, self.spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-12
        scaled = (inputs - self.middle) / self.spread
        self.centres = np.stack([scaled[answers == c].mean(axis=0) for c in self.classes])
        return self

    def predict(self, X):
        scaled = (X.values - self.middle) / self.spread
        distance = ((scaled[:, :, None, :] - self.centres) ** 2).sum(axis=-1)
        nearness = np.exp((distance.min(axis=-1, keepdims=True) - distance) / 2)
        return tw.Forecast(probabilities=nearness / nearness.sum(axis=-1, keepdims=True), classes=self.classes)


market = tw.data.sample("btc-15m")
strategy = tw.strategy("forecast", forecaster=NearestCentre(), features="relative", label="triple-barrier", policy={"long_only": True})
result = tw.walk_forward(strategy, market, train="30d", test="7d", costs=tw.Costs(fee_bps=10, slippage_bps=2), seed=0)
print(f"net Sharpe {result.metrics['sharpe']:.2f}: {result.verdict.label}")
for reason in result.verdict.reasons:
    print(" -", reason)
