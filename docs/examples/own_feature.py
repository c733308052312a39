"""A feature of your own: one function over arrays, checked for looking ahead, used in a batch, a stream and a list with others."""

import numpy as np

import tradewind as tw


@tw.features.feature(inputs=("close", "volume"), warmup=20)
def pressure(close, volume):
    """Volume on rising bars less volume on falling ones over the last 20 bars, as a part of all of it."""
    signed = np.sign(np.diff(close, prepend=close[0])) * volume
    windows = np.lib.stride_tricks.sliding_window_view
    out = np.full(len(close), np.nan)
    if len(close) > 20:
        out[20:] = windows(signed[1:], 20).sum(axis=1) / np.maximum(windows(volume[1:], 20).sum(axis=1), 1e-12)
    return out


passed = tw.checks.check_feature(pressure)
print(f"passed {len(passed)} checks")

market = tw.data.sample("btc-15m")
X = tw.features.compute(market, ["rsi_14", "return_96", pressure])
print(X.names, X.values.shape, "warm after", X.warmup, "bars")

stream = tw.features.Stream(["rsi_14", "return_96", pressure])
for t in range(300):
    bar = (float(getattr(market, name)[t, 0]) for name in ("open", "high", "low", "close", "volume"))
    row = stream.update(int(market.open_time[t]), *bar)
print("bar by bar the same:", np.array_equal(row, X.values[299, 0]))


@tw.features.feature(inputs=("close",), warmup=0)
def cheat(close):
    """A score over the whole sample knows how the sample ends."""
    return (close - close.mean()) / (close.std() + 1e-12)


try:
    tw.checks.check_feature(cheat)
except tw.checks.CheckFailed as failed:
    print(failed)
