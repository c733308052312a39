"""Sample weights by uniqueness, and the sequential bootstrap: labels that look at the same bars say the same thing twice.

Paper: Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 4, https://www.wiley.com/en-us/9781119482086.
Cost: uniqueness O(time); a draw of the sequential bootstrap O(labels + bars). Fails to help when labels hardly overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradewind.core.compiled import kernel
from tradewind.core.errors import DataError
from tradewind.core.seeds import generator
from tradewind.core.types import Array, Labels

__all__ = ["draw_probabilities", "sequential_bootstrap", "span_uniqueness", "uniqueness"]

Spans = NDArray[np.int64]


@kernel
def _concurrency(starts: Spans, stops: Spans, bars: int) -> Array:
    """(bar,) how many spans [start, stop) cover each bar."""
    change = np.zeros(bars + 1)
    for i in range(len(starts)):
        change[starts[i]] += 1.0
        change[stops[i]] -= 1.0
    return np.cumsum(change)[:bars]


@kernel
def _mean_over_spans(inverse: Array, starts: Spans, stops: Spans) -> Array:
    """(span,) mean of `inverse` (bar,) over each [start, stop)."""
    running = np.zeros(len(inverse) + 1)
    running[1:] = np.cumsum(inverse)
    out = np.empty(len(starts))
    for i in range(len(starts)):
        out[i] = (running[stops[i]] - running[starts[i]]) / (stops[i] - starts[i])
    return out


@kernel
def _sequential(starts: Spans, stops: Spans, bars: int, uniform: Array) -> Spans:
    """(draw,) indices drawn one after another, each in proportion to its average uniqueness beside those drawn before."""
    covered = np.zeros(bars)
    drawn = np.empty(len(uniform), dtype=np.int64)
    for draw in range(len(uniform)):
        running = np.cumsum(_mean_over_spans(1.0 / (covered + 1.0), starts, stops))
        pick = min(np.searchsorted(running, uniform[draw] * running[-1], side="right"), len(starts) - 1)
        drawn[draw] = pick
        covered[starts[pick] : stops[pick]] += 1.0
    return drawn


def _spans(starts: ArrayLike, stops: ArrayLike) -> tuple[Spans, Spans, int]:
    first, last = np.asarray(starts, dtype=np.int64), np.asarray(stops, dtype=np.int64)
    if first.ndim != 1 or first.shape != last.shape or len(first) == 0:
        raise DataError(f"starts have shape {first.shape}, stops {last.shape}; expected two vectors (label,) of one length, not empty")
    empty = np.flatnonzero((last <= first) | (first < 0))
    if len(empty):
        raise DataError(f"label {empty[0]} spans [{first[empty[0]]}, {last[empty[0]]}); a span starts at 0 or later and holds a bar")
    return first, last, int(last.max())


def span_uniqueness(starts: ArrayLike, stops: ArrayLike) -> Array:
    """(label,) average uniqueness in (0, 1] of labels that look at the bars [start, stop): the mean of 1 / concurrency over the span."""
    first, last, bars = _spans(starts, stops)
    return _mean_over_spans(1.0 / np.maximum(_concurrency(first, last, bars), 1.0), first, last)


def draw_probabilities(starts: ArrayLike, stops: ArrayLike, drawn: ArrayLike) -> Array:
    """(label,) probabilities of the next draw of the sequential bootstrap, once the labels numbered `drawn` have been drawn."""
    first, last, bars = _spans(starts, stops)
    taken = np.asarray(drawn, dtype=np.int64)
    covered = _concurrency(first[taken], last[taken], bars)
    unique = _mean_over_spans(1.0 / (covered + 1.0), first, last)
    return np.asarray(unique / unique.sum())


def sequential_bootstrap(starts: ArrayLike, stops: ArrayLike, draws: int | None = None, seed: int = 0) -> NDArray[np.int64]:
    """(draw,) label numbers drawn with replacement, each in proportion to how unique it is beside those already drawn.

    `starts`, `stops` (label,): the bars [start, stop) that each label looks at. `draws` defaults to the number of labels.
    """
    first, last, bars = _spans(starts, stops)
    uniform = generator(seed, "sequential-bootstrap").random(len(first) if draws is None else draws)
    return _sequential(first, last, bars, uniform)


def uniqueness(labels: Labels) -> Array:
    """(time, symbol) average uniqueness in (0, 1] of each label among those of its symbol; 0 where there is none.

    A label of row t looks at the bars t + 1 to `end`. Put it in with `dataclasses.replace(labels, weights=uniqueness(labels))`.
    """
    weights: Array = np.zeros(labels.values.shape)
    for symbol in range(labels.values.shape[1]):
        rows = np.flatnonzero(~np.isnan(labels.values[:, symbol]) & (labels.end[:, symbol] >= 0))
        if len(rows):
            weights[rows, symbol] = span_uniqueness(rows + 1, labels.end[rows, symbol] + 1)
    return weights
