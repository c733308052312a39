"""What a comparison of forecasters does: its settings, which are the flags of `tradewind compare`, and how each row is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, final

from tradewind import labels
from tradewind.core.limits import whole
from tradewind.core.market import Market
from tradewind.core.settings import build, choose, require
from tradewind.evaluate.comparing.forecasts import Question, draws_numbers
from tradewind.evaluate.identity import digest
from tradewind.evaluate.plan import RunSettings
from tradewind.models.registry import forecasters
from tradewind.strategies.policy import Policy

__all__ = ["REFERENCES", "CompareSettings"]

REFERENCES: Final = ("no-change", "base-rate")
"""Forecasters that look at nothing: every comparison has them, and is read beside them."""

_NETS: Final = ("mlp", "lstm", "transformer", "price-action-transformer", "tft")
_USUAL: Final[Mapping[str, Mapping[str, Any]]] = {name: {"settings": {"preset": "quick"}, "refit_every": 4} for name in _NETS}
"""Nets are fitted every fourth fold under their preset `quick`, as the strategies of their names are; all others as they come."""

_FEW_TREES: Final[Mapping[str, Any]] = {"trees": 200, "learning_rate": 0.05, "patience": 20}
_QUICK: Final[Mapping[str, Mapping[str, Any]]] = {
    **{name: {"settings": {"preset": "quick", "epochs": 2}, "refit_every": 8} for name in _NETS},
    **{name: {"settings": dict(_FEW_TREES), "refit_every": 2} for name in ("lightgbm", "xgboost", "catboost")},
    "random-forest": {"settings": {"trees": 100}, "refit_every": 2},
    "stacking": {"refit_every": 4},
    "voting": {"refit_every": 4},
}
"""What `--quick` changes: trees are fewer and fitted every second fold, what is made of several models every fourth, nets once."""

_POLICIES: Final[Mapping[bool, Mapping[str, Any]]] = {True: {}, False: {"threshold": 1.0, "gain": 0.5}}
"""By whether the label has classes: the policy that trades the forecasts, the default one or that of the strategy `ridge`."""

_LEAST_COST: Final = 1e-4
"""A policy counts in round trips' costs; where trading is free it still needs a unit."""


@final
@dataclass(frozen=True)
class CompareSettings:
    """What a comparison does; every field is a flag of `tradewind compare`.

    `forecasters`: rows by name, all that there are by default; `no-change` and `base-rate` are always there. `label` with
    `label_settings`, and `features`: what is learned and from what, for all rows alike. `seeds`: how many seeds those rows get that draw
    random numbers, counted from `seed`. `market` ... `latency` mean what they mean in `RunSettings`. Raises SettingsError for what
    cannot be.
    """

    market: str = "btc-15m"
    data: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    timeframe: str | None = None
    forecasters: tuple[str, ...] = ()
    label: str = "triple-barrier"
    label_settings: Mapping[str, Any] = field(default_factory=dict)
    features: str = "relative"
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
    seeds: int = 3
    quick: bool = False

    def __post_init__(self) -> None:
        for name in ("data", "repair", "symbols", "forecasters"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        known = forecasters()
        for name in self.forecasters:
            choose(name, dict.fromkeys(known), "forecaster")
        twice = [name for name in self.forecasters if self.forecasters.count(name) > 1]
        require(not twice, f"forecasters name {twice[:1]} twice; each is compared once")
        rest = tuple(name for name in self.forecasters or known if name not in REFERENCES)
        object.__setattr__(self, "forecasters", (*REFERENCES, *rest))
        labels.label(self.label, **self.label_settings)
        whole(seeds=self.seeds)
        require(isinstance(self.seed, int), f"seed is {self.seed!r}; it is a whole number")
        _ = self.bars.costs

    @property
    def bars(self) -> RunSettings:
        """The bars, windows and costs, as a run of hold would have them."""
        shared = {name: getattr(self, name) for name in RunSettings.__dataclass_fields__ if name in self.__dataclass_fields__}
        return RunSettings(**shared, strategies=("hold",))

    def question(self, row: str) -> Question:
        """What is asked of the row called `row`. Raises SettingsError for settings that it, the label or the features do not take."""
        usual = (_QUICK if self.quick else _USUAL).get(row, {})
        question = Question(row, {}, self.features, self.label, dict(self.label_settings))
        return replace(question, **usual)

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds that `row` is asked under: one where no random number is drawn."""
        model = self.question(row).new(self.seed)
        return tuple(range(self.seed, self.seed + self.seeds)) if draws_numbers(model) else (self.seed,)

    def policy(self, classes: bool) -> Policy:
        """The policy that trades every row's forecasts alike, counting in what a round trip costs here."""
        costs = self.bars.costs
        paid = 2e-4 * (costs.fee_bps + costs.slippage_bps)
        return build(Policy, {**_POLICIES[classes], "cost": max(paid, _LEAST_COST)}, "policy")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, from which `from_dict` makes the same settings."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CompareSettings:
        """The settings that `to_dict` gave. Raises SettingsError for an unknown key."""
        return build(cls, settings, "a comparison")

    def identity(self, market: Market) -> str:
        """The id of a comparison of these settings on `market`: where the data lie does not matter, what they are does."""
        return digest({**self.to_dict(), "market": None, "data": market.digest})[:12]
