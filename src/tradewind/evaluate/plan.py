"""What a run does: its settings, which are the flags of `tradewind run`, its rows, and the bars it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, final

from tradewind.core.market import Market
from tradewind.core.protocols import Strategy
from tradewind.core.settings import build, choose, require
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.presets import preset as config_of
from tradewind.evaluate.identity import digest
from tradewind.evaluate.tuning.search import merge
from tradewind.simulate.costs import Costs
from tradewind.strategies.registry import names, strategy

__all__ = ["MADE", "QUICK", "ROWS", "RunSettings", "load_market", "rows_of"]

ROWS: Final = (
    "hold", "momentum", "momentum-mix", "ema-cross", "rsi-reversal", "bollinger-reversal",
    "logistic", "lightgbm", "online", "price-action-transformer", "mix", "ensemble",
)  # fmt: skip
MADE: Final = ("mix", "ensemble")
"""Rows that are made of the others: nothing is fitted for them."""
QUICK: Final[Mapping[str, Mapping[str, Any]]] = {
    "lightgbm": {"refit_every": 2, "forecaster_settings": {"trees": 200, "learning_rate": 0.05, "patience": 20}},
    "price-action-transformer": {"refit_every": 8, "forecaster_settings": {"epochs": 2}},
}
"""What `--quick` changes: trees are fitted every second fold and are fewer, the net is fitted once and for two epochs."""


@final
@dataclass(frozen=True)
class RunSettings:
    """What a run does; every field is a flag of `tradewind run`.

    `market`: a bundled market, unless `data` names files, mended by `repair` as `tradewind.data.read` does. `symbols`: some of them;
    `timeframe`: slower bars, made of those read; `start`, `end`: ISO times that bars open at or after, and before. `strategies`: rows,
    by name or as my_module:Mine; `hold` is always there, `mix` and `ensemble` are made of the others. `train`, `test`, `embargo`: durations
    or bars, see `walk_forward`. `quick`: fewer and lighter fits. `tuned`: settings by row, as best.json of a tuning holds them. `preset`:
    that of the row `ensemble`; naming one asks for the row. Raises SettingsError for what cannot be.
    """

    market: str = "btc-15m"
    data: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    timeframe: str | None = None
    strategies: tuple[str, ...] = ROWS
    start: str | None = None
    end: str | None = None
    train: str | int | None = None
    test: str | int | None = None
    embargo: str | int | None = None
    anchored: bool = False
    fee_bps: float = 10.0
    slippage_bps: float = 2.0
    latency: int = 1
    seed: int = 0
    quick: bool = False
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    preset: str | None = None

    def __post_init__(self) -> None:
        for name in ("data", "repair", "symbols", "strategies"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.preset is not None and "ensemble" not in self.strategies:
            object.__setattr__(self, "strategies", (*self.strategies, "ensemble"))
        for name in self.strategies:
            # A class of the user's own, my_module:Mine, is looked up when it is made.
            if ":" not in name:
                choose(name, dict.fromkeys(names()), "strategy")
        twice = [name for name in self.strategies if self.strategies.count(name) > 1]
        require(not twice, f"strategies name {twice[:1]} twice; each row is run once")
        object.__setattr__(self, "strategies", ("hold", *(name for name in self.strategies if name != "hold")))
        require("mix" not in self.strategies or bool(self.mixed), "the row 'mix' is the mean of other rows; name at least one beside it")
        require(isinstance(self.seed, int), f"seed is {self.seed!r}; it is a whole number")
        strangers = [row for row in self.tuned if row not in self.strategies]
        require(not strangers, f"there are tuned settings of {', '.join(strangers)}, which is no row of the run; name it in strategies")
        _ = self.costs
        if "ensemble" in self.strategies:
            object.__setattr__(self, "preset", self.preset or "balanced")
            least, given = self.ensemble.min_diversification_agents, len(self.mixed)
            require(
                given >= least,
                f"the ensemble's preset {self.preset!r} asks for {least} rows or more beside hold, and {given} are given; name more",
            )

    @property
    def costs(self) -> Costs:
        """What trading costs."""
        return Costs(fee_bps=self.fee_bps, slippage_bps=self.slippage_bps, latency=self.latency)

    @property
    def walked(self) -> tuple[str, ...]:
        """The rows that are walked forward; `mix` and `ensemble` are made of them."""
        return tuple(name for name in self.strategies if name not in MADE)

    @property
    def mixed(self) -> tuple[str, ...]:
        """The rows that `mix` and `ensemble` are made of: those that are walked forward and look for an edge."""
        return tuple(name for name in self.walked if name != "hold")

    @property
    def ensemble(self) -> EnsembleConfig:
        """The settings of the row `ensemble`: its preset with what was tuned, and the run's seed."""
        return config_of(self.preset or "balanced", **{"seed": self.seed, **self.tuned.get("ensemble", {})})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        # A run without such settings is the run that it was before there were any.
        absent = ({"tuned"} if not self.tuned else set()) | ({"preset"} if "ensemble" not in self.strategies else set())
        return {name: value for name, value in plain.items() if name not in absent}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunSettings:
        """The settings that `to_dict` gave. Raises SettingsError for an unknown key."""
        return build(cls, settings, "a run")

    def strategy(self, row: str) -> Strategy:
        """A new strategy for the row called `row`, lighter when the run is quick."""
        return strategy(row, **merge(QUICK.get(row, {}) if self.quick else {}, self.tuned.get(row, {})))

    def identity(self, market: Market) -> str:
        """The id of a run of these settings on `market`: where the data lie does not matter, what they are does."""
        return digest({**self.to_dict(), "market": None, "data": market.digest})[:12]


def rows_of(preset: str | None) -> tuple[str, ...]:
    """The rows of a run for which none are named: ROWS, and under the preset `research` an agent and a few-shot learner as well."""
    return (*ROWS[:-2], "ppo", "few-shot", *ROWS[-2:]) if preset == "research" else ROWS


def load_market(settings: RunSettings) -> Market:
    """The bars that `settings` ask for. Raises DataError and SettingsError, naming the file or symbol."""
    from tradewind.data.bundled import sample
    from tradewind.data.reading import read
    from tradewind.data.resampling import resample

    market = read(list(settings.data), repair=settings.repair) if settings.data else sample(settings.market)
    if settings.symbols:
        market = market.select(settings.symbols)
    if settings.timeframe is not None and settings.timeframe != market.timeframe:
        market = resample(market, settings.timeframe)
    chosen = market.between(settings.start, settings.end)
    require(len(chosen) > 0, f"no bars from {settings.start} to {settings.end}; the market has {len(market)} bars of {market.timeframe}")
    return chosen
