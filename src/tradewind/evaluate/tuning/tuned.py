"""What tuning gives back: the best settings, every trial, and the verdict on a part of the history that no trial saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from tradewind.core.files import write_json
from tradewind.evaluate.ledger import Trials
from tradewind.evaluate.pages.report import Page, Row, write
from tradewind.evaluate.result import Result, finite
from tradewind.evaluate.tuning.study import TrialRecord, reasons

__all__ = ["Tuned", "write_tuned"]

_TOLD: Final = 10
"""Trials in the text for people; result.json has all of them."""


@final
@dataclass(frozen=True, eq=False)
class Tuned:
    """A study so far: `settings`, nested, are the best ones, what was fixed included; `strategy(name, **settings)` builds them.

    `best` and `table`: the trials, in order, the first being the untuned settings. `tuning`: the records over the test folds of the tuning
    part, where the best was chosen, which flatters it; `holdout`: over the bars that no trial saw. Both hold `untuned` and, where a trial
    was better than that, `tuned`; their verdicts are deflated by every trial in the ledger. `importance`: by dotted name, the share of
    the scores' variance that a setting explains. `folder`: where best.json, result.json and report.html lie.
    """

    folder: Path
    strategy: str
    settings: Mapping[str, Any]
    best: TrialRecord
    table: tuple[TrialRecord, ...]
    tuning: Mapping[str, Result]
    holdout: Mapping[str, Result]
    importance: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def trials(self) -> Trials:
        """What the ledger counted."""
        return next(iter(self.holdout.values())).trials

    @property
    def counts(self) -> dict[str, int]:
        """How many trials finished, were pruned, and failed."""
        return {outcome: sum(record.outcome == outcome for record in self.table) for outcome in ("finished", "pruned", "failed")}

    def rows(self, part: Mapping[str, Result]) -> list[Row]:
        """Hold and the rows of `tuning` or `holdout`, as a report or a table shows them."""
        first = next(iter(part.values()))
        return [first.report_rows()[0], *(result.report_rows()[1] for result in part.values())]

    def to_text(self) -> str:
        """The settings that were found and how the search went, for people."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())
        lines = [f"{self.strategy}: {len(self.table)} trials ({counts}); the ledger counts {self.trials.count} on these data"]
        if self.best.number == 0:
            lines.append("no trial was better than the untuned settings")
        else:
            low, high = (self.tuning["tuned"].metrics[f"sharpe_{end}"] for end in ("low", "high"))
            lines.append(f"best: trial {self.best.number}, net Sharpe {self.best.score:.2f} a year ({low:.2f} to {high:.2f}) where chosen")
            lines += [f"  {name} = {value}" for name, value in self.best.settings.items()]
        if self.importance:
            lines.append("explained by: " + ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items()))
        failed = reasons(list(self.table))
        return "\n".join([*lines, *([f"failed: {failed}"] if failed else []), *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Everything but arrays as JSON-able data without clocks."""
        parts = {"tuning": self.tuning, "holdout": self.holdout}
        return {
            "strategy": self.strategy,
            "settings": dict(self.settings),
            "best": self.best.number,
            "counts": self.counts,
            "trials": self.trials.to_dict(),
            "importance": dict(self.importance),
            "table": [_line(record) for record in self.table],
            **{name: {row: result.to_dict() for row, result in part.items()} for name, part in parts.items()},
        }


def write_tuned(tuned: Tuned, about: Mapping[str, Any]) -> None:
    """Write best.json, result.json and report.html into the study's folder. Raises DataError when it cannot be written."""
    write_json(tuned.folder / "best.json", {"strategy": tuned.strategy, "settings": dict(tuned.settings)})
    write_json(tuned.folder / "result.json", tuned.to_dict())
    first = next(iter(tuned.holdout.values()))
    title = f"{tuned.strategy}, tuned: bars that no trial saw, {', '.join(first.market.symbols)}"
    provenance = {"data": about["data"], "trials": tuned.trials.to_dict()}
    notes = f"{tuned.to_text()}\n{_best_of(tuned)}"
    page = Page(title, tuned.rows(tuned.holdout), first.windows, {**about, "tuned": dict(tuned.settings)}, provenance, notes)
    write(page, tuned.folder / "report.html")


def _best_of(tuned: Tuned) -> str:
    """The best trials, one line each."""
    done = sorted((record for record in tuned.table if record.outcome == "finished"), key=lambda record: -record.score)
    lines = [f"trial {record.number}: {record.score:.3f}  {_words(record)}" for record in done[:_TOLD]]
    return "\n".join(["the best trials, net Sharpe a year over the tuning part:", *lines])


def _words(record: TrialRecord) -> str:
    return ", ".join(f"{name}={value}" for name, value in record.settings.items()) or "untuned"


def _line(record: TrialRecord) -> dict[str, Any]:
    return {
        "trial": record.number,
        "outcome": record.outcome,
        "folds": record.steps,
        "settings": dict(record.settings),
        "reason": record.reason,
        **finite({"score": record.score}),
    }
