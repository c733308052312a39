"""One step of all trading environments, compiled: what is due, what it is paid, where an episode ends and the next begins, what is seen.

Between `heed` and `judge` the accounts live through the bar in `simulate.kernels.live_one_bar`. Random starts are drawn by SplitMix64, one
stream a lane: Steele, Lea, Flood 2014, https://doi.org/10.1145/2714064.2660195. Costs some 30 ns a lane and step with 14 features. Fails on
nothing that the environment has checked: indices are not checked here.
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
    "CASH",
    "DRAWDOWN",
    "EQUITY",
    "HELD",
    "HOLD",
    "LAST",
    "MEAN",
    "NET",
    "PEAK",
    "PLACES",
    "POSITION",
    "REWARD",
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
# Rows of `accounts` (9, lane). CASH and HELD (units) are moved by the accounting kernel. WORTH is the log of equity over capital; SINCE counts
# bars since the position's sign changed; MEAN and SQUARE are the moments of the differential Sharpe ratio.
CASH: Final = 0
HELD: Final = 1
EQUITY: Final = 2
WORTH: Final = 3
PEAK: Final = 4
POSITION: Final = 5
SINCE: Final = 6
MEAN: Final = 7
SQUARE: Final = 8
ACCOUNTS: Final = 9
# Rows of `told` (7, lane): what a step tells. The accounting kernel writes TOLD_EQUITY and TRADED.
REWARD: Final = 0
TOLD_EQUITY: Final = 1
TOLD_POSITION: Final = 2
NET: Final = 3
HOLD: Final = 4
TRADED: Final = 5
DRAWDOWN: Final = 6
TOLD: Final = 7
# Rewards by number, in the order of `rewards.Reward.kind`; a user's own is OWN.
DIFFERENTIAL: Final = 1
FALL: Final = 2
INVENTORY: Final = 3
# Columns of the account in an observation, by number.
SEES_POSITION: Final = 0
SEES_CASH: Final = 1
SEES_EQUITY: Final = 2

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
    return int(float(z >> np.uint64(11)) * _TO_UNIT * n)


@inline_kernel
def _queued(target: float, queue: Array, slot: int, lane: int) -> float:
    """What is due at the next open: `target` itself, or what waited longest, whose place it takes."""
    if queue.shape[0] == 0:
        return target
    due = queue[slot, lane]
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
def judge(bars: Array, places: Whole, accounts: Array, told: Array, capital: float, least: float, kind: int, setting: float) -> None:
    """Tell of the bar just lived through, in `told`, move what the accounts remember on, and pay the reward of number `kind`."""
    for i in range(places.shape[1]):
        s, t = places[SYMBOL, i], places[BAR, i]
        close, equity, before = bars[s, t, _CLOSE], told[TOLD_EQUITY, i], accounts[EQUITY, i]
        position = accounts[HELD, i] * close / equity if equity > 0.0 else 0.0
        net = equity / before - 1.0
        worth = np.log(equity / capital) if equity > least * before else accounts[WORTH, i] + np.log(least)
        peak = max(accounts[PEAK, i], equity)
        fall = 1.0 - equity / peak
        reward = worth - accounts[WORTH, i]
        if kind == DIFFERENTIAL:
            reward = _differential(accounts, i, net, setting)
        elif kind == FALL:
            reward -= setting * max(0.0, fall - (1.0 - before / accounts[PEAK, i]))
        elif kind == INVENTORY:
            reward -= setting * position * position
        same = np.sign(position) == np.sign(accounts[POSITION, i])
        accounts[SINCE, i] = accounts[SINCE, i] + 1.0 if same else 0.0
        accounts[EQUITY, i], accounts[WORTH, i], accounts[PEAK, i], accounts[POSITION, i] = equity, worth, peak, position
        told[REWARD, i], told[TOLD_POSITION, i], told[NET, i], told[DRAWDOWN, i] = reward, position, net, fall
        told[HOLD, i] = close / bars[s, t - 1, _CLOSE] - 1.0


@inline_kernel
def _differential(accounts: Array, lane: int, net: float, rate: float) -> float:
    """The differential Sharpe ratio of one more return; moves its two moments on."""
    mean, square = accounts[MEAN, lane], accounts[SQUARE, lane]
    up, wider, variance = net - mean, net * net - square, square - mean * mean
    accounts[MEAN, lane], accounts[SQUARE, lane] = mean + rate * up, square + rate * wider
    # A variance that is nothing but rounding would make the ratio explode.
    return (square * up - 0.5 * mean * wider) / variance**1.5 if variance > 1e-12 * square else 0.0


@inline_kernel
def _look(
    inputs: NDArray[np.float32], window: int, sees: Whole, logs: NDArray[np.float32], places: Whole, accounts: Array, i: int,
    row: NDArray[np.float32],
) -> None:  # fmt: skip
    """Write what lane i observes: rows of features, oldest first, then the account's columns."""
    s, t, k = places[SYMBOL, i], places[BAR, i], 0
    for u in range(t - window + 1, t + 1):
        for f in range(inputs.shape[2]):
            row[k] = inputs[s, u, f]
            k += 1
    for c in range(sees.shape[0]):
        if sees[c] == SEES_POSITION:
            row[k] = accounts[POSITION, i]
        elif sees[c] == SEES_CASH:
            row[k] = accounts[CASH, i] / accounts[EQUITY, i] if accounts[EQUITY, i] > 0.0 else 0.0
        elif sees[c] == SEES_EQUITY:
            row[k] = accounts[WORTH, i]
        else:
            row[k] = logs[int(accounts[SINCE, i])]
        k += 1


@inline_kernel
def _open(places: Whole, accounts: Array, queue: Array, capital: float, squares: Array, i: int) -> None:
    """Give lane i, wherever it stands, a new account."""
    accounts[CASH, i] = accounts[EQUITY, i] = accounts[PEAK, i] = capital
    accounts[HELD, i] = accounts[WORTH, i] = accounts[POSITION, i] = accounts[SINCE, i] = accounts[MEAN, i] = 0.0
    accounts[SQUARE, i] = squares[places[SYMBOL, i]]
    for k in range(queue.shape[0]):
        queue[k, i] = np.nan


@inline_kernel
def _draw(
    length: int,
    stretches: Whole,
    drawn: Whole,
    groups: Whole,
    cells: Whole,
    starts: Whole,
    streams: NDArray[np.uint64],
    places: Whole,
    i: int,
) -> None:
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
    inputs: NDArray[np.float32], window: int, sees: Whole, logs: NDArray[np.float32], length: int, stretches: Whole, drawn: Whole,
    groups: Whole, cells: Whole, starts: Whole, streams: NDArray[np.uint64], places: Whole, accounts: Array, queue: Array, capital: float,
    squares: Array, observations: NDArray[np.float32], final: NDArray[np.float32], ended: NDArray[np.bool_],
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
            _look(inputs, window, sees, logs, places, accounts, i, final[i])
            _draw(length, stretches, drawn, groups, cells, starts, streams, places, i)
            _open(places, accounts, queue, capital, squares, i)
        _look(inputs, window, sees, logs, places, accounts, i, observations[i])
    return count


@kernel
def begin_episodes(
    draw: bool, length: int, stretches: Whole, drawn: Whole, groups: Whole, cells: Whole, starts: Whole, streams: NDArray[np.uint64],
    places: Whole, accounts: Array, queue: Array, capital: float, squares: Array,
) -> None:  # fmt: skip
    """Begin a new episode in every lane, at a start that is drawn, or where `places` says."""
    for i in range(places.shape[1]):
        if draw:
            _draw(length, stretches, drawn, groups, cells, starts, streams, places, i)
        _open(places, accounts, queue, capital, squares, i)


@kernel
def observe(
    inputs: NDArray[np.float32], window: int, sees: Whole, logs: NDArray[np.float32], places: Whole, accounts: Array,
    observations: NDArray[np.float32],
) -> None:  # fmt: skip
    """Write what every lane observes (lane, input)."""
    for i in range(places.shape[1]):
        _look(inputs, window, sees, logs, places, accounts, i, observations[i])
