"""Records in MLflow: parameters, metrics, artefacts, and models in tradewind's own format, which no one has to unpickle.

The store is an SQLite file unless another address is given; nothing goes over the network for it, and MLflow's telemetry is off. A model
is the folder that `core.files.save_state` wrote (JSON, npz, sha256): `tradewind.models.pipeline.load` reads it back from the artefacts.
The only file that imports MLflow.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from tradewind.core.clock import SystemClock
from tradewind.core.errors import DataError, MissingExtra
from tradewind.core.files import canonical_json, read_bytes, sha256

if TYPE_CHECKING:
    from tradewind.evaluate.comparing.comparison import Comparison
    from tradewind.evaluate.run import RunResult
    from tradewind.evaluate.tuning.tuned import Tuned
    from tradewind.models.pipeline import TrainingReport
    from tradewind.rl.pipeline import AgentReport

__all__ = [
    "Entry",
    "Store",
    "available",
    "entries",
    "flat",
    "log",
    "of_agent",
    "of_comparison",
    "of_run",
    "of_training",
    "of_tuned",
    "store",
]

EXPERIMENT: Final = "tradewind"
KEY: Final = "tradewind.key"
_KIND: Final = "tradewind.kind"
_LONGEST: Final = 6000
"""Characters of a parameter that MLflow's own tables hold."""
_BATCH: Final = 100
_MILLISECOND: Final = 1_000_000


@final
@dataclass(frozen=True)
class Store:
    """Where records go: MLflow's `uri`, and the folder for artefacts of a new experiment; None leaves that to a server."""

    uri: str
    artefacts: Path | None = None


@final
@dataclass(frozen=True)
class Entry:
    """One record: its `kind` (run, tune, train, compare), a `name` for people, and the `key` that says what it is: a record whose key is
    there already is not written twice. `parameters` may be nested; `metrics` that are not finite are left out; `artefacts` are files and
    folders.
    """

    kind: str
    name: str
    key: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    artefacts: Sequence[Path] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def available() -> None:
    """Raise MissingExtra unless MLflow and what its SQLite store stands on are there."""
    # Read by MLflow when it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    for package, name in (("mlflow", "mlflow-skinny"), ("sqlalchemy", "sqlalchemy"), ("alembic", "alembic")):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingExtra(name, "tracking") from None
    # Every table of a new store is announced otherwise.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def store(track: bool, uri: str | None, out: str | Path) -> Store | None:
    """Where a command that was told `--track` or `--track-to URI` keeps its record: `out`/mlruns.db, or there; None for neither.

    Raises MissingExtra at once, before hours of work.
    """
    if not track and uri is None:
        return None
    available()
    folder = Path(out).resolve()
    place = uri or f"sqlite:///{folder / 'mlruns.db'}"
    return Store(place, None if place.startswith(("http:", "https:")) else folder / "mlartifacts")


def log(entry: Entry, where: Store) -> str:
    """Write the record; its id in MLflow. Raises DataError when the store cannot be opened or written."""
    with _client(where) as client:
        from mlflow.entities import Metric, Param

        experiment = _experiment(client, where)
        for found in client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{entry.key}'"):
            if found.info.status == "FINISHED":
                return str(found.info.run_id)
            client.delete_run(found.info.run_id)  # its writer was killed
        tags = {KEY: entry.key, _KIND: entry.kind, **entry.tags}
        run = client.create_run(experiment, run_name=entry.name, tags=tags).info.run_id
        parameters = [Param(name, str(value)[:_LONGEST]) for name, value in flat(entry.parameters).items()]
        now = SystemClock().now() // _MILLISECOND
        metrics = [Metric(name, float(x), now, 0) for name, x in entry.metrics.items() if x is not None and math.isfinite(x)]
        for first in range(0, len(parameters), _BATCH):
            client.log_batch(run, params=parameters[first : first + _BATCH])
        for first in range(0, len(metrics), _BATCH):
            client.log_batch(run, metrics=metrics[first : first + _BATCH])
        for place in entry.artefacts:
            if place.is_dir():
                client.log_artifacts(run, str(place), place.name)
            else:
                client.log_artifact(run, str(place))
        client.set_terminated(run)
        return str(run)


def entries(where: Store) -> list[dict[str, Any]]:
    """The finished records of a store, the newest first: `id`, `kind`, `name`, `began` (UTC ns), `parameters`, `metrics`, `tags`."""
    with _client(where) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        found = client.search_runs([experiment.experiment_id]) if experiment is not None else []
        return [
            {
                "id": run.info.run_id, "kind": run.data.tags.get(_KIND, ""), "name": run.info.run_name,
                "began": int(run.info.start_time) * _MILLISECOND, "parameters": dict(run.data.params), "metrics": dict(run.data.metrics),
                "tags": dict(run.data.tags),
            }
            for run in found if run.info.status == "FINISHED"
        ]  # fmt: skip


def of_run(result: RunResult) -> Entry:
    """A finished run: its settings, every row's numbers as `row.number`, and the files of its folder."""
    metrics = {f"{row.name}.{name}": value for row in result.rows for name, value in row.metrics.items()}
    verdicts = {f"verdict.{row.name}": row.verdict.label for row in result.rows if row.name != "hold"}
    names = ("report.html", "result.json", "manifest.json", "targets.parquet", *(() if result.ensemble is None else ("ensemble.parquet",)))
    files = [result.folder / name for name in names]
    key = f"run-{result.id}-{sha256(read_bytes(result.folder / 'result.json'))[:12]}"
    title = f"run {result.id} on {', '.join(result.market.symbols)}"
    return Entry("run", title, key, result.settings.to_dict(), metrics, files, {**verdicts, "tradewind.id": result.id})


def of_comparison(result: Comparison) -> Entry:
    """A comparison of forecasters: its settings, every row's scores as `row.score`, and the files of its folder."""
    metrics = {f"{row.name}.{name}": score.value for row in result.rows for name, score in row.scores.items()}
    verdicts = {f"verdict.{row.name}": row.typical.verdict.label for row in result.rows}
    files = [result.folder / name for name in ("compare.html", "compare.json")]
    key = f"compare-{result.id}-{sha256(read_bytes(result.folder / 'compare.json'))[:12]}"
    title = f"compare {result.id} on {', '.join(result.market.symbols)}"
    return Entry("compare", title, key, result.settings.to_dict(), metrics, files, {**verdicts, "tradewind.id": result.id})


def of_tuned(tuned: Tuned) -> Entry:
    """A tuning: the best settings, the numbers of untuned and tuned on both parts, and the files of the study, its database left out."""
    parts = {"tuning": tuned.tuning, "holdout": tuned.holdout}
    metrics = {
        f"{part}.{row}.{name}": x for part, rows in parts.items() for row, result in rows.items() for name, x in result.metrics.items()
    }
    verdicts = {f"verdict.{row}": result.verdict.label for row, result in tuned.holdout.items()}
    counts = {f"trials.{name}": float(count) for name, count in tuned.counts.items()}
    files = [tuned.folder / name for name in ("report.html", "result.json", "best.json", "study.json")]
    key = f"tune-{sha256(read_bytes(tuned.folder / 'result.json'))[:24]}"
    parameters = {"strategy": tuned.strategy, **tuned.settings}
    return Entry("tune", f"tune {tuned.strategy}", key, parameters, {**metrics, **counts}, files, verdicts)


def of_training(report: TrainingReport) -> Entry:
    """A trained model: its settings, its scores as `part.score`, and the folder that holds it. Raises DataError where there is none."""
    if not report.path:
        raise DataError("a model that was not saved cannot be tracked; give `train` an out folder")
    metrics = {f"{part}.{name}": value for part, line in report.metrics.items() for name, value in line.items()}
    key = f"train-{sha256(read_bytes(Path(report.path) / 'manifest.json'))[:24]}"
    about = {"model": report.model, "label": report.label, "features": ", ".join(report.features), "settings": report.settings}
    return Entry("train", f"train {report.model}", key, about, metrics, [Path(report.path)])


def of_agent(report: AgentReport) -> Entry:
    """A trained agent: its settings, what it earned as `part.number`, and what its folder holds. Raises DataError where there is none."""
    if not report.path:
        raise DataError("an agent that was not saved cannot be tracked; give `train` an out folder")
    metrics = {f"{part}.{name}": value for part, line in report.metrics.items() for name, value in line.items()}
    metrics |= {name: float(getattr(report.learning, name)) for name in ("steps", "best_step", "episodes")}
    folder = Path(report.path)
    key = f"train-{sha256(read_bytes(folder / 'manifest.json'))[:24]}"
    about = {"agent": report.agent, "config": report.config, "sight": report.sight, "course": report.course, "symbols": report.symbols}
    # The checkpoints are for going on, not for keeping.
    files = [place for place in sorted(folder.iterdir()) if place.name != "checkpoints"]
    return Entry("train", f"train {report.agent}", key, about, metrics, files)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names; lists stay values, as JSON. Empty parts and None are left out."""
    told: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            told |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            told |= {prefix + name: canonical_json(value).decode().strip()} if value else {}
        elif value is not None:
            told[prefix + name] = value
    return told


def _experiment(client: Any, where: Store) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    place = None if where.artefacts is None else where.artefacts.as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


@contextmanager
def _client(where: Store) -> Iterator[Any]:
    """MLflow's client of a store: it changes no address that the user's own code has set."""
    available()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if where.artefacts is not None:
            where.artefacts.parent.mkdir(parents=True, exist_ok=True)
        yield MlflowClient(tracking_uri=where.uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"{where.uri}: MLflow's store cannot be used: {first}") from error
