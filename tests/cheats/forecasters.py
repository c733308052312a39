"""Forecasters that cheat, each in one way, and an honest one that looks alike."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

import tradewind as tw
from tradewind.core.types import Array


class Least(tw.Forecaster):
    """Least squares of a return on the columns; honest."""

    def __init__(self) -> None:
        self.slopes: Array = np.zeros(0)

    def inputs(self, X: tw.Features) -> Array:
        return X.values

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        if y.classes:
            raise tw.TradewindError("it learns returns alone")
        values = self.inputs(X)
        there = ~np.isnan(values).any(axis=2) & ~np.isnan(y.values)
        self.slopes = np.linalg.lstsq(values[there], y.values[there], rcond=None)[0]
        return self

    def predict(self, X: tw.Features) -> tw.Forecast:
        return tw.Forecast(mean=np.einsum("tsf,f->ts", self.inputs(X), self.slopes))

    def state(self) -> tw.State:
        return tw.State(arrays={"slopes": self.slopes})

    def restore(self, state: tw.State) -> Self:
        self.slopes = np.asarray(state.arrays["slopes"])
        return self


class ScalesWhatItPredicts(Least):
    """Standardises with the rows that it is asked about."""

    def inputs(self, X: tw.Features) -> Array:
        return (X.values - np.nanmean(X.values, axis=(0, 1))) / (np.nanstd(X.values, axis=(0, 1)) + 1e-12)


class LooksARowAhead(Least):
    """Shifts its inputs by one row."""

    def inputs(self, X: tw.Features) -> Array:
        return np.concatenate([X.values[1:], X.values[-1:]])


class FillsBackwards(Least):
    """Missing inputs take the next row's."""

    def inputs(self, X: tw.Features) -> Array:
        values = X.values.copy()
        for t in range(len(values) - 2, -1, -1):
            values[t] = np.where(np.isnan(values[t]), values[t + 1], values[t])
        return np.nan_to_num(values)


class LearnsBehindItsRows(Least):
    """Fits on the memory behind its inputs, later rows included."""

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        values = X.values if X.values.base is None else X.values.base
        answers = y.values if y.values.base is None else y.values.base
        there = ~np.isnan(values).any(axis=2) & ~np.isnan(answers)
        if y.classes:
            raise tw.TradewindError("it learns returns alone")
        self.slopes = np.linalg.lstsq(values[there], answers[there], rcond=None)[0]
        return self


class ForgetsAtRestart(Least):
    """Its state lacks what it learned."""

    def state(self) -> tw.State:
        return tw.State(arrays={"slopes": np.zeros_like(self.slopes)})


class FitsByChance(Least):
    """Learns something else at each fit."""

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        super().fit(X, y)
        self.slopes = self.slopes * np.random.default_rng().uniform(0.5, 1.0)
        return self


class DrawsGlobalNumbers(Least):
    """Draws from the global random state, and throws the number away."""

    def predict(self, X: tw.Features) -> tw.Forecast:
        np.random.rand()  # noqa: NPY002
        return super().predict(X)


class ChangesItsInput(Least):
    """Fills missing inputs in place."""

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        X.values[np.isnan(X.values)] = 0.0
        return super().fit(X, y)


class LearnsNothing(Least):
    """Forecasts nothing and does not say that it is a benchmark."""

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        super().fit(X, y)
        self.slopes = self.slopes * 0.0
        return self


class SharesItsClass(Least):
    """Keeps the rows of the last question on the class, and answers about them."""

    last: ClassVar[dict[str, Any]] = {}

    def predict(self, X: tw.Features) -> tw.Forecast:
        answer = super().predict(X)
        before = self.last.get("mean")
        self.last["mean"] = answer.mean
        if before is None or answer.mean is None or len(before) != len(answer.mean):
            return answer
        return tw.Forecast(mean=answer.mean + 1e-3 * np.nan_to_num(before))


class Follows(Least):
    """Adds the mean miss of the last ten rows whose answers are known; honest."""

    memory = 10

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        super().fit(X, y)
        self.until = int(X.known[-1])
        return self

    def known(self, X: tw.Features, y: tw.Labels, t: int) -> Array:
        return (y.known <= X.known[t]) & (X.known > self.until)[:, None] & (np.arange(len(X)) >= t - self.memory)[:, None]

    def follow(self, X: tw.Features, y: tw.Labels) -> tw.Forecast:
        mean = self.predict(X).mean
        assert mean is not None
        missed, followed = (y.values - mean) * self.weights(y), mean.copy()
        for t in range(len(X)):
            there = self.known(X, y, t) & ~np.isnan(missed)
            followed[t] += missed[there].mean() if there.any() else 0.0
        return tw.Forecast(mean=followed)

    def weights(self, y: tw.Labels) -> Array:
        return np.ones(y.values.shape)

    def state(self) -> tw.State:
        return tw.State({"until": self.until}, {"slopes": self.slopes})

    def restore(self, state: tw.State) -> Self:
        self.until = int(state.values["until"])
        return super().restore(state)


class FollowsTheFuture(Follows):
    """Learns an answer in the row that asks for it."""

    def known(self, X: tw.Features, y: tw.Labels, t: int) -> Array:
        return super().known(X, y, t) | ((np.arange(len(X)) == t) & (X.known > self.until))[:, None]


class FollowsItsOwnFit(Follows):
    """Takes the misses of the rows that it was fitted on for news."""

    def fit(self, X: tw.Features, y: tw.Labels) -> Self:
        super().fit(X, y)
        self.until = 0
        return self


class FollowsForever(Follows):
    """Looks back on more rows than it says."""

    def known(self, X: tw.Features, y: tw.Labels, t: int) -> Array:
        return (y.known <= X.known[t]) & (X.known > self.until)[:, None]


class FollowsWeights(Follows):
    """Weighs what it follows by numbers that later answers scale."""

    def weights(self, y: tw.Labels) -> Array:
        return y.weights


class ChangesAsItFollows(Follows):
    """Keeps what it was told."""

    def follow(self, X: tw.Features, y: tw.Labels) -> tw.Forecast:
        answer = super().follow(X, y)
        self.slopes = self.slopes * 1.0000001
        return answer


CAUGHT_BY: dict[type, tuple[str, ...]] = {
    ScalesWhatItPredicts: ("prefix",),
    LooksARowAhead: ("prefix",),
    FillsBackwards: ("contract", "prefix"),
    LearnsBehindItsRows: ("fit-uses-its-rows-alone",),
    ForgetsAtRestart: ("save-and-restore",),
    FitsByChance: ("same-seed-same-fit", "touches-nothing-else"),
    DrawsGlobalNumbers: ("touches-nothing-else",),
    ChangesItsInput: ("inputs-untouched",),
    LearnsNothing: ("learns-the-obvious",),
    SharesItsClass: ("same-seed-same-fit",),
    FollowsTheFuture: ("follows-what-is-known",),
    FollowsItsOwnFit: ("follows-what-is-known",),
    FollowsForever: ("follows-what-is-known",),
    FollowsWeights: ("follows-what-is-known",),
    ChangesAsItFollows: ("follows-what-is-known",),
}
"""Each cheat, and the checks that must catch it (others may too)."""
