"""A study on disk: settings are proposed, tried, pruned or kept, and whoever comes back after kill -9 goes on where it stopped.

Papers: the tree-structured Parzen estimator of Bergstra et al. (2011), https://papers.nips.cc/paper/4443; Optuna, Akiba et al. (2019),
https://arxiv.org/abs/1907.10902, whose median rule prunes. Costs a tenth of a second a trial, and a second to begin.
Fails to find anything better than chance in few trials or where the score is noise: then the best trial is the luckiest.

The first trial is always the settings as they were given, untuned and never pruned. Proposal k is drawn from (seed, k) and from the trials
that finished before it, so in one process the same seed gives the same trials, whether the study was killed in between or not; a trial
that was running when the process died is proposed again. The only file that imports Optuna.
"""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from tradewind.core.clock import SystemClock
from tradewind.core.errors import Corrupt, DataError, MissingExtra, TradewindError
from tradewind.core.files import read_json, write_json
from tradewind.core.limits import number, whole
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.spaces import Choice, Real, Whole
from tradewind.evaluate.identity import digest, package_digest
from tradewind.evaluate.tuning.search import Flat, nest

__all__ = ["Budget", "Pruned", "Study", "Trial", "TrialRecord", "available", "begin", "reasons"]

UNPRUNED: Final = 5
"""Trials that are walked to the end before the median of trials means something."""
STARTING: Final = 10
"""Trials that are drawn at random before the sampler listens to their scores."""
HOPELESS: Final = 10
"""Failures, with nothing else, after which going on is no use."""
_FILE: Final = "study.db"
_TURNS: Final = "turns"
_NAME: Final = "tradewind"
_PATIENCE: Final = 60.0
_SIMPLE: Final = (bool, int, float, str)


class Pruned(Exception):
    """The trial is behind the median of those before it, and ends here."""


class _TimeIsUp(Exception):
    """The budget ended inside a trial: it is put back, as if the process had been killed."""


@final
@dataclass(frozen=True)
class Budget:
    """How long to search: until `trials` trials are finished (pruned and failed ones count), or `seconds` of this session have passed.

    0 seconds: no limit. Raises SettingsError for what cannot be.
    """

    trials: int = 100
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        whole(trials=self.trials)
        number(positive=False, timeout=self.seconds)


@final
@dataclass(frozen=True)
class TrialRecord:
    """One trial: `number` from 0, the untuned one; `outcome`: finished, pruned or failed; `score`, NaN unless finished; `settings` by
    dotted name; `steps`: folds that it lived through; `reason`: what went wrong, where something did; `about`: what the objective noted.
    """

    number: int
    outcome: str
    score: float
    settings: Mapping[str, Any]
    steps: int
    reason: str
    about: Mapping[str, Any]


@final
class Trial:
    """A trial that is running: its `number` and its nested `settings`; tell it the `score` so far after each step."""

    def __init__(self, number: int, settings: Mapping[str, Any], report: Callable[[int, float], None], note: Callable[[str, Any], None]):
        self.number, self.settings, self.note = number, settings, note
        self._report = report

    def report(self, step: int, score: float) -> None:
        """The score after `step` (0, 1, ...). Raises Pruned when it is not worth going on; let it pass."""
        self._report(step, score)


@final
class Study:
    """Trials on disk in `folder`/study.db, an SQLite file.

    `space`: what is searched; `maximize`: whether a high score is good. Whoever opens it must see to it that no other process has it open,
    apart from workers that `recover` nothing. Raises MissingExtra without Optuna, Corrupt for a damaged file, DataError for a folder that
    cannot be written.
    """

    def __init__(self, folder: Path, space: Flat, seed: int = 0, maximize: bool = True, worker: int = 0) -> None:
        available()
        self._space, self._seed, self._worker, self._maximize = space, seed, worker, maximize
        self.path, self._turns = folder / _FILE, folder / _TURNS
        self._study = _opened(self.path, maximize)

    def recover(self) -> int:
        """Put back the trials that were running when their process ended; how many there were."""
        import optuna

        left = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING))
        for trial in left:
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return len(left)

    def search(
        self, objective: Callable[[Trial], float], budget: Budget, progress: Callable[[list[TrialRecord]], None] | None = None
    ) -> None:
        """Try settings until the budget is spent. `objective` gives the score; what it raises is the trial's failure, told and counted.

        `progress(records)` is called before the first trial and after every one. MissingExtra and interrupts pass through. Raises
        TradewindError when every one of the first trials failed, with each reason.
        """
        clock = SystemClock()
        deadline = clock.monotonic() + budget.seconds if budget.seconds else math.inf
        while True:
            records = self.records()
            if progress is not None:
                progress(records)
            if len(records) >= HOPELESS and all(record.outcome == "failed" for record in records):
                raise TradewindError(f"all of the first {len(records)} trials failed: {reasons(records)}")
            if clock.monotonic() >= deadline:
                return
            with _guarded(self.path):
                asked = self._ask(budget)
                if asked is None:
                    return
                self._try(objective, *asked, lambda: clock.monotonic() >= deadline)

    def records(self) -> list[TrialRecord]:
        """The trials that are finished, pruned or failed, in the order in which they began, numbered from 0."""
        kept = [trial for trial in self._study.get_trials(deepcopy=False) if _outcome(trial)]
        return [self._record(k, trial) for k, trial in enumerate(kept)]

    def best(self) -> TrialRecord | None:
        """The finished trial with the best score, the earlier one among equals; None when none has finished."""
        done = [record for record in self.records() if record.outcome == "finished" and math.isfinite(record.score)]
        return max(done, key=lambda record: (record.score if self._maximize else -record.score, -record.number), default=None)

    def importance(self) -> dict[str, float]:
        """The share of the scores' variance that each setting explains alone (fANOVA), the largest first; empty under ten finished."""
        import optuna

        done = [trial for trial in self._study.get_trials(deepcopy=False) if _outcome(trial) == "finished" and trial.params]
        common = [name for name in self._space if all(name in trial.params for trial in done)]
        if len(done) < 10 or len({trial.value for trial in done}) == 1:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed & 0x7FFFFFFF)
        shares = optuna.importance.get_param_importances(self._study, evaluator=evaluator, params=common)
        return {name: float(share) for name, share in shares.items()}

    def _ask(self, budget: Budget) -> tuple[int, Any] | None:
        """The next trial and its place in the order; None when all are finished or, by other workers, begun."""
        import optuna

        with _alone(self._turns):
            trials = self._study.get_trials(deepcopy=False)
            k = sum(bool(_outcome(trial)) or trial.state == optuna.trial.TrialState.RUNNING for trial in trials)
            if k >= budget.trials:
                return None
            # A sampler a trial, seeded by the trial: a killed one leaves no trace in the random numbers of those after it.
            self._study.sampler = optuna.samplers.TPESampler(seed=derive(self._seed, "trial", self._worker, k), n_startup_trials=STARTING)
            return k, self._study.ask()

    def _try(self, objective: Callable[[Trial], float], k: int, asked: Any, over: Callable[[], bool]) -> None:
        import optuna

        values = {} if k == 0 else {name: _suggested(asked, name, part) for name, part in self._space.items()}
        asked.set_user_attr("settings", {name: _data(value) for name, value in values.items()})
        trial = Trial(k, nest(values), self._reporter(asked, k, over), asked.set_user_attr)
        states = optuna.trial.TrialState
        try:
            score = float(objective(trial))
        except Pruned:
            self._finish(asked, "pruned", states.PRUNED)
        except _TimeIsUp:
            self._study.tell(asked, state=states.FAIL)
        except MissingExtra:
            self._study.tell(asked, state=states.FAIL)
            raise
        except Exception as error:  # noqa: BLE001 - one set of settings may break a library in any way; it is told and the search goes on
            asked.set_user_attr("reason", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
            self._finish(asked, "failed", states.FAIL)
        else:
            if math.isfinite(score):
                self._finish(asked, "finished", states.COMPLETE, score)
            else:
                asked.set_user_attr("reason", f"the score is {score}")
                self._finish(asked, "failed", states.FAIL)

    def _finish(self, asked: Any, outcome: str, state: Any, score: float | None = None) -> None:
        # Told last: a process killed between the two leaves a running trial, which `recover` puts back.
        asked.set_user_attr("outcome", outcome)
        self._study.tell(asked, score, state=state)

    def _reporter(self, asked: Any, k: int, over: Callable[[], bool]) -> Callable[[int, float], None]:
        def report(step: int, score: float) -> None:
            asked.report(score, step)
            if k > 0 and asked.should_prune():
                raise Pruned
            if over():
                raise _TimeIsUp

        return report

    def _record(self, k: int, trial: Any) -> TrialRecord:
        about = dict(trial.user_attrs)
        outcome, settings, reason = about.pop("outcome"), about.pop("settings", {}), about.pop("reason", "")
        score = float(trial.value) if outcome == "finished" and trial.value is not None else math.nan
        return TrialRecord(k, outcome, score, settings, len(trial.intermediate_values) + (outcome == "finished"), reason, about)


def available() -> None:
    """Raise MissingExtra unless Optuna is there."""
    try:
        import optuna
    except ImportError:
        raise MissingExtra("optuna", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def begin(folder: Path, about: Mapping[str, Any]) -> tuple[str, ...]:
    """Write what the study in `folder` is about, or find that it is about the same; gives what a reader should know.

    Raises SettingsError when it is about something else, saying in what, and Corrupt for a damaged study.json.
    """
    place = folder / "study.json"
    told_now = {**about, "source": package_digest()}
    if not place.exists():
        write_json(place, told_now)
        return ()
    before = read_json(place)
    known = before if isinstance(before, dict) else {}
    # What has been through JSON is compared with what has been, too: tuples are lists there.
    other = sorted(key for key in about if digest(known.get(key)) != digest(about[key]))
    require(not other, f"{folder}: is a study of other {', '.join(other)}; choose another --study, or leave it out")
    changed = "tradewind's source has changed since the study began: its trials may not compare"
    return (changed,) if known.get("source") != told_now["source"] else ()


def reasons(records: list[TrialRecord]) -> str:
    """Why trials failed, each reason once, with its count."""
    told = [record.reason for record in records if record.outcome == "failed"]
    return "; ".join(f"{told.count(reason)} × {reason}" for reason in dict.fromkeys(told))


def _outcome(trial: Any) -> str:
    """How a trial ended: finished, pruned or failed; empty while it runs and when it was put back."""
    outcome = str(trial.user_attrs.get("outcome", ""))
    return outcome if trial.state.name == {"finished": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}.get(outcome) else ""


def _suggested(asked: Any, name: str, part: Choice | Whole | Real) -> Any:
    if isinstance(part, Whole):
        return asked.suggest_int(name, part.low, part.high, log=part.log)
    if isinstance(part, Real):
        return asked.suggest_float(name, part.low, part.high, log=part.log)
    if all(value is None or isinstance(value, _SIMPLE) for value in part.values):
        return asked.suggest_categorical(name, part.values)
    # Optuna's files hold simple choices alone; others stand there by their words.
    words = {repr(value): value for value in part.values}
    return words[asked.suggest_categorical(name, tuple(words))]


def _data(value: Any) -> Any:
    return [_data(part) for part in value] if isinstance(value, tuple | list) else value


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold `folder` against the other workers; the system lets go of it when a process ends, however it ends."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path, maximize: bool) -> Any:
    import optuna
    from sqlalchemy.engine import URL

    _prepare(path)
    url = URL.create("sqlite", database=str(path.resolve())).render_as_string(hide_password=False)
    with _guarded(path):
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _PATIENCE}})
        pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=1)
        direction: Literal["maximize", "minimize"] = "maximize" if maximize else "minimize"
        return optuna.create_study(storage=storage, study_name=_NAME, direction=direction, pruner=pruner, load_if_exists=True)


def _prepare(path: Path) -> None:
    """Raise Corrupt unless SQLite finds every page of the file whole, and DataError when it cannot be opened."""
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
            found = connection.execute("PRAGMA quick_check").fetchone()[0]
            # One sync a transaction where a rollback journal takes several; the mode stays with the file.
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        raise DataError(f"{path}: the study cannot be read or written: {error}; free space or choose another --out") from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise Corrupt(f"{path}: is no study, or a damaged one ({found}); restore the file, or move its folder away and begin anew")


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        first = str(error.__cause__ or error).partition("\n")[0]
        raise DataError(f"{path}: the study cannot be read or written: {first}; free space or choose another --out") from error
