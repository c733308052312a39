"""One step of all trading environments, compiled: what is due, what it is paid, where an episode ends and the next begins, what is seen.

Between `heed` and `judge` the accounts live through the bar in `simulate.kernels.live_one_bar`. Random starts are drawn by SplitMix64, one
stream a lane: Steele, Lea, Flood 2014, https://doi.org/10.1145/2714064.2660195. Costs 45 to 70 ns a lane and step with 14 features, the
more the larger the market. Fails where it is told of a bar or symbol that is not there: nothing is checked here, the environment has.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import inline_kernel, kernel
from tradewind.core.types import Array

__all__ = [
    "ACCOUNTS",
    "BAR",
    "CALM",
    "CASH",
    "CHANGE",
    "DRAWDOWN",
    "EQUITY",
    "HELD",
    "HOLD",
    "LAST",
    "MEAN",
    "NET",
    "OWN",
    "PEAK",
    "PLACES",
    "POSITION",
    "REWARD",
    "SHARE",
    "SINCE",
    "SQUARE",
    "SYMBOL",
    "TOLD",
    "TOLD_EQUITY",
    "TOLD_POSITION",
    "TRADED",
    "TURN",
    "WORTH",
    "begin_episodes",
    "fetch",
    "heed_levels",
    "heed_positions",
    "judge",
    "move_on",
    "observe",
]

Whole = NDArray[np.int64]

# Rows of `places` (4, lane): the symbol's column, the bar lived through last, the last bar of the episode, the stretches begun so far.
SYMBOL: Final = 0
BAR: Final = 1
LAST: Final = 2
TURN: Final = 3
PLACES: Final = 4
# Rows of `accounts` (11, lane). CASH and HELD (units) are moved by the accounting kernel; PEAK is the highest EQUITY of the episode, SINCE
# the bars that the position's sign has not changed for, MEAN and SQUARE the moments of the differential Sharpe ratio. The last four can
# be seen: the position and the cash as fractions of equity, the log of equity over capital, and the log of 1 + SINCE.
CASH: Final = 0
HELD: Final = 1
EQUITY: Final = 2
PEAK: Final = 3
SINCE: Final = 4
MEAN: Final = 5
SQUARE: Final = 6
POSITION: Final = 7
SHARE: Final = 8
WORTH: Final = 9
CALM: Final = 10
ACCOUNTS: Final = 11
# Rows of `told` (7, lane): what a step tells. The accounting kernel writes TOLD_EQUITY and TRADED.
REWARD: Final = 0
TOLD_EQUITY: Final = 1
TOLD_POSITION: Final = 2
NET: Final = 3
HOLD: Final = 4
TRADED: Final = 5
DRAWDOWN: Final = 6
TOLD: Final = 7
# Rewards by number, in the order of `rewards.Reward.kind`; a user's own is OWN, for which DRAWDOWN is told too.
DIFFERENTIAL: Final = 1
FALL: Final = 2
INVENTORY: Final = 3
OWN: Final = 4

# A column of `bars` beside those of simulate.kernels, whose BAR_CLOSE stands here again: numba's cache would not notice a change there.
CHANGE: Final = 5
_CLOSE: Final = 1
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_TO_UNIT: Final = 2.0**-53


@inline_kernel
def _below(streams: NDArray[np.uint64], lane: int, n: int) -> int:
    """A whole number from 0 to n - 1 of the lane's stream."""
    streams[lane] += _GOLDEN
    z = streams[lane]
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return int(float(z >> np.uint64(11)) * _TO_UNIT * float(n))


@inline_kernel
def _queued(target: float, queue: Array, slot: int, lane: int) -> float:
    """What is due at the next open: `target` itself, or what waited longest, whose place it takes."""
    due = target
    if queue.shape[0] > 0:
        due = float(queue[slot, lane])
        queue[slot, lane] = target
    return due


@kernel
def heed_levels(actions: Whole, levels: Array, queue: Array, slot: int, due: Array) -> int:
    """Write into `due` (lane,) what is due at the next open when `actions` are taken now; -1, or the first lane with an impossible one."""
    for i in range(actions.shape[0]):
        if actions[i] < 0 or actions[i] >= levels.shape[0]:
            return i
    for i in range(actions.shape[0]):
        due[i] = _queued(levels[actions[i]], queue, slot, i)
    return -1


@kernel
def heed_positions(actions: Array, low: float, high: float, slack: float, queue: Array, slot: int, due: Array) -> int:
    """The same for positions; what lies beyond `low` and `high` by no more than `slack` is cut to them."""
    for i in range(actions.shape[0]):
        if not (actions[i] >= low - slack and actions[i] <= high + slack):
            return i
    for i in range(actions.shape[0]):
        due[i] = _queued(min(max(actions[i], low), high), queue, slot, i)
    return -1


@kernel
def fetch(bars: Array, inputs: NDArray[np.float32], width: int, places: Whole) -> float:
    """Read a number of every line of memory that the step will need, and return their sum, which keeps the compiler from leaving it out.

    The processor waits for many of them at once here, and for one or two beside the arithmetic: in a large market a quarter of the time.
    """
    total = 0.0
    for i in range(places.shape[1]):
        s, t = places[SYMBOL, i], places[BAR, i]
        total += bars[s, t, 0] + inputs[s, t * width] + inputs[s, (t + 1) * width - 1]
    return total


@kernel
def judge(bars: Array, places: Whole, accounts: Array, told: Array, logs: Array, least: float, kind: int, setting: float) -> None:
    """Tell of the bar just lived through, in `told`, move what the accounts remember on, and pay the reward of number `kind`."""
    for i in range(places.shape[1]):
        s, t = places[SYMBOL, i], places[BAR, i]
        close, equity, before, held = bars[s, t, _CLOSE], told[TOLD_EQUITY, i], accounts[EQUITY, i], accounts[POSITION, i]
        position = accounts[HELD, i] * close / equity if equity > 0.0 else 0.0
        ratio = equity / before
        change = np.log(max(ratio, least))
        reward, peak = change, max(accounts[PEAK, i], equity)
        if kind == DIFFERENTIAL:
            reward = _differential(accounts, i, ratio - 1.0, setting)
        elif kind == INVENTORY:
            reward -= setting * position * position
        elif kind >= FALL:
            told[DRAWDOWN, i] = 1.0 - equity / peak
            if kind == FALL:
                reward -= setting * max(0.0, told[DRAWDOWN, i] - (1.0 - before / accounts[PEAK, i]))
        since = accounts[SINCE, i] + 1.0 if (position > 0.0) == (held > 0.0) and (position < 0.0) == (held < 0.0) else 0.0
        accounts[EQUITY, i], accounts[PEAK, i], accounts[SINCE, i], accounts[POSITION, i] = equity, peak, since, position
        accounts[SHARE, i] = 1.0 - position if equity > 0.0 else 0.0
        accounts[WORTH, i], accounts[CALM, i] = accounts[WORTH, i] + change, logs[int(since)]
        told[REWARD, i], told[TOLD_POSITION, i], told[NET, i], told[HOLD, i] = reward, position, ratio - 1.0, bars[s, t, CHANGE]


@inline_kernel
def _differential(accounts: Array, lane: int, net: float, rate: float) -> float:
    """The differential Sharpe ratio of one more return; moves its two moments on."""
    mean, square = accounts[MEAN, lane], accounts[SQUARE, lane]
    up, wider, variance = net - mean, net * net - square, square - mean * mean
    accounts[MEAN, lane], accounts[SQUARE, lane] = mean + rate * up, square + rate * wider
    # A variance that is nothing but rounding would make the ratio explode.
    return (square * up - 0.5 * mean * wider) / (variance * np.sqrt(variance)) if variance > 1e-12 * square else 0.0


@inline_kernel
def _look(
    inputs: NDArray[np.float32], seen: int, width: int, sees: Whole, places: Whole, accounts: Array, i: int, shown: NDArray[np.float32]
) -> None:
    """Write what lane i observes into its row of `shown`: `seen` numbers of features, `width` a bar, then the account's columns."""
    s, first = places[SYMBOL, i], (places[BAR, i] + 1) * width - seen
    for j in range(seen):
        shown[i, j] = inputs[s, first + j]
    for c in range(sees.shape[0]):
        shown[i, seen + c] = accounts[sees[c], i]


@inline_kernel
def _open(places: Whole, accounts: Array, queue: Array, capital: float, squares: Array, i: int) -> None:
    """Give lane i, wherever it stands, a new account."""
    for k in range(ACCOUNTS):
        accounts[k, i] = 0.0
    accounts[CASH, i] = accounts[EQUITY, i] = accounts[PEAK, i] = capital
    accounts[SHARE, i] = 1.0
    accounts[SQUARE, i] = squares[places[SYMBOL, i]]
    for k in range(queue.shape[0]):
        queue[k, i] = np.nan


@inline_kernel
def _draw(
    length: int, stretches: Whole, drawn: Whole, groups: Whole, cells: Whole, starts: Whole, streams: NDArray[np.uint64],
    places: Whole, i: int,
) -> None:  # fmt: skip
    """Put lane i at the start of its next episode: symbol, then regime, then bar; or the next stretch in turn where `length` is 0."""
    if length == 0:
        k = (i + places[TURN, i] * places.shape[1]) % stretches.shape[0]
        places[SYMBOL, i], places[BAR, i], places[LAST, i] = stretches[k, 0], stretches[k, 1], stretches[k, 2]
        places[TURN, i] += 1
    else:
        d = _below(streams, i, drawn.shape[0])
        cell = groups[d] + _below(streams, i, groups[d + 1] - groups[d])
        start = starts[cells[cell] + _below(streams, i, cells[cell + 1] - cells[cell])]
        places[SYMBOL, i], places[BAR, i], places[LAST, i] = drawn[d], start, start + length


@kernel
def move_on(
    observations: NDArray[np.float32], final: NDArray[np.float32], ended: NDArray[np.bool_], places: Whole, accounts: Array, queue: Array,
    capital: float, squares: Array, inputs: NDArray[np.float32], seen: int, width: int, sees: Whole, length: int, stretches: Whole,
    drawn: Whole, groups: Whole, cells: Whole, starts: Whole, streams: NDArray[np.uint64],
) -> int:  # fmt: skip
    """Write `observations` (lane, input) and `ended` (2, lane), terminated and truncated; ended lanes begin a new episode.

    What they saw last goes to their rows of `final`. Returns how many ended.
    """
    count = 0
    for i in range(places.shape[1]):
        ended[0, i] = not accounts[EQUITY, i] > 0.0
        ended[1, i] = places[BAR, i] >= places[LAST, i] and not ended[0, i]
        if ended[0, i] or ended[1, i]:
            count += 1
            _look(inputs, seen, width, sees, places, accounts, i, final)
            _draw(length, stretches, drawn, groups, cells, starts, streams, places, i)
            _open(places, accounts, queue, capital, squares, i)
        _look(inputs, seen, width, sees, places, accounts, i, observations)
    return count


@kernel
def begin_episodes(
    draw: bool, places: Whole, accounts: Array, queue: Array, capital: float, squares: Array, length: int, stretches: Whole,
    drawn: Whole, groups: Whole, cells: Whole, starts: Whole, streams: NDArray[np.uint64],
) -> None:  # fmt: skip
    """Begin a new episode in every lane, at a start that is drawn, or where `places` says."""
    for i in range(places.shape[1]):
        if draw:
            _draw(length, stretches, drawn, groups, cells, starts, streams, places, i)
        _open(places, accounts, queue, capital, squares, i)


@kernel
def observe(
    observations: NDArray[np.float32], places: Whole, accounts: Array, inputs: NDArray[np.float32], seen: int, width: int, sees: Whole
) -> None:
    """Write what every lane observes (lane, input)."""
    for i in range(places.shape[1]):
        _look(inputs, seen, width, sees, places, accounts, i, observations)
