"""Commands that teach models and agents: train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tradewind.cli.agents import practise
from tradewind.cli.options import Bundled, Files, Repairs, Track, TrackTo, listed, setting
from tradewind.core.errors import SettingsError

if TYPE_CHECKING:
    from tradewind.core.market import Market
    from tradewind.models.pipeline import TrainingReport

__all__ = ["train"]

_PLACES: Final = {"model", "out", "progress", "repair", "source"}
_LESSONS: Final = ("features", "label", "label_settings", "training", "test", "embargo", "symbol", "timeframe")
"""What `pipeline.train` takes beside the settings of the model; `--set` reaches those that have no flag."""


def train(
    files: Files = None,
    repair: Repairs = None,
    market: Bundled = "btc-15m",
    model: Annotated[
        str | None, typer.Option(help="A forecaster; `tradewind forecasters` lists them.  [default: price-action-transformer]")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="An agent in place of a forecaster; `tradewind agents` lists them.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of --agent: steps to practise, over all lanes.  [default: 1000000]")] = None,
    lanes: Annotated[int | None, typer.Option(help="Of --agent: environments side by side.  [default: 256]")] = None,
    reward: Annotated[
        str | None, typer.Option(help="Of --agent: log-return, differential-sharpe, drawdown, inventory, or my_module:reward.")
    ] = None,
    actions: Annotated[str | None, typer.Option(metavar="continuous|discrete|N", help="Of --agent: what it may do.  [default: 3]")] = None,
    tensorboard: Annotated[str | None, typer.Option(metavar="DIR", help="Of --agent: a log for TensorBoard.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Of a bundled market one symbol; of a file without symbols, its name.")] = None,
    features: Annotated[str | None, typer.Option(help="A set of features, or columns with commas between.")] = None,
    label: Annotated[str | None, typer.Option(help="What is learned: next-bar, triple-barrier, horizon-return or multi-horizon.")] = None,
    timeframe: Annotated[str | None, typer.Option(metavar="1h|4h|1d", help="Of a bundled market slower bars; of files their own.")] = None,
    out: Annotated[str, typer.Option(help="Folder for the model, its scaler and its settings.")] = "models/latest",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model; with --tune also LO..HI and A|B.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="First search the settings, on the training part alone.")] = False,
    trials: Annotated[int, typer.Option(help="Of --tune: trials in all, the untuned settings first.")] = 50,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Of --tune: when searching stops; 0 for never.")] = 3600.0,
    track: Track = False,
    track_to: TrackTo = None,
) -> None:
    """Train one forecaster, or one agent, on bars, judge it on a part that it never saw, and save it."""
    from tradewind.serve import tracking

    store = tracking.store(track, track_to, Path(out).parent)
    # Files tell their symbol and timeframe to the reader; a bundled market is cut to them here.
    reading = {"symbol": symbol, "timeframe": timeframe} if files else {}
    practice = {"steps": steps, "lanes": lanes, "reward": reward, "actions": actions, "tensorboard": tensorboard}
    seen = listed(features)
    columns = {"features": seen[0] if seen and len(seen) == 1 else seen}
    if agent is not None:
        _refuse({"model": model, "label": label, "tune": tune or None}, f"goes with a forecaster, not with --agent {agent}")
        flags = {**columns, **reading, **practice}
        told = practise(files or _sample(market, symbol, timeframe), agent, out, tuple(repair or ()), flags, changes)
        if store is not None:
            print(f"tracked: {tracking.log(tracking.of_agent(told), store)}")
        return
    _refuse(practice, "goes with --agent; say which, such as --agent ppo")
    source, given = files or _sample(market, symbol, timeframe), {**columns, "label": label, **reading}
    done = _forecaster(
        source, model or "price-action-transformer", out, tuple(repair or ()), given, changes, (trials, timeout) if tune else None
    )
    if store is not None:
        print(f"tracked: {tracking.log(tracking.of_training(done), store)}")


def _refuse(flags: dict[str, Any], why: str) -> None:
    for name, value in flags.items():
        if value is not None:
            raise SettingsError(f"--{name} {why}")


def _forecaster(
    source: Any, model: str, out: str, repair: tuple[str, ...], flags: dict[str, Any], changes: list[str] | None,
    search: tuple[int, float] | None,
) -> TrainingReport:  # fmt: skip
    """Train a forecaster, after a search over its settings of so many trials and seconds where one is asked for."""
    from tradewind.evaluate.pages.display import bars
    from tradewind.models.pipeline import train as pipeline

    taught, settings = _sorted(changes, search is not None, {name: value for name, value in flags.items() if value is not None})
    with bars() as progress:
        if search is not None:
            budget = {"trials": search[0], "timeout": search[1], "repair": repair}
            settings = _tuned(source, model, out, settings, taught, budget, progress)
        total = int(settings.get("epochs", 0)) if str(settings.get("epochs", 0)).isdigit() else 0
        done = pipeline(
            source, model, out, repair=repair,
            progress=lambda epoch: progress("epochs", epoch.epoch, max(total, epoch.epoch)), **taught, **settings,
        )  # fmt: skip
    print(done.to_text())
    return done


def _sample(market: str, symbol: str | None, timeframe: str | None) -> Market:
    from tradewind.data import sample
    from tradewind.data.resampling import resample

    bars = sample(market)
    if symbol is not None:
        bars = bars.select((symbol,))
    return bars if timeframe in (None, bars.timeframe) else resample(bars, timeframe)


def _sorted(changes: list[str] | None, tune: bool, flags: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the lessons are made of, flags included, and the settings of the model. Raises SettingsError for what is said twice."""
    from tradewind.evaluate.tuning.search import read_change

    said = dict((read_change if tune else setting)(change) for change in changes or ())
    for key in _PLACES & said.keys():
        raise SettingsError(f"--set {key}: is no setting of the model; the flags of `tradewind train --help` say where things go")
    for key in flags.keys() & said.keys():
        raise SettingsError(f"--set {key}: --{key} says it too; say it once")
    lessons: dict[str, Any] = {name: said.pop(name) for name in _LESSONS if name in said}
    return {**flags, **lessons}, said


def _tuned(
    source: Any, model: str, out: str, search: dict[str, Any], lessons: dict[str, Any], budget: dict[str, Any], progress: Any
) -> dict[str, Any]:
    """The settings that a search found; the study lies beside the model, in `out`-tuning."""
    from tradewind.evaluate.tuning.tune_forecaster import tune_forecaster

    known = {name: value for name, value in lessons.items() if name not in ("test", "embargo")}
    tuned = tune_forecaster(source, model, f"{out.rstrip('/')}-tuning", search=search, progress=progress, **known, **budget)
    print(tuned.to_text())
    return dict(tuned.settings)
