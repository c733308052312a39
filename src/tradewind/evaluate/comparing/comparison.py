"""What a comparison of forecasters found: its rows, and all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from tradewind.core.market import Market
from tradewind.core.types import Array
from tradewind.engine import Backtest
from tradewind.evaluate.comparing.forecasts import Forecasts
from tradewind.evaluate.comparing.plan import CompareSettings
from tradewind.evaluate.comparing.scores import Score, Truth
from tradewind.evaluate.ledger import Trials
from tradewind.evaluate.result import Result

__all__ = ["Comparison", "Entry"]


@final
@dataclass(frozen=True, eq=False)
class Entry:
    """One row of a comparison: a forecaster under its seeds, with its `scores`, `net Sharpe` the last of them.

    `results`: the account of each seed's forecasts, traded by the policy. `answered`: the share of cells with an answer that it answered.
    `p_reference`: one-sided p of the Diebold-Mariano test that it is better than the reference. `losses` (time, symbol), mean of seeds.
    """

    name: str
    forecasts: tuple[Forecasts, ...]
    results: tuple[Result, ...]
    scores: Mapping[str, Score]
    answered: float
    losses: Array
    p_reference: float = float("nan")

    @property
    def typical(self) -> Result:
        """The account of the seed whose net Sharpe ratio is the median (the lower of two): the one that is judged."""
        order = sorted(range(len(self.results)), key=lambda k: self.results[k].metrics["sharpe"])
        return self.results[order[(len(order) - 1) // 2]]

    @property
    def labels(self) -> tuple[str, ...]:
        """The verdict on each seed."""
        return tuple(result.verdict.label for result in self.results)


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """A finished comparison: `rows` scored on the same cells, `hold` beside them, `refused` with the reason of rows that could not answer.

    `pairs` (row, row): one-sided p that the row's forecasts are better than the column's, NaN on the diagonal. `reference`: the row that
    `p_reference` tests against. `frequent`: the share of the commonest class, NaN for returns. `cells`: how many answers were judged.
    """

    id: str
    folder: Path
    settings: CompareSettings
    market: Market
    truth: Truth
    rows: tuple[Entry, ...]
    hold: Backtest
    trials: Trials
    pairs: Array
    reference: str
    frequent: float
    cells: int
    refused: Mapping[str, str] = field(default_factory=dict)
