"""The ensemble: a strategy made of strategies, each trusted at each bar by what it earned alone and by the regime of now.

Every member trades a paper account of its own (see members.py); what those earn moves the weights (see combiner.py); the weighted positions
are netted before anything is traded. Sources: the regret bound of the mixing at the top is that of Cesa-Bianchi, Lugosi, "Prediction,
Learning, and Games" (2006), https://doi.org/10.1017/CBO9780511546921; weights by regime are in regime_weights.py.
Costs: the members' own, twice over at a fit, and a step of the combiner a bar. Fails where no member earns anything: it is then as good as
the best of several losers. It comes late to a change by as many bars as the regime filter and the records need, and it can tell members
apart only by what their accounts earned.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np

from tradewind.core.clock import Clock
from tradewind.core.errors import MissingExtra, NotFitted, StateError
from tradewind.core.market import Market
from tradewind.core.protocols import Strategy as StrategyLike
from tradewind.core.seeds import derive
from tradewind.core.settings import require
from tradewind.core.types import Array, State, Target, Targets, View
from tradewind.ensemble.config import EnsembleConfig
from tradewind.ensemble.life import Life
from tradewind.ensemble.members import Deadline, names_of
from tradewind.ensemble.presets import preset as config_of
from tradewind.regimes.base import RegimeFilter
from tradewind.regimes.registry import detector
from tradewind.simulate.account import walk_band
from tradewind.simulate.costs import Costs
from tradewind.strategies import plain
from tradewind.strategies.base import Strategy
from tradewind.strategies.paper import member
from tradewind.strategies.reason import Reason, share

if TYPE_CHECKING:
    from tradewind.ensemble.combiner import Decision
    from tradewind.simulate.account import Book

__all__ = ["MEMBERS", "Ensemble"]

MEMBERS: Final = ("momentum", "ema-cross", "rsi-reversal", "bollinger-reversal", "logistic")
"""Members when none are named: two that follow, two that fade, one that learns."""


@final
class Ensemble(Strategy):
    """Trusts its members by what each earned in an account of its own, and by the regime.

    `preset`: a name (`tw.ensemble.presets()`) or an EnsembleConfig, `changes`: its single settings, such as `max_agent_weight=.5`.
    `members`: names, pairs of a name and its settings, or strategies, at least as many as the preset asks for. `costs`: settings of
    `tradewind.Costs` for their paper accounts.

    `fit` fits the members on the training part but for its newest `holdback` and lets them trade that, which is where the weights learn
    whom to trust from members that have not seen it; then it fits them on everything. After that the weights go on learning at each bar.
    Members have lived for `history` bars when the first decision is taken. A member that fails is put in quarantine (`faults` says what
    happened); when too few are at work the ensemble is flat.

    Asked at a bar that comes after the last one, it first lives through those in between; asked about another history, it begins anew from
    what the fit left. `warmup` is the longest of the members' and the regime filter's.

    Raises SettingsError for too few members, an unknown preset or setting, and settings that contradict each other.
    """

    remembers = True

    def __init__(
        self,
        preset: str | EnsembleConfig = "balanced",
        members: Sequence[Any] = MEMBERS,
        costs: Mapping[str, Any] | None = None,
        refit_every: int = 1,
        **changes: Any,
    ) -> None:
        self.config = preset.changed(changes) if isinstance(preset, EnsembleConfig) else config_of(preset, **changes)
        require(isinstance(members, list | tuple), f"members is {members!r}; give names, (name, settings) or strategies in a list")
        least = self.config.min_diversification_agents
        called = f"preset {preset!r}" if isinstance(preset, str) else "config"
        require(
            len(members) >= least,
            f"the {called} asks for {least} members or more, and {len(members)} are given; name more, or set min_diversification_agents",
        )
        self.costs, self.refit_every = Costs.from_dict(costs or {}), refit_every
        self.members: tuple[StrategyLike, ...] = tuple(member(each, None) for each in members)
        self.names = names_of(self.members)
        named, own = self.config.regime, self.config.regime_settings
        self.regimes: RegimeFilter | None = None if named is None else detector(named, **own)
        self.warmup = self._longest()
        self._unfit: dict[str, str] = {}
        self._learned: State | None = None
        self._life: Life | None = None
        self._deadline: Deadline | None = None
        # The bars (UTC ns) first and last decided at; -1 before there are any.
        self._opened, self._last = -1, -1

    @property
    def decision(self) -> Decision | None:
        """The latest decision with its parts: weights of members, confidence, agreement; None before the first `decide`."""
        return None if self._life is None else self._life.decision

    @property
    def faults(self) -> dict[str, str]:
        """What went wrong last with each member that ever failed, by its name."""
        lived = {} if self._life is None else {name: each.fault for name, each in zip(self.names, self._life.members, strict=True)}
        return {**self._unfit, **{name: fault for name, fault in lived.items() if fault}}

    def timed(self, clock: Clock) -> Self:
        """From now on a member that takes longer than `deadline` seconds by `clock` is put in quarantine. For live trading alone."""
        self._deadline = Deadline(clock, self.config.deadline)
        return self

    def reseed(self, seed: int) -> None:
        for number, each in enumerate(self.members):
            reseed = getattr(each, "reseed", None)
            if reseed is not None:
                reseed(derive(seed, "member", number))
        self.config = self.config.changed({"seed": derive(seed, "ensemble")})

    def fit(self, market: Market) -> Self:
        self._life, self._opened, self._last, self._unfit = None, -1, -1, {}
        self._learned = self._record(market)
        self.members = self._taught(self.members, market, self._unfit)
        if self.regimes is not None:
            self.regimes = self.regimes.fit(market)
        self.warmup = self._longest()
        return self

    def decide(self, view: View) -> Target:
        wanted = self._follow(view.market)
        # As in `walk_band`: what is less than the band away from what is held is left alone. The first decision is said in full.
        band = 0.0 if self._last == self._opened else self.config.width(len(wanted))
        return Target(np.where(np.abs(wanted - view.portfolio.weights) < band, np.nan, wanted))

    def decide_all(self, market: Market, book: Book | None = None, start: int = 0) -> Targets:
        first = max(start, self.warmup - 1)
        desired = np.full(market.close.shape, np.nan)
        if first >= len(market):
            return desired
        decided = self._new_life(market.symbols, market.periods_per_year).through(market, max(0, first - self.config.history), first)
        desired[first:] = [each.target for each in decided]
        band = np.full(desired.shape, self.config.width(len(market.symbols)))
        band[first] = 0.0
        return walk_band(market, desired, band, book, start)

    def explain(self, view: View, symbol: int) -> Reason:
        """Why `decide(view)` asks for what it asks of the symbol in column `symbol`: whom it trusts, and what those want."""
        target = float(self.decide(view).weights[symbol])
        life, decision = self._life, self.decision
        assert life is not None and decision is not None, "decide has just been asked"
        trusted = sorted(zip(decision.weights, self.names, strict=True), key=lambda pair: -pair[0])
        words = [f"Trusted: {', '.join(f'{name} {weight:.0%}' for weight, name in trusted if weight > 0) or 'nobody, so it is flat'}."]
        words.append(
            f"Together they want {share(float(decision.target[symbol]))}; {decision.agreement:.0%} of the weight agrees on the side, "
            f"and the confidence is {decision.confidence:.0%}."
        )
        held = float(view.portfolio.weights[symbol])
        kept = f"less than the band of {self.config.width(len(view.market.symbols)):g} from the {share(held)} that it holds, which it keeps"
        words.append(f"That is {kept if np.isnan(target) else 'not inside the band around what it holds: it asks for it'}.")
        values = {f"weight {name}": float(weight) for weight, name in trusted}
        return Reason(tuple(words), {**values, "wanted": float(decision.target[symbol]), "held": held, "target": target})

    def state(self) -> State:
        """The fitted members and regime filter, what the weights learned in the fit, and the life since, which goes on to the bit."""
        values = {"class": "Ensemble", "config": self.config.to_dict(), "costs": self.costs.to_dict(), "names": list(self.names)}
        own = State({**values, "opened": self._opened, "last": self._last, "warmup": self.warmup, "unfit": dict(self._unfit)})
        for number, each in enumerate(self.members):
            own = own.nest(f"member{number}", each.state())
        own = own if self.regimes is None else own.nest("regimes", self.regimes.state())
        own = own if self._learned is None else own.nest("learned", self._learned)
        return own if self._life is None else own.nest("life", self._life.state())

    def restore(self, state: State) -> Self:
        if state.values.get("class") != "Ensemble" or tuple(state.values["names"]) != self.names:
            raise StateError(f"this is no state of an ensemble of {', '.join(self.names)}; restore it into one of the same members")
        config = EnsembleConfig.from_dict(state.values["config"])
        mine, saved = (plain.outline(each.to_dict()) for each in (self.config, config))
        other = [name for name in mine if name != "seed" and saved[name] != mine[name]]
        other += ["costs"] if Costs.from_dict(state.values["costs"]) != self.costs else []
        if other:
            raise StateError(f"this state was saved under other settings of {', '.join(other)}; restore it into an ensemble of the same")
        self.config = config
        self.members = tuple(each.restore(state.child(f"member{number}")) for number, each in enumerate(self.members))
        if self.regimes is not None:
            self.regimes = self.regimes.restore(state.child("regimes"))
        self._opened, self._last, self.warmup = (int(state.values[name]) for name in ("opened", "last", "warmup"))
        self._unfit = dict(state.values["unfit"])
        self._learned = state.child("learned") if "learned" in state.values else None
        saved = state.child("life") if "life" in state.values else None
        self._life = (
            None if saved is None else self._new_life(tuple(saved.values["symbols"]), saved.values["periods_per_year"]).restore(saved)
        )
        return self

    def rehearsal(self, market: Market) -> tuple[Life, int] | None:
        """A life of members fitted on the training part but for its newest `holdback`, and the first bar at which they may be judged.

        None where that is too short for any member to learn from, or leaves no bar to judge them at.
        """
        kept = len(market) - round(len(market) * self.config.holdback)
        try:
            members = self._taught(self.members, market[:kept], {})
            regimes = None if self.regimes is None else copy.deepcopy(self.regimes).fit(market[:kept])
        except MissingExtra:
            raise
        except Exception:  # noqa: BLE001 - too short for any member or the filter to learn from; the weights then begin equal
            return None
        first = max(kept, self._longest(members, regimes) - 1)
        if first >= len(market):
            return None
        named = dict(zip(self.names, members, strict=True))
        return Life(self.config, named, market.symbols, market.periods_per_year, self.costs, regimes), first

    def _record(self, market: Market) -> State | None:
        """What the combiner learns from the held-back bars."""
        rehearsal = self.rehearsal(market)
        if rehearsal is None:
            return None
        life, first = rehearsal
        life.through(market, max(0, first - self.config.history), first)
        return life.combiner.state()

    def _taught(self, unfitted: Sequence[StrategyLike], market: Market, faults: dict[str, str]) -> tuple[StrategyLike, ...]:
        """Copies of the members, fitted on `market`; one that fails stays as it was, with what happened in `faults`."""
        taught, errors = [], []
        for name, each in zip(self.names, unfitted, strict=True):
            try:
                taught.append(copy.deepcopy(each).fit(market))
            except MissingExtra:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a member does wrong, the others go on
                taught.append(each)
                errors.append(error)
                faults[name] = f"fit: {type(error).__name__}: {error}"
        if len(errors) == len(taught):
            raise errors[0]
        return tuple(taught)

    def _follow(self, market: Market) -> Array:
        """What is wanted at the last close of `market`: lived up to there, or begun anew where the market is not the one lived through."""
        row = len(market) - 1
        begun = self._lived_until(market)
        if begun is None:
            self._life, begun = self._new_life(market.symbols, market.periods_per_year), row
            self._life.open(market[:row], max(0, row - self.config.history))
            self._opened = int(market.open_time[row])
        life = self._life
        assert life is not None, "there is one, or it has just been made"
        for t in range(begun, len(market)):
            life.step(market[: t + 1], self._deadline)
        self._last = int(market.open_time[-1])
        if life.decision is None:
            raise NotFitted("the ensemble was restored from a state without a decision; show it the next bar")
        return life.decision.target

    def _lived_until(self, market: Market) -> int | None:
        """The first row of `market` that was not lived through; None when it does not go on from there, or only after too many bars."""
        if self._life is None or self._life.symbols != market.symbols:
            return None
        row = int(np.searchsorted(market.open_time, self._last))
        if row == len(market) or int(market.open_time[row]) != self._last or len(market) - row - 1 > max(1, self.config.history):
            return None
        same = np.isnan(market.close[row]) | (market.close[row] == self._life.closes)
        return row + 1 if bool(same.all()) else None

    def _new_life(self, symbols: tuple[str, ...], periods_per_year: float) -> Life:
        """A life that begins with what the fit learned; with equal weights where that was learned on other symbols."""
        life = Life(self.config, dict(zip(self.names, self.members, strict=True)), symbols, periods_per_year, self.costs, self.regimes)
        if self._learned is not None and tuple(self._learned.values["symbols"]) == symbols:
            life.combiner.restore(self._learned)
        return life

    def _longest(self, members: Sequence[StrategyLike] | None = None, regimes: RegimeFilter | None = None) -> int:
        told = self.regimes if regimes is None else regimes
        return max([each.warmup for each in (self.members if members is None else members)] + ([] if told is None else [told.warmup]))
