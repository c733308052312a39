"""Drift: detectors of one stream beside those that never look, and the monitor of a deployed forecaster."""

import numpy as np

import tradewind as tw

drift = tw.stats.drift

# A stream whose mean moves at row 1,000, and what the alarms of each detector are worth.
random = np.random.default_rng(0)
stream = np.concatenate([random.standard_normal(1000), 1.0 + random.standard_normal(1000)])
for name in drift.detectors():
    score = drift.score_alarms(drift.detect(stream, name), changes=[1000], rows=2000, horizon=500)
    print(f"{name:13} found {score.found}, after {score.delay:.0f} rows, {score.false_alarms} false alarms, F1 {score.f1:.2f}")

# A forecaster, fitted once on the first 3,000 bars.
market = tw.data.sample("btc-15m")
X = tw.features.compute(market, ["return_1", "return_5", "return_20", "rsi_7", "bb_percent_20", "volume_ratio_20"])
y = tw.labels.horizon_return(market, horizon=4)
model = tw.forecaster("ridge").fit(X[:3000], y[:3000].known_by(int(X.known[2999])))
losses = (model.predict(X).mean[:, 0] - y.values[:, 0]) ** 2

# The 2,000 bars that followed say what quiet times look like, in rows that the model was not fitted on.
monitor = drift.DriftMonitor(X.names, window=500)
monitor.fit(X.values[3000:5000, 0], y.values[3000:5000, 0], losses[3000:5000])

# Then it is deployed: rows as they come, answers four bars later, when they are known.
for t in range(5004, len(X) - 4):
    monitor.update(X.values[t, 0])
    monitor.learn(y.values[t - 4, 0], losses[t - 4])

report = monitor.report()
print(f"after {report.rows} rows drifted: {', '.join(report.drifted) or 'nothing'}")
for column in report.columns:
    print(f"{column.name:15} distance {column.distance:.2f}, index {column.psi:.2f} of {column.psi_limit:.2f}, p {column.p_value:.3f}")
print(f"mean loss {report.loss.before:.2e} before, {report.loss.now:.2e} now, alarms at {list(report.loss.alarms)}")
