"""Records of runs: those in a folder of runs, read from their own files, and those in MLflow; listed, and compared side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from tradewind.core.clock import format_time
from tradewind.core.errors import DataError, SettingsError, TradewindError
from tradewind.core.files import read_json
from tradewind.core.settings import suggest
from tradewind.serve import tracking

__all__ = ["Record", "chosen", "compare", "found", "listing", "tracked"]

_SHOWN: Final = 12
"""Characters of an id in a list; that many tell any two apart."""


@final
@dataclass(frozen=True)
class Record:
    """One run, comparison, tuning or training: `made` UTC ns, `about` in a few words; the `best` row's `sharpe` and `verdict`; `settings`
    and `metrics` by dotted name.
    """

    id: str
    kind: str
    made: int
    about: str
    best: str
    sharpe: float
    verdict: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]


def found(folder: str | Path) -> list[Record]:
    """The finished runs, comparisons and tunings in `folder`, the newest first; those that were begun and not finished are left out.

    Raises DataError when there is no such folder, and for files that cannot be read, naming them.
    """
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"{place}: is no folder; give the --out of the runs")
    records = [_of_file(path) for name in ("result.json", "compare.json") for path in sorted(place.glob(f"*/{name}"))]
    return sorted(records, key=lambda record: (-record.made, record.id))


def tracked(where: tracking.Store) -> list[Record]:
    """The finished records in an MLflow store, the newest first. Raises MissingExtra and DataError as `tracking` does."""
    records = []
    for entry in tracking.entries(where):
        best, ratio = _best({name: x for name, x in entry["metrics"].items() if name.endswith(".sharpe") and not name.startswith("hold.")})
        row = best.removesuffix(".sharpe")
        verdict = entry["tags"].get(f"verdict.{row.rpartition('.')[2]}", "")
        records.append(
            Record(
                entry["id"], entry["kind"], entry["began"], entry["name"], row, ratio, verdict, entry["parameters"], entry["metrics"]
            )
        )  # fmt: skip
    return records


def chosen(records: Sequence[Record], name: str) -> Record:
    """The record whose id begins with `name`. Raises SettingsError when there is none, or more than one."""
    matches = [record for record in records if record.id.startswith(name)]
    if len(matches) != 1:
        what = "is the beginning of several ids" if matches else "is no run here"
        raise SettingsError(f"{name!r} {what}{suggest(name, [record.id[:_SHOWN] for record in matches or records])}")
    return matches[0]


def listing(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A line a record, as text: id, kind, when, about, best row, its Sharpe ratio, verdict."""
    return [
        (
            record.id[:_SHOWN], record.kind, format_time(record.made)[:16].replace("T", " "), record.about, record.best,
            "" if math.isnan(record.sharpe) else f"{record.sharpe:.2f}", record.verdict,
        )
        for record in records
    ]  # fmt: skip


def compare(one: Record, other: Record) -> list[tuple[str, str, str]]:
    """(name, one, other) of every setting that differs, then of every number, as text; empty where a record lacks it."""
    settings = [name for name in _names(one.settings, other.settings) if one.settings.get(name) != other.settings.get(name)]
    lines = [(name, _word(one.settings.get(name)), _word(other.settings.get(name))) for name in settings]
    return [*lines, *((name, _word(one.metrics.get(name)), _word(other.metrics.get(name))) for name in _names(one.metrics, other.metrics))]


def _of_file(path: Path) -> Record:
    result, made = read_json(path), path.stat().st_mtime_ns
    try:
        if path.name == "compare.json":
            return _of_comparison(result, made)
        return _of_run(path.parent, result, made) if "rows" in result else _of_tuned(path.parent, result, made)
    except (KeyError, TypeError, AttributeError) as error:
        raise TradewindError(f"{path}: is not the result of a run, a comparison or a tuning ({error!r}); move it away") from None


def _of_comparison(result: Mapping[str, Any], made: int) -> Record:
    rows, data = result["rows"], result["data"]
    best, ratio = _best({name: row["scores"]["net Sharpe"]["value"] for name, row in rows.items()})
    about = f"{', '.join(data['symbols'])} {data['timeframe']}, {result['settings']['label']}, {len(rows)} forecasters"
    metrics = tracking.flat({name: {score: told["value"] for score, told in row["scores"].items()} for name, row in rows.items()})
    settings = {**tracking.flat(result["settings"]), "data.digest": data["digest"]}
    verdict = ""
    if best:
        accounts, typical = list(rows[best]["accounts"]), str(rows[best]["typical"]["seed"])
        verdict = rows[best]["verdicts"][accounts.index(typical)]
    return Record(result["id"], "compare", made, about, best, ratio, verdict, settings, metrics)


def _of_run(folder: Path, result: Mapping[str, Any], made: int) -> Record:
    settings, data, rows = read_json(folder / "manifest.json")["settings"], result["data"], result["rows"]
    best, ratio = _best({name: row["metrics"]["sharpe"] for name, row in rows.items() if name != "hold"})
    about = f"{', '.join(data['symbols'])} {data['timeframe']}, {len(rows)} rows"
    metrics = tracking.flat({name: row["metrics"] for name, row in rows.items()})
    verdict = rows[best]["verdict"]["label"] if best else ""
    return Record(
        result["id"], "run", made, about, best, ratio, verdict, {**tracking.flat(settings), "data.digest": data["digest"]}, metrics
    )


def _of_tuned(folder: Path, result: Mapping[str, Any], made: int) -> Record:
    rows = result["holdout"]
    best = "tuned" if "tuned" in rows else "untuned"
    about = f"{result['strategy']}, {len(result['table'])} trials, on the hold-out"
    metrics = tracking.flat({part: {name: row["metrics"] for name, row in result[part].items()} for part in ("tuning", "holdout")})
    settings = tracking.flat({"strategy": result["strategy"], **result["settings"]})
    ratio = rows[best]["metrics"]["sharpe"]
    return Record(folder.name, "tune", made, about, best, _number(ratio), rows[best]["verdict"]["label"], settings, metrics)


def _best(ratios: Mapping[str, float | None]) -> tuple[str, float]:
    """The name with the highest ratio, and the ratio; ("", NaN) without any."""
    known = {name: _number(ratio) for name, ratio in ratios.items() if ratio is not None}
    best = max(known, key=lambda name: known[name], default="")
    return best, known.get(best, math.nan)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _names(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [*one, *(name for name in other if name not in one)]


def _word(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
