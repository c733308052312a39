"""`CryptoTaskDistribution`: few-shot tasks of five kinds out of any market, each of which could have been set at its time.

A task belongs to one symbol (or pair, or basket) and one moment. Its support is what was known then: going back from the newest label known
strictly before the first query, in steps of `spacing` bars, the latest `num_support` samples of every class; its query is the first
`num_query` samples from that moment on, `spacing` bars apart, whatever their classes. So support strictly precedes query, with the label's
horizon as gap, and unlike the customary draw by class the query is never chosen by its labels. Shots of Vinyals et al. 2016,
https://arxiv.org/abs/1606.04080. The inputs are scored with mean and deviation of the training part, which also parts the classes of risk
and says which markets are related: that much, and no more, a task of the training part knows of later bars of that part; one of the other
parts knows nothing later than itself.

Costs the features and labels of the market once, then some dozen microseconds a task. Fails where a class is rarer than the look-back is
long: places without enough shots are left out, and what is measured holds for the other places. Tasks of one symbol overlap in time and are
correlated: judge by blocks of time (`query_times`), not as if each were a sample of its own.
"""

from __future__ import annotations

from copy import copy
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, Self, final

import numpy as np
import torch

from tradewind.core.errors import DataError
from tradewind.core.files import canonical_json, sha256
from tradewind.core.limits import fraction, number, whole
from tradewind.core.market import Market
from tradewind.core.seeds import generator
from tradewind.core.settings import choose, require
from tradewind.features import Standardiser, compute
from tradewind.features.catalog import Wanted
from tradewind.meta.difficulty import difficulty
from tradewind.meta.kinds.arbitrage import ARBITRAGE_CLASSES, arbitrage
from tradewind.meta.kinds.direction import direction, direction_classes
from tradewind.meta.kinds.ground import Ground, stand
from tradewind.meta.kinds.portfolio import FREQUENCIES, portfolio
from tradewind.meta.kinds.regime import regime, regime_classes
from tradewind.meta.kinds.risk import MEASURES, risk, risk_classes
from tradewind.meta.kinds.series import Demand, Rows, Series
from tradewind.meta.task_parts import SPLITS, check_shares, divide
from tradewind.meta.tasks import LossName, Task

__all__ = ["TASK_TYPES", "CryptoTaskConfig", "CryptoTaskDistribution"]

TASK_TYPES: Final = {
    "price_direction": (3, 2, 3),
    "portfolio_optimization": (0, 0, 0),
    "market_regime": (4, 3, 4),
    "arbitrage": (2, 2, 2),
    "risk_assessment": (3, 2, 10),
}
"""The kinds of task, and of each how many classes it has unless told, at least and at most; 0 where labels are numbers."""
_ALIASES: Final = {"classification": "price_direction"}


@final
@dataclass(frozen=True)
class CryptoTaskConfig:
    """What tasks are about. "classification" is another word for `price_direction`.

    `trading_pairs`: symbols of the market, None for all. `num_classes` None takes the kind's own: 3 directions, 4 regimes, 2 of arbitrage,
    3 quantiles of risk. `num_support`: shots, samples of each class; in all where labels are numbers, or with `balanced` false, where the
    latest are taken as they came. `num_query`: in all. `features`: see `tradewind.features.sets()`; a sample is its last `window` rows,
    (input,) for one row, else (window, input). `horizon`: bars, or a duration such as `1d`, that a label looks ahead. `spacing`: bars
    between samples, None for the horizon, so that no two labels share a bar. `lookback`: how many steps of `spacing` back a shot may lie,
    None for 10 x shots x classes.

    `split`: `train`, `validation` or `test`; `parts` their shares of the bars; `held_out` the share of the symbols that validation and test
    each keep for themselves, where there are 5 symbols or more and each part is left with as many as a task needs; else all parts have all
    symbols. `embargo`: bars between the parts, None for horizon + longest warm-up.

    `volatility_span`: bars of the trailing volatility. Direction: `flat_band`; regime: `trend_band`, `high_volatility`; risk:
    `risk_measure`; arbitrage: `band`, `band_window`, `cost_bps` of one fill, `min_correlation`; portfolio: up to `max_assets_in_portfolio`
    assets, one of the `rebalancing_frequencies` a task. The files of `meta/kinds` say what they do.
    """

    task_type: str = "price_direction"
    trading_pairs: tuple[str, ...] | list[str] | None = None
    num_classes: int | None = None
    num_support: int = 5
    num_query: int = 15
    features: Wanted = "relative"
    window: int = 1
    horizon: int | str = 12
    spacing: int | None = None
    lookback: int | None = None
    balanced: bool = True
    split: Literal["train", "validation", "test"] = "train"
    parts: tuple[float, float, float] = (0.6, 0.2, 0.2)
    held_out: float = 0.2
    embargo: int | None = None
    volatility_span: int = 100
    flat_band: float = 0.43
    trend_band: float = 0.5
    high_volatility: float = 1.25
    risk_measure: Literal["drawdown", "volatility"] = "drawdown"
    band: float = 2.0
    band_window: int = 240
    cost_bps: float = 12.0
    min_correlation: float = 0.5
    max_assets_in_portfolio: int = 8
    rebalancing_frequencies: tuple[str, ...] | list[str] = ("daily", "weekly")
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "task_type", _ALIASES.get(self.task_type, self.task_type))
        own, least, most = choose(self.task_type, TASK_TYPES, "task_type")
        classes = own if self.num_classes is None else self.num_classes
        if not most:
            require(not classes, f"num_classes is {classes!r}, but the labels of {self.task_type} are numbers; leave it out")
        else:
            whole(num_classes=classes)
            require(least <= classes <= most, f"num_classes is {classes}; {self.task_type} has {_span(least, most)} classes")
        whole(num_support=self.num_support, num_query=self.num_query, window=self.window, volatility_span=self.volatility_span)
        require(self.balanced or not most or self.num_support > 1, "num_support is 1 sample in all, of one class; give at least 2")
        for name in ("spacing", "lookback", "horizon"):
            if isinstance(getattr(self, name), int):
                whole(**{name: getattr(self, name)})
        if self.embargo is not None:
            whole(least=0, embargo=self.embargo)
        choose(self.split, dict.fromkeys(SPLITS), "split")
        check_shares(self.parts)
        require(0 <= self.held_out < 0.5, f"held_out is {self.held_out}; validation and test each keep a share from 0 to below 0.5")
        self._check_kinds()

    def _check_kinds(self) -> None:
        number(positive=False, flat_band=self.flat_band, trend_band=self.trend_band, cost_bps=self.cost_bps)
        number(high_volatility=self.high_volatility, band=self.band)
        fraction(zero=True, one=True, min_correlation=self.min_correlation)
        whole(2, band_window=self.band_window, max_assets_in_portfolio=self.max_assets_in_portfolio)
        choose(self.risk_measure, dict.fromkeys(MEASURES), "risk_measure")
        require(len(self.rebalancing_frequencies) > 0, f"rebalancing_frequencies are empty; name some of {', '.join(FREQUENCIES)}")
        for frequency in self.rebalancing_frequencies:
            choose(frequency, FREQUENCIES, "rebalancing frequency")

    @property
    def ways(self) -> int:
        """How many classes there are; 0 where labels are numbers."""
        return TASK_TYPES[self.task_type][0] if self.num_classes is None else self.num_classes


@final
class CryptoTaskDistribution:
    """Tasks out of `market`, as `config` says. Task number i is made of the seed and i alone: the same whatever was drawn before.

    A task has, beside the four tensors of a task, these notes: `support_times`, `support_known`, `query_times`, `query_known` (sample,)
    int64 UTC ns, when each was asked and when its label was known; `query_returns` (query,) float32, what a unit held over the label's bars
    earned, simple (of a trade on the spread: net of costs), or (query, asset); `columns` of the market. `series` are the symbols, pairs or
    baskets.

    Raises SettingsError for an unknown symbol, DataError for a market without bars, with too few of them, or without a place for a task.
    """

    def __init__(self, config: CryptoTaskConfig, market: Market) -> None:
        if len(market) == 0:
            raise DataError("the market has no bars; tasks are cut out of closed bars, give some")
        if config.trading_pairs is not None:
            require(len(config.trading_pairs) > 0, "trading_pairs is empty; name symbols of the market, or leave it out for all of them")
            market = market.select(list(config.trading_pairs))
        self.config, self.market = config, market
        self.drawn = 0
        self._ground, self.series, self.by_symbol = _lay_out(config, market)
        self._set_demand()

    def _set_demand(self) -> None:
        config, ways = self.config, self.ways
        lookback = config.lookback or 10 * config.num_support * max(1, ways)
        self._demand = Demand(config.num_support, config.num_query, ways, lookback, config.balanced)
        self._anchors: list[Rows] = [series.anchors(self._demand) for series in self.series]
        self._places = [i for i, anchors in enumerate(self._anchors) if len(anchors)]
        if not self._places:
            raise DataError(_why_none(config, self.series))

    # -- what its tasks are ----------------------------------------------------------------------------------------------
    @property
    def ways(self) -> int:
        """How many classes a model must answer; 0 where labels are numbers."""
        return self.config.ways

    @property
    def loss(self) -> LossName:
        """`cross_entropy` or `mse`."""
        return "cross_entropy" if self.ways else "mse"

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes mean, by their numbers; empty where labels are numbers."""
        ways = self.ways
        names = {"price_direction": direction_classes, "market_regime": regime_classes, "risk_assessment": risk_classes}
        return names[self.config.task_type](ways) if self.config.task_type in names else ARBITRAGE_CLASSES[:ways]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (input,), or (window, input)."""
        return self.series[0].shape

    @property
    def outputs(self) -> int:
        """How many numbers a model answers: one a class, or one an asset."""
        return self.ways or int(self.series[0].labels.shape[1])

    @property
    def scaler(self) -> Standardiser:
        """What made scores of the features: fitted on the training part. An adapted model is shown the features of new bars through it."""
        return self._ground.scaler

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of this part."""
        return tuple(self.market.symbols[column] for column in self._ground.part.columns)

    def __len__(self) -> int:
        """How many different tasks there are."""
        return sum(map(len, self._anchors))

    @property
    def identity(self) -> str:
        """sha256 over the settings, the bars and the inputs made of them: equal where every task is equal."""
        settings = asdict(replace(self.config, features=()))
        inputs = sha256(np.ascontiguousarray(self._ground.inputs).tobytes())
        return sha256(canonical_json({"config": settings, "market": self.market.digest, "inputs": inputs}))

    # -- tasks -------------------------------------------------------------------------------------------------------------
    def task(self, index: int) -> Task:
        """Task number `index` of this seed: a symbol drawn evenly from those that have a place, then a place of it."""
        random = generator(self.config.seed, "tasks", self.config.split, index)
        place = self._places[int(random.integers(len(self._places)))]
        return self.task_at(place, int(random.choice(self._anchors[place])))

    def task_at(self, place: int, anchor: int) -> Task:
        """The task of `series[place]` whose first query is its sample `anchor`, one of `anchors(place)`."""
        series = self.series[place]
        support, query = series.cut(anchor, self._demand)
        return {
            "support_data": torch.from_numpy(series.inputs(support)),
            "support_labels": torch.from_numpy(series.labels[support]),
            "query_data": torch.from_numpy(series.inputs(query)),
            "query_labels": torch.from_numpy(series.labels[query]),
            "support_times": torch.from_numpy(series.times[support]),
            "support_known": torch.from_numpy(series.known[support]),
            "query_times": torch.from_numpy(series.times[query]),
            "query_known": torch.from_numpy(series.known[query]),
            "query_returns": torch.from_numpy(series.returns[query]),
            "columns": torch.tensor(series.panels[-1][1]),
        }

    def anchors(self, place: int) -> Rows:
        """The samples of `series[place]` at which a task can stand."""
        return self._anchors[place]

    def sample_task(self) -> Task:
        """The next task: number 0 at first, then 1, and so on."""
        self.drawn += 1
        return self.task(self.drawn - 1)

    def sample_batch(self, batch_size: int = 16) -> list[Task]:
        """The next `batch_size` tasks."""
        whole(batch_size=batch_size)
        return [self.sample_task() for _ in range(batch_size)]

    def get_task_difficulty(self, task: Task) -> float:
        """How little of its support one sample tells of another, from 0 to 1; see `tradewind.meta.difficulty`. The query is not looked
        at."""
        return difficulty(task, self.loss)

    def with_shots(self, num_support: int, num_query: int | None = None) -> Self:
        """The same distribution with other numbers of samples, at next to no cost: nothing is computed anew; it begins with task 0."""
        other = copy(self)
        other.config = replace(self.config, num_support=num_support, num_query=self.config.num_query if num_query is None else num_query)
        other.drawn = 0
        other._set_demand()
        return other


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _lay_out(config: CryptoTaskConfig, market: Market) -> tuple[Ground, list[Series], bool]:
    """The ground, the series on it, and whether its parts are apart in symbols."""
    kind, X = config.task_type, compute(market, config.features)
    horizon = market.bars(config.horizon)
    periods = tuple(dict.fromkeys(market.bars(FREQUENCIES[frequency]) for frequency in config.rebalancing_frequencies))
    assets = min(config.max_assets_in_portfolio, len(market.symbols))
    need = {"arbitrage": 2, "portfolio_optimization": config.max_assets_in_portfolio}.get(kind, 1)
    if kind in ("arbitrage", "portfolio_optimization") and len(market.symbols) < 2:
        raise DataError(f"the market has the symbol {market.symbols[0]} alone; a task of {kind} needs 2 or more")
    reach = max(X.warmup, config.volatility_span, config.band_window + horizon if kind == "arbitrage" else 0) + config.window - 1
    ahead = max(periods) if kind == "portfolio_optimization" else horizon
    embargo = ahead + reach if config.embargo is None else config.embargo
    division = divide(len(market), market.symbols, config.parts, config.held_out, embargo, need)
    ground = stand(market, X, division, config.split, config.window, config.volatility_span)
    spacing = config.spacing or horizon
    if kind == "price_direction":
        series = direction(ground, horizon, spacing, config.ways, config.flat_band)
    elif kind == "market_regime":
        series = regime(ground, horizon, spacing, config.ways, config.trend_band, config.high_volatility)
    elif kind == "risk_assessment":
        series = risk(ground, horizon, spacing, config.ways, config.risk_measure)
    elif kind == "arbitrage":
        series = arbitrage(ground, horizon, config.band, config.band_window, config.cost_bps, config.min_correlation, spacing)
    else:
        series = portfolio(ground, periods, config.spacing, assets)
    return ground, series, division.by_symbol


def _why_none(config: CryptoTaskConfig, series: list[Series]) -> str:
    counts = ", ".join(f"{'/'.join(one.symbols)} {len(one.rows)}" for one in series[:8])
    wanted = (
        f"{config.num_support} shots of each of {config.ways} classes"
        if config.ways and config.balanced
        else f"{config.num_support} samples"
    )
    return (
        f"no place in the {config.split} part has {wanted} before {config.num_query} queries; samples with inputs and labels: "
        f"{counts or 'none'}; give more bars, fewer shots or queries, a shorter horizon or spacing, or a longer lookback"
    )
