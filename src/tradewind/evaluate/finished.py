"""A finished run, opened again: its bars, windows, recorded targets and accounts, and the strategies as they stood in each fold.

What is opened is checked first: the data by the digest in the manifest, the targets by their sha256, a fit by its own. Costs the reading of
the data, and one pass of the accounting kernel for each account asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError, SettingsError
from tradewind.core.files import read_bytes
from tradewind.core.market import Market
from tradewind.core.settings import choose, suggest
from tradewind.core.types import Targets
from tradewind.engine import Backtest, backtest
from tradewind.evaluate.folds import fit_of, key_of
from tradewind.evaluate.manifest import differences, read_manifest
from tradewind.evaluate.plan import RunSettings, load_market
from tradewind.evaluate.recorded import read_targets
from tradewind.evaluate.splits import Fold
from tradewind.evaluate.walk_forward import windows
from tradewind.simulate.account import Book

__all__ = ["FinishedRun", "open_run"]


@final
@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a run in `folder` left: its `id`, `settings`, the whole `market`, the `folds` (rows of the market), the sha256 of its targets,
    and `notes`: what is not as it was when the run was made, one sentence each.
    """

    id: str
    folder: Path
    settings: RunSettings
    market: Market
    folds: tuple[Fold, ...]
    checksum: str
    notes: tuple[str, ...]

    @property
    def first(self) -> int:
        """Row of the market at which the test parts begin."""
        return int(self.folds[0].test.start)

    @property
    def tested(self) -> Market:
        """The bars of the test parts."""
        return self.market[self.first : self.folds[-1].test.stop]

    def row(self, name: str | None) -> str:
        """The row called `name`; without a name the only one beside hold. Raises SettingsError, naming the rows, when there is none."""
        rows = self.settings.strategies
        if name is not None:
            return choose(name, dict(zip(rows, rows, strict=True)), "row")
        others = [row for row in rows if row != "hold"]
        if len(others) != 1:
            raise SettingsError(f"the run has the rows {', '.join(rows)}; choose one with --row")
        return others[0]

    def symbol(self, name: str | None) -> int:
        """The column of the symbol called `name`; without a name that of the only one. Raises SettingsError, naming the symbols."""
        symbols = self.market.symbols
        if name is not None:
            return int(choose(name, {symbol: column for column, symbol in enumerate(symbols)}, "symbol"))
        if len(symbols) != 1:
            raise SettingsError(f"the run has the symbols {', '.join(symbols)}; choose one with --symbol")
        return 0

    def bar(self, moment: int, symbol: int) -> int:
        """The row of the market whose bar opens at `moment` (UTC ns), a test bar that the symbol has.

        Raises DataError naming the nearest such bar.
        """
        there = np.flatnonzero(~np.isnan(self.market.close[self.first : self.folds[-1].test.stop, symbol])) + self.first
        name, times = self.market.symbols[symbol], self.market.open_time
        if not len(there):
            raise DataError(f"{name} has no bar in the test parts of this run")
        found = int(np.searchsorted(times[there], moment))
        if found < len(there) and times[there[found]] == moment:
            return int(there[found])
        near = min((int(row) for row in there[max(0, found - 1) : found + 1]), key=lambda row: abs(int(times[row]) - moment))
        asked, nearest = format_time(moment), format_time(int(times[near]))
        if moment < times[there[0]]:
            why = "lies before the first test part, where nothing was decided"
        elif moment > times[there[-1]]:
            why = "lies after the last bar of the run"
        else:
            why = f"is no time at which a bar of {name} opens"
        raise DataError(f"{asked} {why}; the nearest bar that was decided at opens at {nearest}")

    def fold_of(self, bar: int) -> int:
        """The number of the fold that tested the market's row `bar`."""
        return next(k for k, fold in enumerate(self.folds) if bar < fold.test.stop)

    def targets(self, row: str) -> Targets:
        """(time, symbol) the recorded targets over the test bars. Raises Corrupt when the file is not the one that was written."""
        path = self.folder / "targets.parquet"
        read_bytes(path, self.checksum)
        return read_targets(path, self.tested, row)[1]

    def account(self, row: str) -> Backtest:
        """The recorded targets traded over the test bars: the account of the run, to the bit."""
        return backtest(self.targets(row), self.tested, self.settings.costs)

    def book(self, row: str, bar: int) -> Book:
        """The row's account as it stood before the market's row `bar`."""
        book = Book(self.market.symbols, self.settings.costs)
        book.advance(self.market[self.first : bar], self.targets(row)[: bar - self.first])
        return book

    def strategy(self, row: str, fold: int) -> tuple[Any, int]:
        """The row's strategy as it stood when `fold` began, and the number of the fold that fitted it.

        Raises DataError when it was not kept, Corrupt when a byte of it has changed, StateError when this version cannot restore it.
        """
        fresh = self.settings.strategy(row)
        fitted = fold - fold % int(getattr(fresh, "refit_every", 1))
        folder = self.folder / "folds" / row
        # One that learns from outcomes is another at each fold.
        kept = fold if getattr(fresh, "horizon", 0) else fitted
        if not (folder / f"{kept:04d}" / "fit").exists():
            raise DataError(
                f"{folder}: holds no fitted strategy for fold {kept}; the run was made before they were kept, or the folder was "
                "cleared: do it again with `tradewind run --fresh`"
            )
        state, key = fit_of(folder, kept)
        if key != key_of(folder, fold):
            raise DataError(f"{folder}: the fitted strategy in fold {kept} is not that of fold {fold}'s targets; do the run again")
        return fresh.restore(state), fitted


def open_run(folder: str | Path, data: Sequence[str] = ()) -> FinishedRun:
    """Open the finished run in `folder`, which is `runs/<id>`; `data`: where its files are now, when they have moved.

    Raises DataError when the folder holds no finished run or the data are not those of the run, and Corrupt for a damaged manifest.
    """
    folder = Path(folder)
    path = folder / "manifest.json"
    if not path.is_file():
        beside = [str(each.parent) for each in sorted(folder.glob("*/manifest.json"))][:3] if folder.is_dir() else []
        raise DataError(
            f"{folder}: is no finished run, it has no manifest.json{suggest(str(folder), beside) if beside else '; give runs/<id>'}"
        )
    manifest = read_manifest(path)
    settings = RunSettings.from_dict(manifest["settings"])
    settings = dataclasses.replace(settings, data=tuple(data)) if data else settings
    market = load_market(settings)
    if market.digest != manifest["data"]["digest"]:
        raise DataError(f"{path}: was made from other data than {', '.join(settings.data) or settings.market}; give its own with --data")
    plan = windows(market, settings.train, settings.test, None, settings.anchored, settings.embargo)
    parts = tuple(plan.split(len(market)))
    return FinishedRun(
        str(manifest["id"]), folder, settings, market, parts, str(manifest["outputs"]["targets.parquet"]), tuple(differences(manifest))
    )
