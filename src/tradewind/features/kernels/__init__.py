"""The compiled arithmetic of every built-in feature, one family a file.

All kernels have one signature, `kernel(state, bars, parameters, out)`:

- `state` (slots,) is what the kernel carries from call to call, zeros before a symbol's first bar;
- `bars` (row, lookback + n) holds n new bars behind `lookback` older ones, NaN before the first; its rows are named in `rows`;
- `parameters` (any,) are the numbers declared in the catalogue;
- `out` (output, n) takes the answers. Kernels leave the warm-up to the driver, which blanks it.

A kernel that only looks at a window sums it afresh for every bar, over the lags outside and the bars inside: that vectorises, never
drifts, forgets a NaN as soon as it leaves the window, and does the same additions in the same order however the bars are cut.
"""
