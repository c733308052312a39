"""The ensemble on real markets: presets beside the best member in hindsight, equal weight, and hold; one JSON line a row.

    tradewind run --market btc-15m --seed 0 --out FOLDER       (and other markets and seeds)
    python bench/ensemble_markets.py FOLDER/ID ... [--presets conservative,balanced,aggressive]

Nothing is fitted here: each preset combines the recorded targets of a finished run, which were decided out of sample. All presets of all runs are
counted as trials in the ledger, TRADEWIND_LEDGER, before any verdict. The best member in hindsight is no result. At the end stand the means
over the runs of one market, and how far each preset is ahead of equal weight and of hold, a year, with the standard error of one run.
"""  # noqa: E501

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tradewind.engine import Backtest, backtest
from tradewind.evaluate.ensemble_row import EnsembleRow, ensemble_row
from tradewind.evaluate.finished import FinishedRun, open_run
from tradewind.evaluate.identity import digest
from tradewind.evaluate.ledger import Ledger, Trials
from tradewind.evaluate.result import Result

MADE = ("hold", "mix", "ensemble")
NUMBERS = ("net_return", "sharpe", "sharpe_low", "sharpe_high", "max_drawdown", "turnover")


def tell(**line: Any) -> None:
    """One row, numbers to four digits."""

    def short(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: short(each) for name, each in value.items()}
        return round(value, 4) if isinstance(value, float) else value

    print(json.dumps({name: short(value) for name, value in line.items()}), flush=True)


def combined_rows(run: FinishedRun, presets: list[str], ledger: Ledger) -> tuple[dict[str, Backtest], dict[str, EnsembleRow]]:
    """The accounts of a run's rows and of the presets, by name, and how the presets came about; each preset is counted."""
    accounts = {row: run.account(row) for row in run.settings.strategies if row != "ensemble"}
    members = {row: account for row, account in accounts.items() if row not in MADE}
    whole, found = run.market[: run.folds[-1].test.stop], {}
    for name in presets:
        chosen = dataclasses.replace(run.settings, preset=name)
        found[name] = ensemble_row(chosen.ensemble, whole, members)
        accounts[f"ensemble {name}"] = backtest(found[name].found.targets, run.tested, run.settings.costs)
        account = accounts[f"ensemble {name}"]
        ledger.note(digest({"ensemble": chosen.identity(run.market)}), "ensemble", account.market, account.returns)
    return accounts, found


def judged(name: str, accounts: Mapping[str, Backtest], trials: Trials, seed: int) -> Result:
    """A row as the main job judges it, beside all others."""
    others = [each.returns for row, each in accounts.items() if row not in ("hold", name)]
    return Result(name, {}, accounts[name], (), trials, seed, np.column_stack(others))


def table(run: FinishedRun, accounts: Mapping[str, Backtest], found: Mapping[str, EnsembleRow], trials: Trials) -> dict[str, Any]:
    """Tell every row of a run, and return the numbers of each."""
    seed, best = run.settings.seed, next(iter(found.values())).best
    rows = {"hold": "hold", "equal weight": "mix", f"best member in hindsight, {best}": best, **{f"ensemble {name}": "" for name in found}}
    numbers: dict[str, Any] = {}
    for shown, row in rows.items():
        result = judged(row or shown, accounts, trials, seed)
        has_verdict = shown.startswith(("ensemble", "equal"))
        numbers["best member in hindsight" if row == best else shown] = {name: float(result.metrics[name]) for name in NUMBERS}
        about = found[shown.removeprefix("ensemble ")].to_dict() if not row else {}
        about.pop("best_member_in_hindsight", None)
        label = result.verdict.label if has_verdict else "-"
        tell(row=shown, seed=seed, **{name: float(result.metrics[name]) for name in NUMBERS}, verdict=label, trials=trials.count, **about)
        if not row:
            leads = {f"ahead_of_{other}": lead(accounts[shown], accounts[other]) for other in ("mix", "hold")}
            tell(row=shown, seed=seed, **leads)
    return numbers


def lead(one: Backtest, other: Backtest) -> dict[str, float]:
    """The mean difference of the net returns a year, and its standard error."""
    apart, periods = one.returns - other.returns, one.market.periods_per_year
    return {"mean": float(apart.mean() * periods), "error": float(apart.std(ddof=1) / len(apart) ** 0.5 * periods)}


def main(arguments: Iterable[str] | None = None) -> None:
    """Combine the runs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--presets", default="conservative,balanced,aggressive")
    given = parser.parse_args(None if arguments is None else list(arguments))
    presets, ledger = given.presets.split(","), Ledger()
    opened = [open_run(folder) for folder in given.runs]
    made = [combined_rows(run, presets, ledger) for run in opened]
    markets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, (accounts, found) in zip(opened, made, strict=True):
        tell(run=run.id, market=", ".join(run.settings.data) or run.settings.market, bars=len(run.tested), seed=run.settings.seed)
        markets[run.market.digest].append(table(run, accounts, found, ledger.trials(run.tested)))
    for runs in markets.values():
        for shown in runs[0]:
            means = {name: float(np.mean([numbers[shown][name] for numbers in runs])) for name in NUMBERS}
            tell(mean_of=len(runs), row=shown, **means)


if __name__ == "__main__":
    main()
