"""Strategies that cheat, each in one way, and a few honest ones that look alike. None is ever to be traded."""

from __future__ import annotations

import datetime
import os
import random
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

import tradewind as tw
from tradewind.core.types import Array

HOME = Path(__file__)


def last_known(close: Array) -> Array:
    """Missing bars take the last close before them: causal."""
    rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
    return np.take_along_axis(close, np.maximum.accumulate(rows, axis=0), axis=0)


def next_known(close: Array) -> Array:
    """Missing bars take the next close after them: not causal."""
    return last_known(close[::-1])[::-1]


def lagged(close: Array, bars: int) -> Array:
    """The close `bars` bars before, NaN at the beginning."""
    return np.vstack([np.full((bars, close.shape[1]), np.nan), close])[: len(close)]


class Vectorised(tw.Strategy):
    """Answers for a whole history by `answers(close)`, and for one bar by the last row of it."""

    warmup = 30

    def answers(self, market: tw.Market) -> Array:
        raise NotImplementedError

    def decide_all(self, market: tw.Market, book: Any = None, start: int = 0) -> Array:
        answers = self.answers(market).astype(float)
        answers[: max(start, self.warmup - 1)] = np.nan
        return answers

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(self.answers(view.market)[-1])


class Honest(Vectorised):
    """The sign of the return over 20 bars, on last known closes."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        return np.sign(close / lagged(close, 20) - 1.0)


class Shifted(Vectorised):
    """shift(-1): the sign of the next bar's return."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        return np.sign(np.vstack([close[1:], close[-1:]]) / close - 1.0)


class CentredWindow(Vectorised):
    """Long where the close is under a mean of the bars around it, five of them later ones."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        mean = np.array([np.nanmean(close[max(0, t - 5) : t + 6], axis=0) for t in range(len(close))])
        return np.sign(mean - close)


class WholeSampleScore(Vectorised):
    """A z-score with the mean and deviation of all bars there are."""

    def answers(self, market: tw.Market) -> Array:
        close = market.close
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.clip(-(close - np.nanmean(close, axis=0)) / np.nanstd(close, axis=0), -1, 1)


class WholeSampleRank(Vectorised):
    """The rank of each close among all closes there are."""

    def answers(self, market: tw.Market) -> Array:
        return np.argsort(np.argsort(market.close, axis=0), axis=0) / len(market) - 0.5


class BackFilled(Vectorised):
    """Fills missing bars with the next close, then follows the last return."""

    def answers(self, market: tw.Market) -> Array:
        close = next_known(market.close)
        return np.sign(close / lagged(close, 1) - 1.0)


class SlowBarOnOpenTime(Vectorised):
    """Joins four-hour bars on their open time: three bars in four see the close of a slow bar that has not ended."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        slow = market.open_time // (4 * market.step)
        last = np.searchsorted(slow, slow, side="right") - 1
        return np.sign(close[last] / lagged(close, 8) - 1.0)


class PeeksAcross(Vectorised):
    """Trades each symbol on what the first one does in the next bar."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        leader = np.append(close[1:, 0], close[-1, 0]) / close[:, 0] - 1.0
        answers = np.repeat(np.sign(leader)[:, None], close.shape[1], axis=1)
        answers[:, 0] = 0.0
        return answers


class ReachesBehindTheView(tw.Strategy):
    """A slice shares its memory: reads the next close out of the array behind it."""

    warmup = 5

    def decide(self, view: tw.View) -> tw.Target:
        close = view.market.close
        behind = close.base
        t = len(close)
        if behind is not None and behind.ndim == 2 and len(behind) > t:
            return tw.Target(np.sign(behind[t] - close[-1]))
        return tw.Target(np.zeros(close.shape[1]))


class FitReachesBehind(tw.Strategy):
    """Keeps the memory behind its training part, and reads later bars there when it decides."""

    warmup = 5

    def fit(self, market: tw.Market) -> Self:
        self._all = market.close.base
        return self

    def decide(self, view: tw.View) -> tw.Target:
        t, close = len(view.market), view.market.close
        everything = getattr(self, "_all", None)
        if everything is not None and len(everything) > t:
            return tw.Target(np.sign(everything[t] - close[-1]))
        return tw.Target(np.zeros(close.shape[1]))


class FitLearnsUnknownLabels(tw.Strategy):
    """Learns the mean next return of its training part, the last one from a bar that comes after it."""

    warmup = 5

    def __init__(self) -> None:
        self.lean = np.zeros(1)

    def fit(self, market: tw.Market) -> Self:
        behind = market.close.base
        source = behind if behind is not None else market.close
        close = last_known(source[: len(market) + 24])
        self.lean = np.sign(np.nanmean(close[24:] / close[:-24] - 1.0, axis=0))
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.resize(self.lean, len(view.market.symbols)) * 0.5)


class RemembersInItsClass(Vectorised):
    """Keeps the longest history ever seen on the class, and looks the next bar up in it."""

    seen: ClassVar[dict[int, Array]] = {}

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        for t, moment in enumerate(market.open_time.tolist()):
            self.seen[moment] = close[t]
        following = [self.seen.get(int(moment) + market.step, close[t]) for t, moment in enumerate(market.open_time)]
        return np.sign(np.array(following) - close)


class ReadsTheClock(tw.Strategy):
    """Trades by the hour at which the program runs."""

    def decide(self, view: tw.View) -> tw.Target:
        side = 1.0 if time.time() > 0 else -1.0
        return tw.Target(np.full(len(view.market.symbols), side))


class ReadsTheDate(tw.Strategy):
    """Trades by today's date."""

    def decide(self, view: tw.View) -> tw.Target:
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        return tw.Target(np.full(len(view.market.symbols), 1.0 if now.year > 1970 else -1.0))


class DrawsGlobalNumbers(tw.Strategy):
    """Draws from numpy's global random state, and throws the number away."""

    def decide(self, view: tw.View) -> tw.Target:
        np.random.rand()  # noqa: NPY002
        return tw.Target(np.ones(len(view.market.symbols)))


class SeedsGlobalNumbers(tw.Strategy):
    """Sets the global random state, so that its answers repeat, and everybody else's too."""

    def fit(self, market: tw.Market) -> Self:
        random.seed(len(market))
        self.side = float(np.sign(random.random() - 0.5))
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.full(len(view.market.symbols), self.side))


class DrawsItsOwnNumbers(tw.Strategy):
    """A generator without a seed: another answer each time."""

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.random.default_rng().standard_normal(len(view.market.symbols)))


class FitsByChance(tw.Strategy):
    """Learns something else at each fit."""

    def fit(self, market: tw.Market) -> Self:
        self.side = float(np.random.default_rng().uniform())
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.full(len(view.market.symbols), self.side))


class ReadsAFile(tw.Strategy):
    """Reads a file when it decides."""

    def decide(self, view: tw.View) -> tw.Target:
        place = Path(tempfile.gettempdir()) / "tradewind-cheat-that-is-not-there.txt"
        side = 1.0 if not place.exists() else len(place.read_bytes())
        try:
            place.read_text()
        except OSError:
            side = 1.0
        return tw.Target(np.full(len(view.market.symbols), side))


class WritesAFile(tw.Strategy):
    """Leaves its training part on disk for later."""

    def fit(self, market: tw.Market) -> Self:
        with tempfile.TemporaryFile() as handle:
            np.save(handle, market.close)
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.ones(len(view.market.symbols)))


class AsksTheNetwork(tw.Strategy):
    """Opens a socket when it decides."""

    def decide(self, view: tw.View) -> tw.Target:
        with socket.socket():
            return tw.Target(np.ones(len(view.market.symbols)))


class StartsAProcess(tw.Strategy):
    """Lets another program decide."""

    def fit(self, market: tw.Market) -> Self:
        subprocess.run(["true"], check=False)
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.ones(len(view.market.symbols)))


class ReadsTheEnvironment(tw.Strategy):
    """Its side is set from outside."""

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.full(len(view.market.symbols), float(os.environ.get("TRADEWIND_CHEAT_SIDE", "1"))))


class CountsItsCalls(tw.Strategy):
    """Trades every other time it is asked."""

    def __init__(self) -> None:
        self._calls = 0

    def decide(self, view: tw.View) -> tw.Target:
        self._calls += 1
        return tw.Target(np.full(len(view.market.symbols), float(self._calls % 2)))


class ForgetsAtRestart(tw.Strategy):
    """Keeps what fit learned in a private attribute, which a state does not hold."""

    warmup = 5
    _lean: Any = None

    def fit(self, market: tw.Market) -> Self:
        self._lean = float(np.sign(np.nanmean(np.diff(market.close, axis=0)))) or 1.0
        return self

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.full(len(view.market.symbols), 0.0 if self._lean is None else self._lean))


class ChangesItsInput(tw.Strategy):
    """Makes the bars writable and tampers with the last one."""

    warmup = 5

    def decide(self, view: tw.View) -> tw.Target:
        close = view.market.close
        behind = close.base if close.base is not None else close
        behind.flags.writeable = True
        behind[-1] *= 1.01
        return tw.Target(np.sign(close[-1] - close[-5]))


class BatchOfItsOwn(Vectorised):
    """decide_all and decide follow different rules."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        return np.sign(close / lagged(close, 20) - 1.0)

    def decide(self, view: tw.View) -> tw.Target:
        close = last_known(view.market.close)
        return tw.Target(np.sign(close[-1] / close[-11] - 1.0))


class WarmTooEarly(Vectorised):
    """Needs 31 bars and declares 30: its first answer is NaN."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        return np.sign(close / lagged(close, 30) - 1.0)


class FallsOverFlatMarkets(Vectorised):
    """Refuses a market that does not move."""

    def answers(self, market: tw.Market) -> Array:
        close = last_known(market.close)
        if len(close) > 40 and np.nanstd(close) == 0:
            raise ZeroDivisionError("no deviation")
        return np.sign(close / lagged(close, 20) - 1.0)


class FindsNothing(tw.Strategy):
    """Always long half of what it may: no edge, and not declared a benchmark."""

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.zeros(len(view.market.symbols)))


class NoRestore:
    """Decides, and cannot be saved."""

    warmup = 2

    def fit(self, market: tw.Market) -> Self:
        return self

    def learn(self, outcome: tw.Outcome) -> None:
        """Nothing."""

    def decide(self, view: tw.View) -> tw.Target:
        return tw.Target(np.zeros(len(view.market.symbols)))


CAUGHT_BY: dict[type, tuple[str, ...]] = {
    Shifted: ("prefix", "future-garbage", "batch-equals-stream", "honest-on-noise"),
    CentredWindow: ("prefix", "future-garbage", "batch-equals-stream"),
    WholeSampleScore: ("prefix", "future-garbage", "batch-equals-stream"),
    WholeSampleRank: ("prefix", "future-garbage", "batch-equals-stream"),
    BackFilled: ("prefix", "future-garbage", "batch-equals-stream"),
    SlowBarOnOpenTime: ("prefix", "future-garbage", "batch-equals-stream"),
    PeeksAcross: ("prefix", "future-garbage", "batch-equals-stream"),
    ReachesBehindTheView: ("prefix", "batch-equals-stream"),
    FitReachesBehind: ("fit-sees-no-future",),
    FitLearnsUnknownLabels: ("fit-sees-no-future",),
    RemembersInItsClass: ("prefix", "batch-equals-stream"),
    ReadsTheClock: ("touches-nothing-else",),
    ReadsTheDate: ("touches-nothing-else",),
    DrawsGlobalNumbers: ("touches-nothing-else",),
    SeedsGlobalNumbers: ("touches-nothing-else",),
    DrawsItsOwnNumbers: ("touches-nothing-else", "same-answer-twice", "prefix"),
    FitsByChance: ("touches-nothing-else", "same-seed-same-fit"),
    ReadsAFile: ("touches-nothing-else",),
    WritesAFile: ("touches-nothing-else",),
    AsksTheNetwork: ("touches-nothing-else",),
    StartsAProcess: ("touches-nothing-else",),
    ReadsTheEnvironment: ("touches-nothing-else",),
    CountsItsCalls: ("same-answer-twice",),
    ForgetsAtRestart: ("save-and-restore",),
    ChangesItsInput: ("batch-equals-stream",),
    BatchOfItsOwn: ("batch-equals-stream",),
    WarmTooEarly: ("warmup-is-true",),
    FallsOverFlatMarkets: ("survives-odd-markets",),
    FindsNothing: ("finds-a-planted-edge",),
    NoRestore: ("contract",),
}
"""Each cheat, and the checks that must catch it (others may too)."""
