"""Features that cheat, each in one way."""

from __future__ import annotations

import numpy as np

from tradewind.core.types import Array
from tradewind.features import feature


@feature(inputs=("close",), warmup=20)
def honest(close: Array) -> Array:
    """The return over 20 bars."""
    return np.concatenate([np.full(min(20, len(close)), np.nan), close[20:] / close[:-20] - 1.0])


@feature(inputs=("close",), warmup=1)
def shifted(close: Array) -> Array:
    """shift(-1): the next bar's return."""
    return np.append(close[1:], close[-1]) / close - 1.0


@feature(inputs=("close",), warmup=11)
def centred(close: Array) -> Array:
    """The close over a mean of the eleven bars around it."""
    window = np.convolve(close, np.ones(11), mode="same") / np.convolve(np.ones_like(close), np.ones(11), mode="same")
    return close / window[: len(close)] - 1.0 if len(close) >= 11 else np.full(len(close), np.nan)


@feature(inputs=("close",), warmup=20)
def whole_sample_score(close: Array) -> Array:
    """A z-score with the mean and deviation of all bars there are."""
    return (close - close.mean()) / (close.std() + 1e-12)


@feature(inputs=("close",), warmup=20)
def whole_sample_rank(close: Array) -> Array:
    """The rank among all bars there are."""
    return np.argsort(np.argsort(close)) / len(close)


@feature(inputs=("close",), warmup=24)
def back_filled(close: Array) -> Array:
    """Marks every large move at the bars before it: undefined values take the next one that is defined."""
    change = np.append(np.nan, np.diff(np.log(close)))
    sparse = np.where(np.abs(change) > 0.006, change, np.nan)
    index = np.where(np.isnan(sparse), len(sparse) - 1, np.arange(len(sparse)))
    filled = sparse[np.minimum.accumulate(index[::-1])[::-1]]
    return np.where(np.isnan(filled), 0.0, filled)


@feature(inputs=("open_time", "close"), warmup=8)
def slow_bar_on_open_time(open_time: Array, close: Array) -> Array:
    """The return of the four-hour bar that a bar belongs to, joined on open time."""
    slow = open_time.astype(np.int64) // (4 * 3600 * 10**9)
    first, last = np.searchsorted(slow, slow, side="left"), np.searchsorted(slow, slow, side="right") - 1
    return close[last] / close[first] - 1.0


@feature(inputs=("close",), warmup=5)
def warm_too_early(close: Array) -> Array:
    """Needs ten bars and declares five."""
    return np.concatenate([np.full(min(10, len(close)), np.nan), close[10:] / close[:-10] - 1.0])


@feature(inputs=("close",), warmup=30)
def remembers_the_first_bar(close: Array) -> Array:
    """The return since the first bar ever: more history than it declares."""
    return close / close[0] - 1.0


@feature(inputs=("close",), warmup=2)
def draws_numbers(close: Array) -> Array:
    """Another answer each time."""
    return close * np.random.default_rng().uniform()


@feature(inputs=("close",), warmup=2)
def draws_global_numbers(close: Array) -> Array:
    """Draws from the global random state, and throws the number away."""
    np.random.rand()  # noqa: NPY002
    return close * 1.0


@feature(inputs=("close",), warmup=2)
def infinite_when_flat(close: Array) -> Array:
    """Divides by a deviation that may be nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(np.diff(close, prepend=np.nan))
        return 1.0 / change


_SEEN: dict[int, float] = {}


@feature(inputs=("open_time", "close"), warmup=1)
def remembers_the_future(open_time: Array, close: Array) -> Array:
    """Keeps every bar ever seen, of any market, and looks the next one up."""
    _SEEN.update(zip(open_time.tolist(), close.tolist(), strict=True))
    return np.array([_SEEN.get(int(moment) + 3600 * 10**9, now) / now - 1.0 for moment, now in zip(open_time, close, strict=True)])


LOOK_AHEAD = ("prefix", "future-garbage", "batch-equals-stream")
CAUGHT_BY = {
    shifted: LOOK_AHEAD,
    centred: LOOK_AHEAD,
    whole_sample_score: LOOK_AHEAD,
    whole_sample_rank: LOOK_AHEAD,
    back_filled: LOOK_AHEAD,
    slow_bar_on_open_time: LOOK_AHEAD,
    warm_too_early: ("warmup-is-true",),
    remembers_the_first_bar: ("batch-equals-stream",),
    draws_numbers: ("prefix", "same-answer-twice", "touches-nothing-else"),
    draws_global_numbers: ("touches-nothing-else",),
    infinite_when_flat: ("survives-odd-markets",),
    remembers_the_future: ("prefix",),
}
"""Each cheat, and the checks that must catch it (others may too)."""
