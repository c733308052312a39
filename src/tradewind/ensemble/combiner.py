"""The combiner: one bar's evidence about the members in, one decision out. It knows nothing of strategies, accounts or markets.

Two floors. Below, ways of weighting the members, each a point of the simplex under the cap `max_agent_weight`:

- `equal`: all members at work alike;
- `experts`: the algorithm `expert_weights` (Fixed-Share), which follows whoever leads now, whatever the regime; its losses are net
  returns over an exponential average of their spread between members, so that a calm bar counts as much as a wild one;
- `leader`: AdaHedge on plain net returns, which is never far below the best single member;
- `regimes`: sum_k p_k W_k, the posterior weights of each regime by its probability (`regime_weights`). Where the regime is less stable than
  the threshold (`tradewind.regimes.stability`) they shrink towards equal by stability / threshold. The expert weights are no factor here:
  by Bayes' rule what was earned under another regime says nothing once the regime is known, and a factor that still favours the old leader
  delays the switch by as many bars as the experts take, which is what a regime is there to save. Where it is not known, the experts are a
  way of their own;
- `gate`: the learned prediction of each member's return (`predictor`) while it is proven, else the expert weights again.

Above, `mixing` (AdaHedge, or BOA) weighs these ways by what each would have earned: r_c(t) = sum_i w_ci(t-1) (r_i(t) + q_i(t)) - q_c(t),
with r_i the members' net returns, q_i what a member's own trades cost it, and q_c what the trades of the way's mix cost, which are the net
of theirs and of its change of weights. The mix of capped weights is capped. Whatever the returns and their scale, AdaHedge's theorem 6
bounds the summed return of the whole from below, but for what it pays to move trust between ways:

    sum_t r(t) >= max_c sum_t r_c(t) - (2 sqrt(V ln C) + S (4/3 ln C + 2)),

C = 5 ways, S the widest spread of r_c in one bar, V <= T S^2 / 4 their summed variance under the weights. `leader` has the same bound
against the best member with K in the place of C where there is no cap, so the whole is within the sum of both of the best member.

Source: expert advice by meta-algorithms, de Rooij et al. (2014), https://jmlr.org/papers/v15/rooij14a.html; contextual experts,
Cesa-Bianchi & Lugosi (2006), "Prediction, Learning, and Games", section 2.11, https://doi.org/10.1017/CBO9780511546921. Costs about a
quarter of a millisecond a bar for ten members. Fails to earn anything that no member earns, and pays the bound where all ways are worth the
same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError, StateError
from tradewind.core.settings import require
from tradewind.core.types import Array, State
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.gate import RIVALS, Gate
from tradewind.ensemble.mixing import agreement, capped, mixed, standing
from tradewind.ensemble.paper_record import PaperRecord
from tradewind.ensemble.regime_weights import RegimeWeights
from tradewind.ensemble.weights import make
from tradewind.regimes.stability import StabilityWatch
from tradewind.simulate.costs import Costs

__all__ = ["WAYS", "Combiner", "Decision", "Evidence"]

WAYS: Final = ("equal", "experts", "leader", "regimes", "gate")
"""The ways of weighting members, in the order of `Decision.trust`."""

_RIVALS: Final = [WAYS.index(rival) for rival in RIVALS]
_EARNED: Final = tuple(f"earned by {who}" for who in (*WAYS, "candidate", "whole"))
_SCALE_FREE: Final = ("adahedge", "boa")
_OF_WEALTH: Final = ("eg", "ons")
_BASIS_POINT: Final = 1e-4
_SPREAD_BARS: Final = 50.0
_YEAR_OF_HOURS: Final = 8760.0


@final
@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known at a close.

    `returns` (member,): net simple return of each member's paper account over the bar just lived. `wanted` (member, symbol): targets, NaN
    keeps; `held` (member, symbol): weights in each paper account at this close. `awake` (member,): who has an opinion and is in order.
    `regime` (regime,): filtered probabilities, the mean over symbols; NaN before the filter is warm. `moved` (symbol,): simple return of
    each symbol from close to close, NaN where it has no bar; the performance predictor reads it, None tells it nothing.
    """

    returns: Array
    wanted: Array
    held: Array
    awake: NDArray[np.bool_]
    regime: Array
    moved: Array | None = None


@final
@dataclass(frozen=True, eq=False)
class Decision:
    """What the ensemble wants at a close, and why.

    `target` (symbol,): desired weights of equity, sized. `weights` (member,): trust in each, summing to one; zeros when it is `flat`, which
    is when fewer members are awake than the config asks for. `confidence`: probability that the mix gains, net, over the next
    `performance_prediction_window` bars. `agreement`: share of weight behind the direction of the mix. `stability` of the regime. All 0 to
    1. `size`: what the mix was multiplied with. `ways` (way, member): the weights of each way in WAYS, `trust` (way,) in each of them.
    `gate`: whether the learned gate is proven and counts. `parts`: numbers behind it, by name: what each way, the gate's candidate and the
    whole earned on paper in the bar just lived, and the gate's records.
    """

    target: Array
    weights: Array
    confidence: float
    agreement: float
    stability: float
    size: float
    flat: bool
    ways: Array
    trust: Array
    gate: bool
    parts: Mapping[str, float] = field(default_factory=dict)


@final
class Combiner:
    """Combines `members` over `symbols` under `regimes` (names each; no regimes is fine) by `config`.

    `periods_per_year`: bars in a year, for what is stated in annual terms. `costs`: what moving weights is charged with, the defaults of
    `tradewind.Costs` where None. `history`: the decisions so far with `detailed_logging`, else
    empty; it is a log and no part of the state. Raises SettingsError when there are fewer members than the config asks for, and for a
    `mixing` that has no bound without a scale.
    """

    def __init__(
        self,
        config: EnsembleConfig,
        members: Sequence[str],
        symbols: Sequence[str],
        regimes: Sequence[str] = (),
        periods_per_year: float = _YEAR_OF_HOURS,
        costs: Costs | None = None,
    ) -> None:
        least = config.min_diversification_agents
        require(len(members) >= least, f"{len(members)} members, the config asks for {least} or more; add members or lower {least}")
        require(config.mixing in _SCALE_FREE, f"mixing is {config.mixing!r}; {' and '.join(_SCALE_FREE)} have a bound whatever the scale")
        scaled = f"expert_weights is {config.expert_weights!r}, which takes returns as they are, and here they are scaled; take another"
        require(config.expert_weights not in _OF_WEALTH, scaled)
        self.config, self.members, self.symbols, self.regimes = config, tuple(members), tuple(symbols), tuple(regimes)
        self.periods_per_year = periods_per_year
        paid = costs if costs is not None else Costs()
        self._rate = (paid.fee_bps + paid.slippage_bps) * _BASIS_POINT
        self.history: list[Decision] = []
        count, kinds = len(self.members), len(self.regimes)
        self._experts, self._leader = make(config.expert_weights, count), make("adahedge", count)
        self._top = make(config.mixing, len(WAYS))
        self._by_regime = RegimeWeights(count, kinds, config.meta_lookback, config.weight_temperature)
        self._stability = StabilityWatch(("all",), self.regimes)
        self._record = PaperRecord(kinds, config.meta_lookback, config.performance_prediction_window)
        self._gate = Gate(count, len(self.symbols), kinds, config)
        # What was decided at the last close, nothing yet: the ways, and below them the gate's candidate and the whole.
        self._rows, self._positions = np.zeros((len(WAYS) + 2, count)), np.zeros((count, len(self.symbols)))
        self._awake, self._regime = np.zeros(count, dtype=np.bool_), np.full(kinds, np.nan)
        self._charges, self._spread = np.zeros(len(WAYS) + 2), np.zeros(2)

    def step(self, evidence: Evidence) -> Decision:
        """Learn from the bar just lived, then decide at its close. Raises DataError for evidence of another shape."""
        self._check(evidence)
        awake = np.asarray(evidence.awake, dtype=np.bool_)
        positions = np.where(awake[:, None], standing(evidence.wanted, evidence.held), 0.0)
        gained = self._learn(evidence, positions)
        decision = self._decide(evidence.regime, awake, positions, gained)
        if self.config.detailed_logging:
            self.history.append(decision)
        return decision

    # -- learning ------------------------------------------------------------------------------------------------------
    def _learn(self, evidence: Evidence, positions: Array) -> Array:
        """(way, candidate and whole,) what each earned on paper in the bar just lived, which everything learns from."""
        lived = self._awake & np.isfinite(evidence.returns)
        earned = np.where(lived, evidence.returns, 0.0)
        gained = np.zeros(len(self._rows))
        if lived.any():
            gained = (self._rows * earned).sum(axis=1) - self._charges
            self._top.update(-gained[: len(WAYS)])
            self._experts.update(-earned / self._spread_of(earned, lived), lived)
            self._leader.update(-earned, lived)
            self._by_regime.learn(earned, lived, self._regime)
            self._record.learn(float(gained[-1]), self._regime)
            self._gate.judge(float(gained[-2]), gained[_RIVALS])
        if self.config.meta_learning_enabled:
            self._gate.predictor.live(earned, lived, positions, _mean(evidence.moved))
        return gained

    def _spread_of(self, earned: Array, lived: NDArray[np.bool_]) -> float:
        """The root of the exponential mean of the members' variance in a bar, this bar's included; 1 while nothing ever differed."""
        count = int(lived.sum())
        apart = np.where(lived, earned - float(earned.sum()) / count, 0.0)
        self._spread[0] += (float((apart * apart).sum()) / count - self._spread[0]) / _SPREAD_BARS
        self._spread[1] += (1.0 - self._spread[1]) / _SPREAD_BARS
        return math.sqrt(self._spread[0] / self._spread[1]) if self._spread[0] > 0 else 1.0

    # -- deciding ------------------------------------------------------------------------------------------------------
    def _decide(self, regime: Array, awake: NDArray[np.bool_], positions: Array, gained: Array) -> Decision:
        stability = self._steadiness(regime)
        flat = int(awake.sum()) < self.config.min_diversification_agents
        rows, trust = np.zeros_like(self._rows), self._top.weights
        if not flat:
            self._weigh(regime, awake, stability, rows)
            rows[-1] = (trust[:, None] * rows[: len(WAYS)]).sum(axis=0)
        # What each row's own trades cost, less what they cost the members who trade alone.
        alone = np.abs(positions - self._positions).sum(axis=1)
        netted = np.abs(rows @ positions - self._rows @ self._positions).sum(axis=1)
        self._charges = self._rate * (netted - rows @ alone)
        weights = rows[-1].copy()
        mix = mixed(weights, positions)
        size = self._size(mix)
        sure = 0.0 if flat else self._record.confidence(regime)
        agreed = 0.0 if flat else agreement(weights, positions, mix)
        self._positions = positions
        self._rows, self._awake, self._regime = rows, awake if not flat else np.zeros_like(awake), regime.copy()
        proven = self._gate.proven and not flat
        parts = {**self._gate.records, **dict(zip(_EARNED, gained.tolist(), strict=True))}
        return Decision(mix * size, weights, sure, agreed, stability, size, flat, rows[: len(WAYS)], trust, proven, parts)

    def _steadiness(self, regime: Array) -> float:
        """The stability of the regime (`tradewind.regimes.stability`); 1 where there is none to be shaky."""
        if len(regime) < 2 or np.isnan(regime[0]):
            return 1.0
        return float(self._stability.update(regime[None])[0])

    def _weigh(self, regime: Array, awake: NDArray[np.bool_], stability: float, rows: Array) -> None:
        """Fill `rows` (way and candidate, member): each way's weights of the members at work, under the cap."""
        equal, threshold = np.where(awake, 1.0 / int(awake.sum()), 0.0), self.config.regime_stability_threshold
        experts = self._experts.weights
        by_regime = self._by_regime.weights(regime, awake)
        if by_regime is None:
            by_regime = experts
        elif stability < threshold:
            by_regime = equal + stability / threshold * (by_regime - equal)
        tilted = experts
        if self.config.meta_learning_enabled:
            tilted = self._gate.weights(by_regime, regime, self._by_regime.standing(regime), awake)
        gate = tilted if self._gate.proven else experts
        for row, raw in zip(rows, (equal, experts, self._leader.weights, by_regime, gate, tilted), strict=False):
            row[:] = capped(raw, awake, self.config.max_agent_weight)

    def _size(self, mix: Array) -> float:
        config, gross = self.config, float(np.abs(mix).sum())
        if gross <= 0:
            return 1.0
        most = config.max_position_risk / gross
        size = 1.0
        if config.volatility_target is not None:
            size = self._record.scale_to(config.volatility_target, self.periods_per_year, most)
        if config.kelly_criterion_enabled:
            size *= self._record.kelly(self.periods_per_year)
        return min(size, most)

    def _check(self, evidence: Evidence) -> None:
        count, width = len(self.members), len(self.symbols)
        expected: dict[str, tuple[int, ...]] = {"returns": (count,), "awake": (count,), "regime": (len(self.regimes),)}
        expected |= {"wanted": (count, width), "held": (count, width)}
        for name, shape in expected.items():
            found = np.shape(getattr(evidence, name))
            if found != shape:
                raise DataError(f"evidence: {name} has shape {found}, expected {shape} for {count} members and {width} symbols")

    # -- state ---------------------------------------------------------------------------------------------------------
    def state(self) -> State:
        """All that was learned and the decision that the next bar will judge, as data."""
        values: dict[str, Any] = {"class": "Combiner", "members": list(self.members), "symbols": list(self.symbols)}
        own = State({**values, "regimes": list(self.regimes)}, {name: getattr(self, f"_{name}").copy() for name in _ARRAYS})
        for name in _PARTS:
            own = own.nest(name, getattr(self, f"_{name}").state())
        return own

    def restore(self, state: State) -> Self:
        """Become the combiner that `state` describes. Raises StateError for one of other members, symbols or regimes."""
        mine = {"members": list(self.members), "symbols": list(self.symbols), "regimes": list(self.regimes)}
        if state.values.get("class") != "Combiner" or any(list(state.values.get(name, ())) != what for name, what in mine.items()):
            found = {name: state.values.get(name) for name in mine}
            raise StateError(f"this is no state of a combiner of {mine}, but of {found}; restore it with the same members and detector")
        for name in _PARTS:
            getattr(self, f"_{name}").restore(state.child(name))
        for name in _ARRAYS:
            setattr(self, f"_{name}", state.arrays[name].copy())
        self.history = []
        return self

    def remember(self, state: State) -> Self:
        """Take from `state` what outlasts a stretch of bars, the members' records by regime and the predictor; the rest stays as it is.

        A record of the whole or of the gate over bars that the predictor has learned from would flatter them: those are not taken. A new
        stretch begins: its first bar judges no decision. Raises StateError for a state of other sizes.
        """
        self._by_regime.restore(state.child("by_regime"))
        self._gate.predictor.restore(state.child("gate").child("predictor")).interrupt()
        self._rows, self._awake, self._charges = np.zeros_like(self._rows), np.zeros_like(self._awake), np.zeros_like(self._charges)
        return self


_ARRAYS: Final = ("rows", "positions", "awake", "regime", "charges", "spread")
_PARTS: Final = ("experts", "leader", "top", "by_regime", "stability", "record", "gate")


def _mean(moved: Array | None) -> float:
    """The mean of those there are; 0 where there is none."""
    if moved is None:
        return 0.0
    there = moved[np.isfinite(moved)]
    return float(there.mean()) if len(there) else 0.0
