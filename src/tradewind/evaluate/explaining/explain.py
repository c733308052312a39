"""Why a decision of a finished run was taken: the fitted model of its fold, what it knew, what it said, and what came of it.

The decision is taken again from the files of the run, and the target that comes out is compared with the one on record: an explanation of
another decision would be worth nothing. Costs one forecast of the fold up to the bar, and two passes over the features. Fails where a
strategy was not kept or cannot be restored; that a contribution is named says what the model leant on, not what moves the market.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.clock import format_time, parse_time
from tradewind.core.errors import DataError
from tradewind.core.types import Array, Labels, View
from tradewind.engine import Backtest
from tradewind.engine import targets as decide_targets
from tradewind.evaluate.ensemble_row import ensemble_row
from tradewind.evaluate.finished import FinishedRun, open_run
from tradewind.evaluate.plan import MADE
from tradewind.evaluate.result import finite
from tradewind.features.scale import Standardiser
from tradewind.strategies.forecasting import Forecasting
from tradewind.strategies.mix import mix_targets
from tradewind.strategies.reason import Answer, Reason, share

if TYPE_CHECKING:
    from tradewind.models.tft_reading import Interpretation

__all__ = ["Aftermath", "Explanation", "Order", "explain", "explain_decision"]


@final
@dataclass(frozen=True)
class Order:
    """The trade that followed: when the bar that filled it opened (UTC ns), units bought (sold below zero), the fill price, and as shares
    of the equity before it the notional, the fee and the slippage. A `quantity` of 0 is no trade.
    """

    filled: int
    quantity: float
    price: float
    notional: float
    fee: float
    slippage: float


@final
@dataclass(frozen=True)
class Aftermath:
    """What came of it by the close known at `until` (UTC ns): `move`, the price's simple return since the fill, and `earned` by holding the
    symbol over those bars, as a fraction of the equity at the bar, fees and slippage of fills paid. `horizon`: the bars that the label
    looks ahead, 0 when it ends with the next order. `answer`: the label's value as it came out, NaN where there is none.
    """

    until: int
    horizon: int
    move: float
    earned: float
    answer: float


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """One decision: of `row` on `symbol` at the bar that opens at `bar` and is `known` (UTC ns), in `fold`, by what was fitted in `fitted`
    on the bars that open in `trained` (UTC ns, first and last).

    `recorded` and `recomputed`: the target on record and as taken again, NaN keeps. `reason`: the strategy's own; None when it offers none.
    `scores` (feature,): the last inputs as standard scores of the training part. `base`: what was usual there: class shares, or `mean`.
    `order` is None where none followed, `aftermath` where the record ends. `notes`: what is not as it was when the run was made.
    """

    run: str
    row: str
    symbol: str
    column: int
    bar: int
    known: int
    fold: int
    fitted: int
    trained: tuple[int, int]
    recorded: float
    recomputed: float
    reason: Reason | None
    scores: Array
    base: Mapping[str, float]
    order: Order | None
    aftermath: Aftermath | None
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the decision taken again is the one on record, to the bit."""
        return self.recorded == self.recomputed or (math.isnan(self.recorded) and math.isnan(self.recomputed))

    @property
    def answer(self) -> Answer | None:
        """What a forecaster said, where one was asked."""
        return None if self.reason is None else self.reason.answer

    def forecast(self) -> dict[str, float]:
        """The forecast by name: `class -1`, ..., or `mean`, and `quantile 0.1`, ...; empty where there is none."""
        if self.answer is None:
            return {}
        said, column = self.answer.forecast, self.column
        told: dict[str, float] = {}
        if said.probabilities is not None:
            told |= {_class(code): float(p) for code, p in zip(said.classes, said.probabilities[-1, column], strict=True)}
        if said.mean is not None:
            told["mean"] = float(said.mean[-1, column])
        if said.quantiles is not None:
            told |= {f"quantile {level:g}": float(q) for level, q in zip(said.levels, said.quantiles[-1, column], strict=True)}
        return told

    def inputs(self) -> dict[str, tuple[float, float]]:
        """What the model knew at the bar: of each feature its value and its standard score in the training part."""
        if self.answer is None:
            return {}
        X = self.answer.X
        return {name: (float(X.values[-1, self.column, i]), float(self.scores[i])) for i, name in enumerate(X.names)}

    def contributions(self) -> dict[str, float]:
        """What each feature added to the answer, summed over the lags of a window, the largest first; empty where the model cannot tell."""
        if self.answer is None or self.answer.parts is None:
            return {}
        summed = self.answer.parts.values[0].sum(axis=0)
        order = np.argsort(-np.abs(summed), kind="stable")
        return {self.answer.parts.names[i]: float(summed[i]) for i in order}

    def interpretation(self) -> Interpretation | None:
        """The selection and attention weights behind the answer, where the model has such."""
        ask = None if self.answer is None else getattr(self.answer.model, "interpretation", None)
        if self.answer is None or self.answer.parts is None or ask is None:
            return None
        found: Interpretation = ask(self.answer.X, np.array([[len(self.answer.X) - 1, self.column]]))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able data without clocks; what is not a finite number is None."""
        parts = None if self.answer is None else self.answer.parts
        weights = self.interpretation()
        return {
            "run": self.run, "row": self.row, "symbol": self.symbol, "bar": format_time(self.bar), "known": format_time(self.known),
            "fold": self.fold, "fitted_in_fold": self.fitted, "trained": [format_time(moment) for moment in self.trained],
            "target": finite({"recorded": self.recorded, "recomputed": self.recomputed, "same": self.same}),
            "reason": None if self.reason is None else {"words": list(self.reason.words), "values": finite(self.reason.values)},
            "forecast": finite(self.forecast()), "base": finite(self.base),
            "inputs": {name: finite({"value": value, "score": score}) for name, (value, score) in self.inputs().items()},
            "silence": "" if self.answer is None else self.answer.silence,
            "contributions": None if parts is None else {
                "lags": parts.values[0].tolist() if parts.values.shape[1] > 1 else None,
                "method": parts.method, "unit": parts.unit, "base": float(parts.base[0]), "total": float(parts.total[0]),
                "features": finite(self.contributions()),
            },
            "weights": None if weights is None else {**weights.selected(), "attention": weights.attended().tolist()},
            "order": None if self.order is None else finite({**asdict(self.order), "filled": format_time(self.order.filled)}),
            "aftermath": None if self.aftermath is None else finite({**asdict(self.aftermath), "until": format_time(self.aftermath.until)}),
            "notes": list(self.notes),
        }  # fmt: skip


def explain(folder: str | Path, at: str | int, row: str | None = None, symbol: str | None = None, data: Sequence[str] = ()) -> Explanation:
    """Why the run in `folder` decided what it did after the bar that opens at `at`, an ISO time or UTC ns.

    `row` and `symbol` may be left out where there is but one (hold aside). `data`: where the files are now, when they have moved.
    Raises DataError for what is no run, for other data, for a time without a bar (naming the nearest) and for a strategy that was not kept,
    Corrupt when a byte of the targets or the fit has changed, StateError when this version cannot restore it, SettingsError for names.
    """
    moment = parse_time(at) if isinstance(at, str) else int(at)
    run = open_run(folder, data)
    name, column = run.row(row), run.symbol(symbol)
    return explain_decision(run, name, run.bar(moment, column), column)


def explain_decision(run: FinishedRun, row: str, bar: int, symbol: int) -> Explanation:
    """Why `row` of an opened run decided what it did after the market's row `bar` on the symbol in column `symbol`; see `explain`."""
    fold, market = run.fold_of(bar), run.market
    account = run.account(row)
    recorded = float(account.targets[bar - run.first, symbol])
    scores, labels, fitted = np.empty(0), None, fold
    base: dict[str, float] = {}
    reason: Reason | None
    if row in MADE:
        recomputed, reason = (_mixed if row == "mix" else _combined)(run, bar, symbol)
    else:
        strategy, fitted = run.strategy(row, fold)
        start = run.folds[fold].test.start
        seen = market[: bar + 1]
        recomputed = float(decide_targets(strategy, seen, run.book(row, start), start)[bar, symbol])
        reason = _reason(strategy, View(seen, int(market.known[bar]), run.book(row, bar + 1).portfolio()), symbol)
        if isinstance(strategy, Forecasting):
            scores, base = _usual(strategy, run, fitted, bar, symbol)
            labels = strategy.lesson(market)[1]
    train = run.folds[fitted].train
    return Explanation(
        run.id, row, market.symbols[symbol], symbol, int(market.open_time[bar]), int(market.known[bar]), fold, fitted,
        (int(market.open_time[train.start]), int(market.open_time[train.stop - 1])),
        recorded, recomputed, reason, scores, base,
        _order(run, account, bar, symbol), _aftermath(run, account, bar, symbol, labels), run.notes,
    )  # fmt: skip


def _reason(strategy: Any, view: View, symbol: int) -> Reason | None:
    ask = getattr(strategy, "explain", None)
    if ask is None:
        return None
    reason = ask(view, symbol)
    if not isinstance(reason, Reason):
        raise DataError(f"{type(strategy).__name__}.explain returned {type(reason).__name__}; return a tradewind.strategies.reason.Reason")
    return reason


def _combined(run: FinishedRun, bar: int, symbol: int) -> tuple[float, Reason]:
    """The ensemble of a run is made of its rows' recorded targets and accounts, and of the bars up to the one asked about."""
    t, accounts = bar - run.first, {row: run.account(row) for row in run.settings.mixed}
    made = ensemble_row(run.settings.ensemble, run.market[: run.folds[-1].test.stop], accounts)
    return float(made.found.targets[t, symbol]), made.explain(t, symbol)


def _mixed(run: FinishedRun, bar: int, symbol: int) -> tuple[float, Reason]:
    """The mix of a run is made of its rows' recorded targets and accounts."""
    t = bar - run.first
    accounts = {row: run.account(row) for row in run.settings.mixed}
    wanted = float(mix_targets([each.targets for each in accounts.values()], [each.weights for each in accounts.values()])[t, symbol])
    counted = {row: (each.targets[t, symbol], each.weights[t, symbol]) for row, each in accounts.items()}
    told = ", ".join(f"{row} {'keeps' if np.isnan(target) else 'wants'} {share(float(held if np.isnan(target) else target))}"
                     for row, (target, held) in counted.items())  # fmt: skip
    result = "All keep, so it keeps too." if math.isnan(wanted) else f"Their mean is {share(wanted)}."
    values = {row: float(held if np.isnan(target) else target) for row, (target, held) in counted.items()}
    return wanted, Reason((f"It is the mean of its members: {told}.", result), values)


def _usual(strategy: Forecasting, run: FinishedRun, fitted: int, bar: int, symbol: int) -> tuple[Array, dict[str, float]]:
    """The bar's inputs as standard scores of the training part, and what the answers were there."""
    X, y = strategy.lesson(strategy.shown(run.market[run.folds[fitted].train]))
    now = strategy.lesson(run.market[: bar + 1])[0]
    scores = Standardiser().fit(X).transform(now[-1:]).values[0, symbol]
    taught = np.isfinite(y.values) & np.isfinite(X.values).all(axis=2)
    answers, weights = y.values[taught], y.weights[taught]
    if not weights.any():
        return scores, {}
    if not y.classes:
        return scores, {"mean": float(np.average(answers, weights=weights))}
    return scores, {_class(code): float(np.average(answers == code, weights=weights)) for code in y.classes}


def _order(run: FinishedRun, account: Backtest, bar: int, symbol: int) -> Order | None:
    """The fill of the target of `bar`; None when it keeps, or when no bar of the symbol followed in time."""
    t, costs = bar - run.first, account.costs
    fill = t + costs.latency
    if math.isnan(account.targets[t, symbol]) or fill >= len(account.market) or math.isnan(account.market.open[fill, symbol]):
        return None
    quantity = float(account.positions[fill, symbol] - account.positions[fill - 1, symbol])
    price, market = float(account.market.open[fill, symbol]), account.market
    slippage, fee = costs.slippage_bps * 1e-4, costs.fee_bps * 1e-4
    held = account.positions[fill - 1]
    opens = np.where(np.isnan(market.open[fill]), np.nan_to_num(account.market.close[fill - 1]), market.open[fill])
    before = float(account.record.cash[fill - 1] + held @ np.nan_to_num(opens))
    notional = abs(quantity) * price / before if before > 0 else math.nan
    return Order(
        int(market.open_time[fill]), quantity, price * (1.0 + np.sign(quantity) * slippage), notional, notional * fee, notional * slippage
    )


def _aftermath(run: FinishedRun, account: Backtest, bar: int, symbol: int, labels: Labels | None) -> Aftermath | None:
    """From the open that filled, or would have, to the label's horizon, or to the next fill in the symbol."""
    market, t = account.market, bar - run.first
    fill = t + account.costs.latency
    there = np.flatnonzero(~np.isnan(market.close[:, symbol]))
    there = there[there >= fill]
    if not len(there):
        return None
    moved = np.flatnonzero(np.diff(account.positions[:, symbol], prepend=0.0) != 0.0)
    later = moved[moved > there[0]]
    horizon = 0 if labels is None else labels.horizon
    answer = math.nan if labels is None else float(labels.values[bar, symbol])
    if labels is not None and labels.end[bar, symbol] >= 0:
        stop = int(labels.end[bar, symbol]) - run.first
    elif horizon:
        stop = int(there[min(horizon, len(there)) - 1])
    else:
        # The next fill is at an open, so the last close that this holding saw is the one before it.
        stop = int(later[0]) - 1 if len(later) else int(there[-1])
    stop = max(int(there[there <= max(stop, there[0])][-1]), int(there[0]))
    start = float(market.open[there[0], symbol])
    return Aftermath(
        int(market.known[stop]), horizon, float(market.close[stop, symbol]) / start - 1.0, _earned(account, t, there, stop, symbol), answer
    )


def _earned(account: Backtest, t: int, there: NDArray[np.int64], stop: int, symbol: int) -> float:
    """What holding the symbol earned from the open of row `there[0]` to the close of row `stop`, over the equity at row `t`."""
    market, costs = account.market, account.costs
    rows = there[there <= stop]
    opens, closes = market.open[rows, symbol], market.close[rows, symbol]
    held = account.positions[rows, symbol]
    before = np.concatenate([[account.positions[max(0, rows[0] - 1), symbol] if rows[0] else 0.0], held[:-1]])
    gained = held * (closes - opens)
    gained[1:] += before[1:] * (opens[1:] - closes[:-1])
    gained -= np.abs(held - before) * opens * (costs.fee_bps + costs.slippage_bps) * 1e-4
    if market.funding_rate is not None:
        marks = (
            closes
            if market.mark_close is None
            else np.where(np.isnan(market.mark_close[rows, symbol]), closes, market.mark_close[rows, symbol])
        )
        gained[1:] -= before[1:] * marks[:-1] * np.nan_to_num(market.funding_rate[rows[1:], symbol])
    equity = float(account.equity[t])
    return float(gained.sum()) / equity if equity > 0 else math.nan


def _class(code: float) -> str:
    return f"class {code:+g}" if code else "class 0"
