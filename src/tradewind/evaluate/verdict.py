"""Edge, no edge, or cannot tell: the published rule. docs/verdict.md explains and measures it.

Papers: Bailey & Lopez de Prado (2014), The Deflated Sharpe Ratio, https://doi.org/10.3905/jpm.2014.40.5.094; Ledoit & Wolf (2008)
https://doi.org/10.1016/j.jempfin.2008.03.002; Hansen (2005) https://doi.org/10.1198/073500105000000063.
Cost: a thousand bootstrap draws, a fraction of a second for years of hourly bars.
Fails when trials were made that the ledger never saw, when costs are set lower than they are, and when the future differs from the past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from tradewind.core.errors import DataError
from tradewind.core.settings import require
from tradewind.core.types import Array
from tradewind.stats.bootstrap import block_length, bootstrap_sharpes
from tradewind.stats.metrics import kurtosis, sharpe, skewness
from tradewind.stats.pbo import pbo
from tradewind.stats.skill import deflated_sharpe, expected_max_sharpe, min_track_record, robust_sharpe_error, sharpe_error
from tradewind.stats.spa import spa

__all__ = ["Label", "Verdict", "judge"]

Label = Literal["edge", "no edge", "cannot tell"]

CONFIDENCE: Final = 0.95
"""Of every one-sided test; the interval printed is the two-sided one with this mass beneath its upper end: 90 %."""
WORTH_HAVING: Final = 1.0
"""Annual net Sharpe ratio: where even the upper end of the interval stays below it, the record has shown that there is little to find."""
FEWEST_TRIALS: Final = 5
"""The rules offered here were picked from a literature that tried many, so nobody has tried only one thing."""
FEWEST_BARS: Final = 60
PBO_LIMIT: Final = 0.8
"""Equally good strategies have .5 with a deviation of .16: two deviations up, choosing among them has done harm."""
PBO_ROWS: Final = 8
PBO_BLOCKS: Final = 16
DRAWS: Final = 2000


@final
@dataclass(frozen=True)
class Verdict:
    """`label`: edge, no edge or cannot tell; `reasons`: one sentence each; `numbers`: what they rest on, by name, NaN where undefined."""

    label: Label
    reasons: tuple[str, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class _Test:
    """One condition of an edge: whether it holds, and the sentence that says so."""

    passed: bool
    sentence: str


def judge(
    returns: ArrayLike,
    hold: ArrayLike,
    periods_per_year: float,
    trials: int = 1,
    variance_of_trials: float = 0.0,
    alternatives: ArrayLike | None = None,
    seed: int = 0,
) -> Verdict:
    """The verdict on one strategy's out-of-sample record, net of costs.

    `returns`, `hold` (time,): simple returns per bar of the strategy and of buy-and-hold over the same bars, without NaN.
    `trials`: how many configurations were tried on these data, this one included; `variance_of_trials`: of their Sharpe ratios per period,
    reported beside the rule. `alternatives` (time, row): the returns of the other rows that were tried over the same bars.

    *edge*, when all hold: the deflated Sharpe ratio is .95 or more; the 90 % bootstrap interval of the Sharpe ratio lies above zero; the
    Sharpe ratio beats hold's in a paired one-sided bootstrap at 5 %, and among all rows by SPA at 5 %; PBO over nine rows or more is .8 at
    most. Otherwise *no edge*, when the strategy never traded or is hold itself, when the interval ends below a Sharpe ratio of 1 a year, or
    when hold is better with 95 % confidence. Otherwise *cannot tell*. Raises DataError for shapes that differ and missing values.
    """
    own, other, rows = _checked(returns, hold, alternatives)
    require(periods_per_year > 0, f"periods_per_year is {periods_per_year:g}; take it from market.periods_per_year")
    require(trials >= 0, f"trials is {trials}; a count cannot be negative")
    if not own.any():
        return Verdict("no edge", ("It never traded, so it earned nothing.",), {"sharpe": 0.0, "trials": float(trials)})
    if np.array_equal(own, other):
        reasons = ("This is buy-and-hold itself: it cannot have an edge over itself.",)
        return Verdict("no edge", reasons, {"sharpe": sharpe(own, periods_per_year), "trials": float(trials)})
    if len(own) < FEWEST_BARS or math.isnan(sharpe(own)):
        return Verdict("cannot tell", (f"{len(own)} bars are too few to judge; {FEWEST_BARS} that differ are the least.",), {})
    numbers = _measure(own, other, periods_per_year, max(trials, 1), variance_of_trials, seed)
    numbers |= _compare(own, other, rows, seed)
    return _decide(numbers)


def _checked(returns: ArrayLike, hold: ArrayLike, alternatives: ArrayLike | None) -> tuple[Array, Array, Array]:
    own, other = np.asarray(returns, dtype=np.float64), np.asarray(hold, dtype=np.float64)
    rows = np.empty((len(own), 0)) if alternatives is None else np.asarray(alternatives, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if own.ndim != 1 or other.shape != own.shape or rows.ndim != 2 or len(rows) != len(own):
        raise DataError(
            f"returns have shape {own.shape}, hold {other.shape}, alternatives {rows.shape}; expected (time,), (time,), (time, row)"
        )
    for name, array in (("returns", own), ("hold", other), ("alternatives", rows)):
        if not np.isfinite(array).all():
            raise DataError(f"{name} hold NaN or infinite values, first at bar {int(np.argwhere(~np.isfinite(array))[0][0])}")
    return own, other, rows


def _measure(own: Array, other: Array, periods: float, trials: int, variance: float, seed: int) -> dict[str, float]:
    """What the record says on its own and beside hold."""
    year, n = math.sqrt(periods), len(own)
    ratio, skew, kurt = sharpe(own), skewness(own), kurtosis(own)
    # Autocorrelation makes n bars worth fewer; a robust error below the independent one is not trusted to make them worth more.
    plain, robust = sharpe_error(ratio, n, skew, kurt), robust_sharpe_error(own)
    worth = 1.0 + (n - 1) * (min(1.0, (plain / robust) ** 2) if robust > 0 else 1.0)
    counted = max(trials, FEWEST_TRIALS)
    luck = expected_max_sharpe(counted, 1.0)
    pair = np.column_stack([own, other])
    draws = bootstrap_sharpes(pair, DRAWS, block_length(pair), seed) * year
    tails = [1.0 - CONFIDENCE, CONFIDENCE]
    low, high = np.quantile(draws[:, 0], tails)
    gap = draws[:, 0] - draws[:, 1]
    hold_ratio = sharpe(other)
    # The normal quantile that the deflated Sharpe ratio must clear, luck included, read as a confidence against zero.
    needed = min_track_record(ratio, 0.0, skew, kurt, float(ndtr(luck + ndtri(CONFIDENCE)))) if ratio > 0 else math.inf
    return {
        "sharpe": ratio * year,
        "sharpe_low": float(low),
        "sharpe_high": float(high),
        "hold_sharpe": hold_ratio * year if math.isfinite(hold_ratio) else 0.0,
        "difference_low": float(np.quantile(gap, tails[0])),
        "difference_high": float(np.quantile(gap, tails[1])),
        "trials": float(trials),
        "trials_counted": float(counted),
        "effective_bars": worth,
        "luck_sharpe": luck / math.sqrt(worth - 1.0) * year if worth > 1 else math.inf,
        "deflated_sharpe": deflated_sharpe(ratio, worth, counted, 1.0 / max(worth - 1.0, 1.0), skew, kurt),
        "deflated_sharpe_observed": deflated_sharpe(ratio, n, trials, variance, skew, kurt),
        "years": n / periods,
        "min_track_record": needed * (n - 1) / max(worth - 1.0, 1.0) / periods,
    }


def _compare(own: Array, other: Array, rows: Array, seed: int) -> dict[str, float]:
    """What the record says among everything else that was tried."""
    everything = np.column_stack([own, rows])
    deviation = everything.std(axis=0)
    moving = deviation > 0
    scaled = everything[:, moving] / deviation[moving]
    # At equal volatility a higher mean is a higher Sharpe ratio, and a row that risks little is not beaten for its size alone.
    base = other / other.std() if other.std() > 0 else np.zeros_like(other)
    numbers = {"spa": spa(scaled, base, draws=DRAWS, seed=seed), "pbo": math.nan}
    if rows.shape[1] >= PBO_ROWS and len(own) >= 2 * PBO_BLOCKS:
        numbers["pbo"] = pbo(everything, PBO_BLOCKS)
    return numbers


def _tests(x: Mapping[str, float]) -> list[_Test]:
    """The conditions of an edge, in the order in which they are read."""
    deflated, beats = x["deflated_sharpe"] >= CONFIDENCE, x["difference_low"] > 0
    tests = [
        _Test(
            deflated,
            f"Deflated Sharpe {x['deflated_sharpe']:.3f}: {'surely' if deflated else 'not surely'} above the {x['luck_sharpe']:.2f} a year "
            f"that luck gives the best of {x['trials_counted']:.0f} trials.",
        ),
        _Test(
            x["sharpe_low"] > 0,
            f"Net Sharpe {x['sharpe']:.2f} a year over {x['years']:.1f} years, "
            f"90 % interval {x['sharpe_low']:.2f} to {x['sharpe_high']:.2f}.",
        ),
        _Test(
            beats,
            f"{'Better' if beats else 'Not surely better'} than hold ({x['hold_sharpe']:.2f}): the difference lies between "
            f"{x['difference_low']:.2f} and {x['difference_high']:.2f}.",
        ),
        _Test(
            x["spa"] <= 1.0 - CONFIDENCE,
            f"Chance that the best of all rows only looks better than hold: p = {x['spa']:.3f} (SPA, equal volatility).",
        ),
    ]
    if not math.isnan(x["pbo"]):
        tests.append(_Test(x["pbo"] <= PBO_LIMIT, f"Probability of backtest overfitting among the rows: {x['pbo']:.2f}."))
    return tests


def _decide(x: Mapping[str, float]) -> Verdict:
    tests = _tests(x)
    if all(test.passed for test in tests):
        return Verdict("edge", tuple(test.sentence for test in tests), x)
    # What speaks against an edge comes first.
    sentences = [test.sentence for test in sorted(tests, key=lambda test: test.passed)]
    ruled_out = []
    if x["sharpe_high"] < WORTH_HAVING:
        ruled_out.append(
            f"A Sharpe ratio of {WORTH_HAVING:.0f} a year is ruled out with 95 % confidence: the interval ends at {x['sharpe_high']:.2f}."
        )
    if x["difference_high"] < 0:
        ruled_out.append(f"Hold was better with 95 % confidence: the difference ends at {x['difference_high']:.2f}.")
    if ruled_out:
        return Verdict("no edge", (*ruled_out, *sentences), x)
    if tests[0].passed:
        return Verdict("cannot tell", tuple(sentences), x)
    years = x["min_track_record"]
    more = (
        f"At this Sharpe ratio the deflated Sharpe would be sure after {years:.1f} years of record; there are {x['years']:.1f}."
        if math.isfinite(years)
        else "A Sharpe ratio that is not positive cannot become sure by waiting; the record is too short to rule a good one out."
    )
    return Verdict("cannot tell", (*sentences, more), x)
