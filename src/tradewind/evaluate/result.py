"""`Result`: what a walk-forward gives back: the account, its numbers beside buy-and-hold, the folds, the verdict and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.market import Market
from tradewind.core.types import Array, Targets
from tradewind.engine import Backtest, backtest
from tradewind.evaluate.ledger import Trials
from tradewind.evaluate.pages.report import Page, Row, write
from tradewind.evaluate.verdict import Verdict, judge
from tradewind.simulate.account import Record
from tradewind.simulate.costs import Costs
from tradewind.stats.bootstrap import bootstrap_interval
from tradewind.stats.metrics import sharpe, summary
from tradewind.strategies.registry import strategy as named

__all__ = ["FoldRecord", "Result", "finite", "measure"]


@final
@dataclass(frozen=True)
class FoldRecord:
    """One part of a walk-forward: rows [start, end) of the whole market that were trained and tested on.

    `fitted`: whether this fold fitted anew or kept the last fit; `seconds` the fit took, 0 when it was read from a finished run.
    """

    train: tuple[int, int]
    test: tuple[int, int]
    fitted: bool
    seconds: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class Result:
    """A strategy's record over the test parts of a walk-forward, every bar of it out of sample and after costs.

    `name`, `settings`: the strategy. `account`: targets and book over the test bars. `folds`: the windows. `trials`: what the ledger
    counted. `alternatives` (time, row): returns of what else was tried on the same bars, where it was. Everything but `folds[i].seconds` is
    the same on every run.
    """

    name: str
    settings: Mapping[str, Any]
    account: Backtest
    folds: tuple[FoldRecord, ...]
    trials: Trials
    seed: int
    alternatives: Array | None = None

    @property
    def market(self) -> Market:
        """The bars of the test parts."""
        return self.account.market

    @property
    def costs(self) -> Costs:
        """What trading cost."""
        return self.account.costs

    @property
    def targets(self) -> Targets:
        """(time, symbol) as decided; NaN keeps what is held."""
        return self.account.targets

    @property
    def record(self) -> Record:
        """The account, bar by bar."""
        return self.account.record

    @property
    def equity(self) -> Array:
        """(time,) account currency at each close."""
        return self.account.equity

    @property
    def returns(self) -> Array:
        """(time,) simple net return of each bar."""
        return self.account.returns

    @property
    def weights(self) -> Array:
        """(time, symbol) signed fractions of equity held at each close."""
        return self.account.weights

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """(first, last) row of each test part, counted in the test bars."""
        first = self.folds[0].test[0] if self.folds else 0
        return tuple((fold.test[0] - first, fold.test[1] - first) for fold in self.folds)

    @property
    def refits(self) -> str:
        """How often it was fitted, in words."""
        fits = sum(fold.fitted for fold in self.folds)
        return f"{fits} in {len(self.folds)} folds" if fits else "never"

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers of `tradewind.stats.summary`, and `sharpe_low` and `sharpe_high`, the ends of its 90 % bootstrap interval."""
        judged = self.verdict.numbers
        # Where the verdict rests on an interval it is the one to show; a second bootstrap would differ in the last digit.
        ends = (judged["sharpe_low"], judged["sharpe_high"]) if "sharpe_low" in judged else None
        return measure(self.account, self.seed, ends)

    @cached_property
    def benchmark(self) -> Backtest:
        """Buy and hold: an equal share of every symbol over the same bars, under the same costs."""
        return backtest(named("hold"), self.market, self.costs, self.account.capital)

    @cached_property
    def hold(self) -> dict[str, float]:
        """The same numbers as `metrics`, of buy and hold."""
        return measure(self.benchmark, self.seed)

    @cached_property
    def verdict(self) -> Verdict:
        """Edge, no edge or cannot tell, with the reasons; docs/verdict.md has the rule."""
        return judge(
            self.returns,
            self.benchmark.returns,
            self.market.periods_per_year,
            trials=self.trials.count,
            variance_of_trials=self.trials.variance,
            alternatives=self.alternatives,
            seed=self.seed,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays as JSON-able data without clocks: equal runs give equal bytes."""
        return {
            "strategy": self.name,
            "settings": dict(self.settings),
            "refits": self.refits,
            "from": format_time(int(self.market.open_time[0])),
            "to": format_time(int(self.market.known[-1])),
            "bars": len(self.market),
            "metrics": finite(self.metrics),
            "hold": finite(self.hold),
            "folds": [{"train": list(fold.train), "test": list(fold.test), "fitted": fold.fitted} for fold in self.folds],
            "trials": self.trials.to_dict(),
            "verdict": {"label": self.verdict.label, "reasons": list(self.verdict.reasons), "numbers": finite(self.verdict.numbers)},
        }

    def report_rows(self) -> list[Row]:
        """Buy and hold and this record, as a report or a table shows them."""
        return [Row("hold", self.benchmark, self.hold), Row(self.name, self.account, self.metrics, self.verdict, self.refits)]

    def report(self, path: str | Path) -> Path:
        """Write a self-contained page about this record. Raises DataError when it cannot be written."""
        settings = {"strategy": self.name, "settings": dict(self.settings), "costs": self.costs.to_dict(), "seed": self.seed}
        provenance = {"data": self.market.digest, "trials": self.trials.to_dict()}
        return write(Page(f"{self.name} on {', '.join(self.market.symbols)}", self.report_rows(), self.windows, settings, provenance), path)


def measure(account: Backtest, seed: int = 0, interval: tuple[float, float] | None = None) -> dict[str, float]:
    """The numbers of an account: `tradewind.stats.summary` and the 90 % interval of its annual Sharpe ratio, bootstrapped unless given."""
    record = account.record
    before = np.concatenate([[account.capital], record.equity[:-1]])
    paid = np.divide(record.fees + record.slippage + record.funding, before, out=np.zeros(len(record)), where=before > 0)
    periods = account.market.periods_per_year
    numbers = summary(account.returns, periods, weights=account.weights, turnover=record.traded, costs=paid)
    if interval is None:
        low, high = bootstrap_interval(account.returns, sharpe, seed=seed)
        interval = low * math.sqrt(periods), high * math.sqrt(periods)
    return {**numbers, "sharpe_low": float(interval[0]), "sharpe_high": float(interval[1])}


def finite(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for JSON, which has no NaN and no infinity: they become None."""
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in numbers.items()}
