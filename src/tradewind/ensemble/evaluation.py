"""`evaluate`: what an ensemble earned, how it decided, how it did in each regime, and a score whose formula is all there is to it.

Every number comes from bars out of sample, in folds. docs/ensemble.md has the definitions; in short:

- portfolio: those of `tradewind.stats.summary`, the 90 % block-bootstrap interval of the Sharpe ratio, `positive`, the share of resamples
  whose Sharpe ratio is above 0, `success_rate`, the share of folds that ended above where they began, and `hold_sharpe`, that of buy and
  hold over the same bars under the same costs;
- meta: mean confidence, agreement and stability of the regime over the decisions; `adaptability` = sum(w'r - mean r) / sum over regimes of
  (best r - mean r), r the returns of the members at work in a bar and w the trust decided at the close before: 1 is as good as knowing the
  best member of each regime, 0 as good as equal weights;
- by regime, the likeliest one at the close before a bar: share of bars, Sharpe ratio with its interval, win rate, and consistency, the
  share of folds in which the regime's bars, ten at least, earned something.

score = 100 * (30 evidence + 20 size + 15 drawdown + 15 success + 10 breadth + 10 adaptability) / (the weights of those there are), each cut
to 0..1: evidence (positive - .5) / .5, size median Sharpe of the folds / 2, drawdown 1 - |worst| / .3, success success_rate, breadth share
of bars in regimes whose Sharpe ratio is above 0, adaptability as above. A from 80, B from 65, C from 50, D from 35, else F; nothing above C
while the interval of the Sharpe ratio reaches below 0, for then it may have been luck.

Source of the interval: Politis & Romano (1994), https://doi.org/10.1080/01621459.1994.10476870. Costs a thousand resamples of the returns
and of those of each regime. Fails to mean anything on bars that something was chosen by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.types import Array
from tradewind.engine import backtest
from tradewind.ensemble.combine import overall
from tradewind.ensemble.conduct import Conduct
from tradewind.regimes.registry import detector
from tradewind.stats.bootstrap import bootstrap_interval, bootstrap_sharpes
from tradewind.stats.metrics import hit_rate, sharpe, summary
from tradewind.strategies.registry import strategy

__all__ = ["Evaluation", "RegimeRow", "evaluate"]

WEIGHTS: Final[Mapping[str, float]] = {
    "evidence": 30.0,
    "size": 20.0,
    "drawdown": 15.0,
    "success": 15.0,
    "breadth": 10.0,
    "adaptability": 10.0,
}
"""What each part of the score weighs."""
GRADES: Final = (("A", 80.0), ("B", 65.0), ("C", 50.0), ("D", 35.0), ("F", 0.0))
FEWEST: Final = 10
"""Bars of a regime that a fold needs for it to count for or against the regime's consistency."""
_DRAWS: Final = 1000


@final
@dataclass(frozen=True)
class RegimeRow:
    """One regime: `bars` lived under it and their `share`, annual `sharpe` with its 90 % interval, `win_rate` and `consistency`.

    Not a number where there is too little: see the module's definitions.
    """

    regime: str
    bars: int
    share: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    win_rate: float
    consistency: float


@final
@dataclass(frozen=True)
class Evaluation:
    """`portfolio`, `meta` and `regimes` as the module defines them; `parts` of the score in 0..1, `score` in 0..100, and `grade`.

    What an account alone cannot tell is not in `meta` and `parts`. `folds`: how many parts the bars were judged in.
    """

    portfolio: Mapping[str, float]
    meta: Mapping[str, float]
    regimes: tuple[RegimeRow, ...]
    parts: Mapping[str, float]
    score: float
    grade: str
    folds: int

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON: what is not a finite number becomes None."""
        told = asdict(self)
        for name in ("portfolio", "meta", "parts"):
            told[name] = _plain(told[name])
        told["regimes"] = [_plain(row) for row in told["regimes"]]
        return told

    def __str__(self) -> str:
        numbers = self.portfolio
        interval, grown = f"{numbers['sharpe_low']:.2f} to {numbers['sharpe_high']:.2f}", numbers["annual_return"]
        lines = [
            f"{self.grade} ({self.score:.0f} of 100), {numbers['bars']:.0f} bars in {self.folds} folds, out of sample",
            f"Sharpe {numbers['sharpe']:.2f} ({interval}), hold {numbers['hold_sharpe']:.2f}; annual return {grown:.1%}, "
            f"max drawdown {numbers['max_drawdown']:.1%}, win rate {numbers['hit_rate']:.1%}, "
            f"profit factor {numbers['profit_factor']:.2f}, Calmar {numbers['calmar']:.2f}, success rate {numbers['success_rate']:.0%}",
        ]
        if self.meta:
            lines.append(", ".join(f"{name} {value:.2f}" for name, value in self.meta.items()))
        lines.append(f"{'regime':24}{'share':>7}{'Sharpe':>9}{'90 %':>18}{'win rate':>10}{'consistency':>13}")
        for row in self.regimes:
            interval = f"{row.sharpe_low:.2f} to {row.sharpe_high:.2f}"
            lines.append(f"{row.regime:24}{row.share:>7.1%}{row.sharpe:>9.2f}{interval:>18}{row.win_rate:>10.1%}{row.consistency:>13.2f}")
        return "\n".join(lines)


def evaluate(run: Any, seed: int = 0) -> Evaluation:
    """The evaluation of `run`: what a `Trainer` returned, or the main job (its row `ensemble`), a `Conduct`, or any record with `returns`
    (time,), `market` and `windows`.

    Of such a record, the Result of a walk-forward for one, nothing is known about the members; its regimes are those of the rules.

    `seed`: of the resamples. Raises DataError for something else and for fewer than two bars.
    """
    found = _conduct(run)
    missing = [name for name in ("returns", "market", "windows") if not hasattr(found, name)]
    if missing:
        raise DataError(
            f"a {type(run).__name__} has no {', '.join(missing)}; give what a Trainer returned, a Conduct, or the Result of a walk-forward"
        )
    returns, periods = np.asarray(found.returns, dtype=np.float64), float(found.market.periods_per_year)
    if len(returns) < 2:
        raise DataError(f"there are {len(returns)} bars to evaluate; at least 2 are needed")
    conduct = found if isinstance(found, Conduct) else None
    names, probabilities = (conduct.regimes, conduct.probabilities) if conduct is not None else _told(found.market)
    regime = _before(probabilities, len(returns))
    windows = tuple(found.windows) or ((0, len(returns)),)
    hold = backtest(strategy("hold"), found.market, getattr(found, "costs", None)).returns
    portfolio = {**_portfolio(returns, periods, windows, seed), "hold_sharpe": sharpe(hold, periods)}
    rows = tuple(_row(names[k], regime == k, returns, periods, windows, seed) for k in range(len(names)))
    meta = {} if conduct is None else _meta(conduct, regime)
    parts = _parts(portfolio, [sharpe(returns[a:b], periods) for a, b in windows], rows, meta)
    total = sum(WEIGHTS[name] for name in parts)
    score = 100.0 * sum(WEIGHTS[name] * value for name, value in parts.items()) / total
    return Evaluation(portfolio, meta, rows, parts, score, _grade(score, portfolio["sharpe_low"]), len(windows))


def _conduct(run: Any) -> Any:
    """The record in `run`: of a training what it did out of sample, of a finished run its row `ensemble`, else `run` itself."""
    if hasattr(run, "out_of_sample"):
        return run.out_of_sample
    if not hasattr(run, "ensemble"):
        return run
    made = run.ensemble
    if made is None:
        raise DataError("this run has no row ensemble; run it again with one among its strategies")
    account = next(row.account for row in run.rows if row.name == "ensemble")
    earned = np.column_stack([member.returns for member in made.members.values()])
    spoken: list[Array] = [np.isfinite(member.targets).any(axis=1) for member in made.members.values()]
    awake = np.maximum.accumulate(np.column_stack(spoken), axis=0)
    found = made.found
    # The rows that are fitted know the folds; hold is the first of them.
    return Conduct(
        account, found.members, found.regimes, found.weights, earned, awake, found.probabilities,
        found.confidence, found.agreement, found.stability, run.rows[0].windows,
    )  # fmt: skip


def _portfolio(returns: Array, periods: float, windows: tuple[tuple[int, int], ...], seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(returns, sharpe, draws=_DRAWS, seed=seed)
    drawn = bootstrap_sharpes(returns[:, None], _DRAWS, seed=seed)
    grown = [float(np.prod(1.0 + returns[a:b]) - 1.0) for a, b in windows]
    return {
        **summary(returns, periods),
        "sharpe_low": low * math.sqrt(periods),
        "sharpe_high": high * math.sqrt(periods),
        "positive": float((drawn > 0.0).mean()),
        "success_rate": float(np.mean([each > 0.0 for each in grown])),
    }


def _meta(conduct: Conduct, regime: NDArray[np.int64]) -> dict[str, float]:
    """How it decided; see the module's definitions."""
    decided = conduct.trust.sum(axis=1) > 0.0
    if not decided.any():
        return {}
    numbers = {name: float(getattr(conduct, name)[decided].mean()) for name in ("confidence", "agreement", "stability")}
    # The bar after a decision judges it: trust of the close before, returns of members that were at work then and lived through the bar.
    lived = conduct.awake[:-1] & decided[:-1, None] & np.isfinite(conduct.earned[1:])
    rows = lived.any(axis=1)
    lived, regime, trust = lived[rows], regime[1:][rows], np.where(lived, conduct.trust[:-1], 0.0)[rows]
    earned = np.where(lived, conduct.earned[1:][rows], 0.0)
    mean = earned.sum(axis=1) / lived.sum(axis=1)
    ahead = np.where(lived, earned - mean[:, None], 0.0)
    gained = float((trust * ahead).sum())
    most = sum(float(ahead[regime == k].sum(axis=0).max()) for k in np.unique(regime))
    numbers["adaptability"] = float(np.clip(gained / most, -1.0, 1.0)) if most > 0.0 else math.nan
    return numbers


def _row(name: str, there: NDArray[np.bool_], returns: Array, periods: float, windows: tuple[tuple[int, int], ...], seed: int) -> RegimeRow:
    own = returns[there]
    low, high = (end * math.sqrt(periods) for end in bootstrap_interval(own, sharpe, draws=_DRAWS, seed=seed))
    folds = [returns[a:b][there[a:b]] for a, b in windows]
    counted = [each.sum() > 0.0 for each in folds if len(each) >= FEWEST]
    consistency = float(np.mean(counted)) if counted else math.nan
    return RegimeRow(name, len(own), len(own) / len(returns), sharpe(own, periods), low, high, hit_rate(own), consistency)


def _parts(portfolio: Mapping[str, float], folds: list[float], rows: tuple[RegimeRow, ...], meta: Mapping[str, float]) -> dict[str, float]:
    """The parts of the score that can be told, each in 0..1."""
    told = sum(row.share for row in rows)
    raw = {
        "evidence": (portfolio["positive"] - 0.5) / 0.5,
        "size": float(np.median(np.nan_to_num(folds))) / 2.0,
        "drawdown": 1.0 + portfolio["max_drawdown"] / 0.3,
        "success": portfolio["success_rate"],
        "breadth": sum(row.share for row in rows if row.sharpe > 0.0) / told if told > 0.0 else math.nan,
        "adaptability": meta.get("adaptability", math.nan),
    }
    return {name: float(np.clip(value, 0.0, 1.0)) for name, value in raw.items() if not math.isnan(value)}


def _grade(score: float, low: float) -> str:
    # Also where there is no interval: what cannot be told apart from luck is not good.
    best = score if low > 0.0 else min(score, 64.999)
    return next(grade for grade, least in GRADES if best >= least)


def _told(market: Any) -> tuple[tuple[str, ...], Array]:
    """The regimes of a market by the published rules, which learn nothing: their names, and (time, regime) over its symbols."""
    rules = detector("rules")
    probabilities = rules.filter(market).probabilities
    return rules.names, overall(probabilities)


def _before(probabilities: Array, n: int) -> NDArray[np.int64]:
    """(time,) the likeliest regime at the close before each bar, which is all that was known when the bar began; -1 where none was."""
    regime = np.full(n, -1, dtype=np.int64)
    if probabilities.shape[1]:
        known: NDArray[np.bool_] = np.asarray(~np.isnan(probabilities).any(axis=1))
        likeliest = np.where(known[:, None], probabilities, 0.0).argmax(axis=1)
        regime[1:] = np.where(known, likeliest, -1)[:-1]
    return regime


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in numbers.items()}
