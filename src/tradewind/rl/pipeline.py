"""`train`: from bars to a saved agent, with honest parts: practise on the first, choose on the second, judge once on the third.

Source: the training guide's PPO (a million steps, an evaluation every 10,000 and a checkpoint every 50,000); ours is that a part remains
which evaluation never saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tradewind.core.errors import DataError, StateError
from tradewind.core.files import load_state, read_json, save_state, write_json
from tradewind.core.limits import fraction
from tradewind.core.market import Market
from tradewind.core.seeds import derive
from tradewind.core.types import Array, State
from tradewind.rl import registry
from tradewind.rl.curve import Progress
from tradewind.rl.grounds import Course, Grounds
from tradewind.rl.learning import Learning
from tradewind.rl.trader import Sight, Trader
from tradewind.simulate.account import Book
from tradewind.simulate.costs import Costs

__all__ = ["AgentReport", "load", "train"]

DRAWS: Final = 2_000
"""Resamples behind an interval."""


@final
@dataclass(frozen=True)
class AgentReport:
    """What a training of an agent did. `rows` counts the bars of each part; `metrics` holds, of the parts that were not practised on, the
    net return, the Sharpe ratio with its 90 % interval and the turnover, a year, and what holding would have earned.

    The part `evaluation` chose the best moment of `learning`, so its numbers flatter; `test` was looked at once.
    """

    agent: str
    config: dict[str, Any]
    sight: dict[str, Any]
    course: dict[str, Any]
    symbols: list[str]
    rows: dict[str, int]
    metrics: dict[str, dict[str, float]]
    learning: Learning
    path: str = ""

    def values(self) -> dict[str, Any]:
        """As plain data for JSON; a number that is none (an undefined metric) becomes null."""
        numbers = {part: {k: x if math.isfinite(x) else None for k, x in line.items()} for part, line in self.metrics.items()}
        told = {name: getattr(self.learning, name) for name in ("steps", "best_step", "episodes", "seconds", "resumed")}
        return {**{name: value for name, value in vars(self).items() if name != "learning"}, "metrics": numbers, **told}

    def to_text(self) -> str:
        """A few lines for people."""
        lines = [f"{self.agent} on {', '.join(self.symbols)}: " + ", ".join(f"{part} {count:,} bars" for part, count in self.rows.items())]
        took = self.learning
        speed = f", {took.steps / took.seconds:,.0f} a second" if took.seconds > 0 else ""
        again = f", taken up at {took.resumed:,}" if took.resumed else ""
        lines.append(f"{took.steps:,} steps{speed}, {took.episodes:,} episodes{again}; the best moment was after {took.best_step:,}")
        for part, m in self.metrics.items():
            lines.append(
                f"{part}: net Sharpe {m['sharpe']:.2f} (90 % interval {m['sharpe_low']:.2f} to {m['sharpe_high']:.2f}), "
                f"holding {m['hold_sharpe']:.2f}; net return {m['net_return']:.1%}, holding {m['hold_return']:.1%}; "
                f"turnover {m['turnover']:.0f} a year"
            )
        lines.append(f"{took.seconds:.1f} s" + (f", saved in {self.path}" if self.path else ""))
        return "\n".join(lines)


def train(
    source: str | Path | Sequence[str | Path] | Market,
    agent: str = "ppo",
    steps: int = 100_000,
    out: str | Path | None = None,
    *,
    features: str | Sequence[Any] = "relative",
    window: int = 1,
    actions: str | int = 3,
    positions: Sequence[float] = (-1.0, 1.0),
    reward: Any = "log-return",
    costs: Costs | None = None,
    lanes: int = 256,
    length: int = 256,
    training: float = 0.7,
    test: float = 0.5,
    evaluate_every: int = 10_000,
    checkpoint_every: int = 50_000,
    symbol: str | None = None,
    timeframe: str | None = None,
    repair: Sequence[str] = (),
    seed: int = 0,
    tensorboard: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    **config: Any,
) -> AgentReport:
    """Let the agent called `agent`, under `config`, practise for `steps` steps on bars, and judge it on later ones.

    `source` is a Market or what `tradewind.data.read` takes (with `timeframe` and `repair`; of several symbols, `symbol` picks one). The
    first `training` of the bars with features are practised on; the last `test` of the rest (0: none) is judged and nothing else; those
    between are played every `evaluate_every` steps, choose the best moment of the agent, and say how often its convictions are right.
    `out` gets the trader, for `load`, `report.json`, `curve.jsonl` and checkpoints: the same call goes on from them after a kill. The
    other settings are those of `Sight` and `Course`.
    Raises SettingsError for settings that cannot be, DataError for bars that cannot be used, StateError for an `out` of another run.
    """
    fraction(training=training)
    fraction(zero=True, test=test)
    learner = registry.agent(agent, **config)
    course = Course(reward, Course().costs if costs is None else costs, lanes, length)
    seen = features if isinstance(features, str) else tuple(features)
    low, high = positions
    sight = Sight(seen, window, actions, (low, high), course.costs.min_trade)
    market = _market(source, symbol, timeframe=timeframe, repair=repair)
    spans = _spans(market, sight, training, test)
    grounds = Grounds(market, sight, course, spans["training"][1])
    contest, episodes = grounds.contest(*spans["evaluation"])
    folder = None if out is None else Path(out)
    about = _about(agent, config, sight, course, market)
    if folder is not None:
        _claim(folder, {**about, "steps": steps, "seed": seed, "market": market.digest, "parts": [list(span) for span in spans.values()]})
    learning = learner.learn(
        grounds.practice(derive(seed, "practice")), steps, seed=seed, evaluate=contest, evaluate_every=evaluate_every, episodes=episodes,
        checkpoint_every=checkpoint_every, folder=folder, tensorboard=tensorboard, progress=progress,
    )  # fmt: skip
    trader = grounds.trader(learner).calibrate(market[: spans["evaluation"][1]], Book(market.symbols, course.costs), spans["evaluation"][0])
    metrics = {part: _judge(trader, market, course.costs, *spans[part], seed) for part in spans if part != "training"}
    rows = {part: stop - start for part, (start, stop) in spans.items()}
    report = AgentReport(**about, rows=rows, metrics=metrics, learning=learning, path="" if folder is None else str(folder))
    return report if folder is None else _save(folder, report, trader)


def load(path: str | Path) -> Trader:
    """The Trader that `train` saved in the folder `path`, built from what is written there alone.

    Raises DataError or Corrupt when a file is missing or damaged, StateError when the folder holds another kind of state, and SettingsError
    for a trader that sees functions of your own, which no file can hold.
    """
    state = load_state(path)
    if not isinstance(state.values.get("agent"), str) or "trader" not in state.values:
        raise StateError(f"{path}: holds no trained agent; point to the folder that `tradewind train --agent --out` wrote")
    told = state.child("trader")
    about = told.values["sight"]
    sight = Sight(**{**about, "features": _tupled(about["features"]), "positions": tuple(about["positions"])})
    return Trader.from_state(told, registry.agent(state.values["agent"], **state.values["config"]), sight)


def _market(source: str | Path | Sequence[str | Path] | Market, symbol: str | None, **reading: Any) -> Market:
    from tradewind.data import read

    market = source if isinstance(source, Market) else read(source, **reading)
    if symbol is None or market.symbols == (symbol,):
        return market
    if isinstance(source, Market) or len(market.symbols) > 1:
        return market.select((symbol,))
    return read(source, symbol, **reading)


def _spans(market: Market, sight: Sight, training: float, test: float) -> dict[str, tuple[int, int]]:
    """The first and the last bar (not included) of each part; bars before the features are warm belong to none."""
    begin, n = sight.warmup - 1, len(market)
    first = begin + int(training * (n - begin))
    second = n - int(test * (n - first))
    spans = {"training": (begin, first), "evaluation": (first, second), "test": (second, n)}
    if test == 0:
        del spans["test"]
    for part, (start, stop) in spans.items():
        if stop - start < 3:
            raise DataError(f"the {part} part has {max(0, stop - start)} bars; {n} bars, of which {begin} warm up, are too few: give more")
    return spans


def _judge(trader: Trader, market: Market, costs: Costs, start: int, stop: int, seed: int) -> dict[str, float]:
    """What the trader earned on the bars from `start` to `stop`, beside an equal share of every symbol bought at once and kept."""
    from tradewind.stats import bootstrap_interval, sharpe

    bars, periods = market[start:stop], market.periods_per_year
    targets = trader.decide_all(market[:stop], Book(market.symbols, costs), start)[start:]
    hold = np.full(targets.shape, np.nan)
    hold[0] = 1.0 / len(market.symbols)
    record = Book(market.symbols, costs).advance(bars, targets)
    net, held = _returns(record.equity), _returns(Book(market.symbols, costs).advance(bars, hold).equity)
    low, high = bootstrap_interval(net, draws=DRAWS, seed=derive(seed, "interval"))
    return {
        "sharpe": sharpe(net, periods), "sharpe_low": low * math.sqrt(periods), "sharpe_high": high * math.sqrt(periods),
        "hold_sharpe": sharpe(held, periods), "net_return": float(np.prod(1.0 + net) - 1.0),
        "hold_return": float(np.prod(1.0 + held) - 1.0), "turnover": float(record.traded.mean() * periods),
    }  # fmt: skip


def _returns(equity: Array) -> Array:
    before = np.concatenate([[1.0], equity[:-1]])
    change = np.zeros(len(equity))
    np.divide(equity - before, before, out=change, where=before > 0)
    return change


def _about(agent: str, config: dict[str, Any], sight: Sight, course: Course, market: Market) -> dict[str, Any]:
    """What is trained, as plain data."""
    practised = {"reward": _named(course.reward), "costs": course.costs.to_dict(), "lanes": course.lanes, "length": course.length}
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
    return {"agent": agent, "config": settings, "sight": sight.values(), "course": practised, "symbols": list(market.symbols)}


def _claim(folder: Path, run: dict[str, Any]) -> None:
    """Write down which run the folder is of. Raises StateError when it is of another one."""
    place = folder / "run.json"
    theirs = read_json(place) if place.exists() else run
    other = [name for name in run if run[name] != theirs.get(name)]
    if other:
        raise StateError(f"{folder} holds a run with another {', '.join(other)}; choose another folder, or delete this one to begin anew")
    write_json(place, run)


def _save(folder: Path, report: AgentReport, trader: Trader) -> AgentReport:
    save_state(folder, State({"agent": report.agent, "config": report.config}).nest("trader", trader.state()))
    # Beside the state, not in it: seconds differ from run to run, the state does not.
    write_json(folder / "report.json", report.values())
    return report


def _named(reward: Any) -> str:
    return reward if isinstance(reward, str) else str(getattr(reward, "__qualname__", reward))


def _tupled(features: Any) -> str | tuple[Any, ...]:
    return features if isinstance(features, str) else tuple(features)
