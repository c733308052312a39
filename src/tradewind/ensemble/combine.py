"""Combining finished rows: what an ensemble of strategies would have wanted, whose targets and accounts are there already.

The main job has every row's targets on the test parts, each decided out of sample, and the account that each traded. The combiner walks
over them from equal weights, bar by bar, as it would have lived; the regime filter is fitted on the bars before the first of them alone.
Source: prequential combination, Dawid (1984), https://doi.org/10.2307/2981683. Costs a step of the combiner a bar, no fit of a member.
Fails to tell how the ensemble would have begun with a record: it has none at the first bar, since no row has out-of-sample targets before
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.errors import DataError
from tradewind.core.market import Market
from tradewind.core.settings import require
from tradewind.core.types import Array, Targets
from tradewind.ensemble.combiner import WAYS, Combiner, Decision, Evidence
from tradewind.ensemble.config import EnsembleConfig
from tradewind.regimes.registry import detector
from tradewind.simulate.account import Book, walk_band

if TYPE_CHECKING:
    from tradewind.regimes.base import RegimeFilter
    from tradewind.simulate.costs import Costs

__all__ = ["Combined", "combined", "last_closes", "overall"]


@final
@dataclass(frozen=True, eq=False)
class Combined:
    """What the combiner made of finished rows, a row a bar.

    `desired` (time, symbol): weights wanted; `targets` (time, symbol): the same with the config's no-trade band, NaN where it keeps.
    `weights` (time, member) of `members`; `ways` (time, way, member) those of each of WAYS, and `trust` (time, way) in it; `confidence`,
    `agreement`, `stability`, `size` (time,); `gate` and `flat` (time,), 1 or 0: the learned gate counted, too few members were at work.
    `probabilities` (time, regime) of `regimes`, filtered, NaN before the filter is warm. `parts` (time,) by name.
    """

    members: tuple[str, ...]
    regimes: tuple[str, ...]
    desired: Targets
    targets: Targets
    weights: Array
    ways: Array
    trust: Array
    confidence: Array
    agreement: Array
    stability: Array
    size: Array
    gate: Array
    flat: Array
    probabilities: Array
    parts: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.desired)


def combined(
    market: Market,
    targets: Sequence[Targets],
    held: Sequence[Array],
    returns: Sequence[Array],
    config: EnsembleConfig,
    names: Sequence[str] | None = None,
    start: int = 0,
    costs: Costs | None = None,
    regimes: RegimeFilter | None = None,
) -> Combined:
    """The combiner's decisions at the bars of `market` from bar `start` on; those before it are what the filter is fitted on.

    Of each member, a row for each bar from `start` on: `targets` (time, symbol), NaN keeps; `held` (time, symbol) the weights in its
    account; `returns` (time,) that account's net simple returns. A member sleeps until its first target. `names` of the members, numbered
    where None. `costs` are those that the whole will pay, which the weights held inside the band depend on. `regimes`: a filter that is
    fitted already, in the place of the one that the config names.

    Raises SettingsError for fewer members than the config asks for, DataError where the shapes do not pair up.
    """
    count, tested = len(targets), market[start:]
    require(count == len(held) == len(returns), f"{count} targets, {len(held)} held weights and {len(returns)} returns do not pair up")
    shape = tested.close.shape
    for number, (wanted, weights, earned) in enumerate(zip(targets, held, returns, strict=True)):
        if np.shape(wanted) != shape or np.shape(weights) != shape or np.shape(earned) != shape[:1]:
            found = f"targets {np.shape(wanted)}, held {np.shape(weights)}, returns {np.shape(earned)}"
            raise DataError(f"member {number}: {found}; from bar {start} on the market has (time, symbol) = {shape}")
    members = tuple(names) if names is not None else tuple(f"member {number}" for number in range(count))
    told, regime_names = _regimes(market, start, config, regimes)
    combiner = Combiner(config, members, market.symbols, regime_names, market.periods_per_year, costs)
    wants, holds, earns = np.stack(targets, axis=1), np.stack(held, axis=1), np.stack(returns, axis=1)
    spoken: NDArray[np.bool_] = np.asarray(np.isfinite(wants).any(axis=2), dtype=np.bool_)
    awake: NDArray[np.bool_] = np.asarray(np.maximum.accumulate(spoken, axis=0), dtype=np.bool_)
    moved = tested.close / last_closes(market.close)[start:] - 1.0
    decisions = [combiner.step(Evidence(earns[t], wants[t], holds[t], awake[t], told[t], moved[t])) for t in range(len(tested))]
    desired = np.array([each.target for each in decisions]).reshape(shape)
    # As in `Ensemble`: the first decision is said in full.
    band = np.full(shape, config.width(len(market.symbols)))
    band[:1] = 0.0
    banded = walk_band(tested, desired, band, Book(market.symbols, costs))
    return _told(decisions, members, regime_names, desired, banded, told)


def overall(probabilities: Array) -> Array:
    """(time, regime): the mean over the symbols that have an answer of `probabilities` (time, symbol, regime); NaN where none has."""
    there: NDArray[np.bool_] = np.asarray(~np.isnan(probabilities).any(axis=2), dtype=np.bool_)
    total = np.where(there[:, :, None], probabilities, 0.0).sum(axis=1)
    count = there.sum(axis=1)[:, None]
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def last_closes(close: Array) -> Array:
    """(time, symbol): the last `close` (time, symbol) of each symbol before each bar; NaN before its first."""
    rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    filled = np.take_along_axis(close, rows, axis=0)
    return np.concatenate([np.full((1, close.shape[1]), np.nan), filled[:-1]])


def _regimes(market: Market, start: int, config: EnsembleConfig, given: RegimeFilter | None) -> tuple[Array, tuple[str, ...]]:
    """(time, regime) probabilities at the bars from `start` on, and the names of the regimes; none where the config wants none."""
    if given is None and config.regime is None:
        return np.empty((len(market) - start, 0)), ()
    told = given if given is not None else detector(str(config.regime), **config.regime_settings).fit(market[:start])
    return overall(told.filter(market).probabilities[start:]), told.names


def _told(
    decisions: Sequence[Decision], members: tuple[str, ...], regimes: tuple[str, ...], desired: Array, banded: Array, probabilities: Array
) -> Combined:
    def series(name: str, *width: int) -> Array:
        return np.array([getattr(decision, name) for decision in decisions], dtype=np.float64).reshape(len(decisions), *width)

    known = decisions[0].parts if decisions else {}
    return Combined(
        members, regimes, desired, banded,
        series("weights", len(members)), series("ways", len(WAYS), len(members)), series("trust", len(WAYS)),
        series("confidence"), series("agreement"), series("stability"), series("size"), series("gate"), series("flat"),
        probabilities, {name: np.array([decision.parts[name] for decision in decisions]) for name in known},
    )  # fmt: skip
