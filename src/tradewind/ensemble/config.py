"""`EnsembleConfig`: every setting of an ensemble, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self, final

from tradewind.core.catalogue import tuples
from tradewind.core.limits import fraction, number, whole
from tradewind.core.settings import build, require

__all__ = ["HISTORY_FEATURES", "EnsembleConfig"]

HISTORY_FEATURES: Final = 20
"""How many numbers about a member's past the performance predictor knows of."""


@final
@dataclass(frozen=True)
class EnsembleConfig:
    """What an ensemble may do. The names are those of the system that it takes after, where that had them.

    Weights: no member gets more than `max_agent_weight`; with fewer than `min_diversification_agents` members at work the ensemble is flat.
    `weight_temperature` is how decisively a regime's record becomes weights: near .59 the weight of one of two members is the probability
    that it is the better, below that the leader gets more. `expert_weights` names the algorithm of `tw.ensemble.weights` that weighs
    members whatever the regime, `mixing` the one that weighs the ways of weighting; the bound is that of the latter.

    Regimes: `regime` names the detector, None goes without, and `regime_settings` are its own. Where the regime is more stable than
    `regime_stability_threshold` (its stability, `tradewind.regimes.stability`) its weights count in full, below that they shrink towards
    equal ones.

    Memory: a regime's record looks back over `meta_lookback` bars of that regime, the account of the whole over as many bars.

    The learned gate: with `meta_learning_enabled`, a net learns every `meta_training_frequency` bars to predict each member's return over
    the next `performance_prediction_window` bars from `agent_history_features` numbers about its past. It counts only while its weights
    have been better out of sample than the expert weights, and than the regime's alone, by `gate_threshold` standard errors.

    Size: with `kelly_criterion_enabled` the whole is scaled down to the Kelly fraction of its own record, and with `volatility_target`
    (annual) to that volatility; gross exposure never exceeds `max_position_risk`. A weight closer than `band`, a fraction of a full share
    (one over the number of symbols), to what is held is left alone.

    Life: a member that fails rests for `quarantine_bars`, live also one slower than `deadline` seconds. The newest `holdback` of the
    training part is where the weights learn from members that have not seen it. Members have lived for `history` bars when the first
    decision is taken. `detailed_logging` keeps every decision. `seed` is that of the predictor's net.

    Raises SettingsError for a setting out of range, and for caps that contradict each other.
    """

    max_agent_weight: float = 0.6
    min_diversification_agents: int = 3
    weight_temperature: float = 0.5
    expert_weights: str = "fixed-share"
    mixing: str = "adahedge"
    regime: str | None = "rules"
    regime_settings: Mapping[str, Any] = field(default_factory=dict)
    regime_stability_threshold: float = 0.7
    meta_lookback: int = 1000
    meta_learning_enabled: bool = True
    meta_training_frequency: int = 100
    agent_history_features: int = HISTORY_FEATURES
    performance_prediction_window: int = 50
    gate_threshold: float = 1.0
    kelly_criterion_enabled: bool = True
    volatility_target: float | None = None
    max_position_risk: float = 0.95
    band: float = 0.02
    quarantine_bars: int = 100
    deadline: float = 1.0
    holdback: float = 0.25
    history: int = 1000
    detailed_logging: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        fraction(one=True, max_agent_weight=self.max_agent_weight)
        fraction(zero=True, one=True, regime_stability_threshold=self.regime_stability_threshold)
        fraction(holdback=self.holdback)
        number(weight_temperature=self.weight_temperature, max_position_risk=self.max_position_risk, deadline=self.deadline)
        number(positive=False, gate_threshold=self.gate_threshold, band=self.band)
        whole(
            min_diversification_agents=self.min_diversification_agents,
            meta_training_frequency=self.meta_training_frequency,
            agent_history_features=self.agent_history_features,
            quarantine_bars=self.quarantine_bars,
        )
        whole(0, history=self.history, seed=self.seed)
        whole(2, meta_lookback=self.meta_lookback, performance_prediction_window=self.performance_prediction_window)
        if self.volatility_target is not None:
            number(volatility_target=self.volatility_target)
        for name in ("meta_learning_enabled", "kelly_criterion_enabled", "detailed_logging"):
            require(isinstance(getattr(self, name), bool), f"{name} is {getattr(self, name)!r}; it is true or false")
        for name in ("expert_weights", "mixing"):
            require(isinstance(getattr(self, name), str), f"{name} is {getattr(self, name)!r}; it is a name of tw.ensemble.weights")
        require(self.regime is None or isinstance(self.regime, str), f"regime is {self.regime!r}; it is the name of a detector, or None")
        require(
            isinstance(self.regime_settings, Mapping) and (self.regime is not None or not self.regime_settings),
            f"regime_settings is {self.regime_settings!r}; it is a mapping of the settings of a detector, empty where there is none",
        )
        object.__setattr__(self, "regime_settings", tuples(self.regime_settings))
        self._check_together()

    def _check_together(self) -> None:
        least, cap = self.min_diversification_agents, self.max_agent_weight
        require(
            cap * least >= 1.0 - 1e-12,
            f"{least} members of at most {cap:g} each reach {cap * least:g} of the whole; raise max_agent_weight to "
            f"{1 / least:.3g} or more, or min_diversification_agents to {-int(-1.0 // cap)} or more",
        )
        require(
            self.agent_history_features <= HISTORY_FEATURES,
            f"agent_history_features is {self.agent_history_features}; there are {HISTORY_FEATURES}",
        )
        require(
            not self.meta_learning_enabled or self.performance_prediction_window * 4 <= self.meta_lookback,
            f"meta_lookback is {self.meta_lookback} bars, fewer than four windows of {self.performance_prediction_window}: too little to "
            "learn from; make it longer, or set meta_learning_enabled to false",
        )

    def width(self, symbols: int) -> float:
        """The no-trade band as a weight, where a full share of each of `symbols` is one over their number."""
        return self.band / symbols

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The config that `to_dict` gave. Raises SettingsError, with the nearest known word, for an unknown setting."""
        return build(cls, settings, "the ensemble")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same config but for `changes`. Raises what making one raises."""
        return type(self).from_dict({**asdict(self), **changes})
