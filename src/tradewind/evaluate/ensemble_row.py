"""The row `ensemble` of a run: what the combiner makes of the other rows' out-of-sample targets, beside the best of them in hindsight.

Nothing is fitted for it but the regime filter, on the bars before the first test part; the combiner learns as it walks, from equal weights.
Costs one step of the combiner a test bar. Fails to say what an ensemble that had traded before would have known at the first bar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from tradewind.core.arrays import Array
from tradewind.core.clock import format_time
from tradewind.core.market import Market
from tradewind.engine import Backtest
from tradewind.ensemble.combine import Combined, combined
from tradewind.ensemble.combiner import WAYS
from tradewind.ensemble.config import EnsembleConfig
from tradewind.stats.metrics import sharpe
from tradewind.strategies.reason import Reason, share

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EnsembleRow", "ensemble_row"]


@final
@dataclass(frozen=True, eq=False)
class EnsembleRow:
    """How the row came about: `found`, the combiner's decisions at every test bar, and `members`, the accounts that it was made of."""

    found: Combined
    members: Mapping[str, Backtest]

    @property
    def market(self) -> Market:
        """The test bars."""
        return next(iter(self.members.values())).market

    @property
    def best(self) -> str:
        """The member with the highest net Sharpe ratio over the same bars: nobody could have known it beforehand."""
        ratios = {name: sharpe(account.returns) for name, account in self.members.items()}
        return max(ratios, key=lambda name: ratios[name] if math.isfinite(ratios[name]) else -math.inf)

    def hindsight(self) -> str:
        """The best member in a sentence that says what it is."""
        account = self.members[self.best]
        ratio = float(sharpe(account.returns, account.market.periods_per_year))
        gained = float(account.equity[-1] / account.capital - 1.0)
        return f"Best member in hindsight: {self.best}, Sharpe {ratio:.2f}, {100 * gained:+.1f} %; nobody could have chosen it beforehand."

    def to_dict(self) -> dict[str, Any]:
        """Means over the test bars, and the best member in hindsight, as plain data."""
        found, account = self.found, self.members[self.best]
        return {
            "weights": _shares(found.members, found.weights),
            "trust": _shares(WAYS, found.trust),
            "regimes": _shares(found.regimes, found.probabilities),
            **{name: float(getattr(found, name).mean()) for name in ("confidence", "agreement", "stability", "size", "gate", "flat")},
            "best_member_in_hindsight": {
                "name": self.best,
                "sharpe": _finite(float(sharpe(account.returns, account.market.periods_per_year))),
                "net_return": float(account.equity[-1] / account.capital - 1.0),
            },
        }

    def to_frame(self) -> pl.DataFrame:
        """Every decision: `open_time`, `weight <member>`, `trust <way>`, `regime <name>`, confidence, agreement, stability, size, gate and
        flat."""
        import polars as pl

        found, market = self.found, self.market
        columns: dict[str, Array] = {f"weight {name}": found.weights[:, k] for k, name in enumerate(found.members)}
        columns |= {f"trust {name}": found.trust[:, k] for k, name in enumerate(WAYS)}
        columns |= {f"regime {name}": found.probabilities[:, k] for k, name in enumerate(found.regimes)}
        columns |= {name: getattr(found, name) for name in ("confidence", "agreement", "stability", "size", "gate", "flat")}
        times = pl.Series("open_time", market.open_time).cast(pl.Datetime("ns", "UTC"))
        return pl.DataFrame([times, *(pl.Series(name, np.ascontiguousarray(values)) for name, values in columns.items())])

    def explain(self, t: int, symbol: int) -> Reason:
        """Why it decided what it did at test bar `t` on the symbol in column `symbol`."""
        found, market = self.found, self.market
        trusted = sorted(((float(w), name) for w, name in zip(found.weights[t], found.members, strict=True) if w > 0), reverse=True)
        asked = []
        for weight, name in trusted:
            wanted, held = self.members[name].targets[t, symbol], self.members[name].weights[t, symbol]
            verb = "keeps" if math.isnan(wanted) else "wants"
            asked.append(f"{name} ({weight:.0%}) {verb} {share(float(held if math.isnan(wanted) else wanted))}")
        words = [f"It trusts {', '.join(asked)}." if asked else "Too few members were at work, so it is flat."]
        if len(found.regimes) and not np.isnan(found.probabilities[t]).any():
            now = int(found.probabilities[t].argmax())
            words.append(
                f"The regime at {format_time(int(market.open_time[t]))} is most probably {found.regimes[now].replace('_', ' ')} "
                f"({found.probabilities[t, now]:.0%})."
            )
        words.append(
            f"Together, times {found.size[t]:.2f}, that is {share(float(found.desired[t, symbol]))}; {found.agreement[t]:.0%} of the "
            f"weight agrees on the side."
        )
        target = float(found.targets[t, symbol])
        words.append("That is within the band around what it holds, which it keeps." if math.isnan(target) else "It asks for that.")
        values = {f"weight {name}": weight for weight, name in trusted}
        return Reason(tuple(words), {**values, "wanted": float(found.desired[t, symbol]), "target": target})


def ensemble_row(config: EnsembleConfig, market: Market, members: Mapping[str, Backtest]) -> EnsembleRow:
    """The row made of the accounts of `members` over the test bars, which are the last bars of `market`.

    Raises SettingsError for fewer members than the config asks for.
    """
    accounts = list(members.values())
    found = combined(
        market, [each.targets for each in accounts], [each.weights for each in accounts], [each.returns for each in accounts], config,
        names=list(members), start=len(market) - len(accounts[0].market), costs=accounts[0].costs,
    )  # fmt: skip
    return EnsembleRow(found, dict(members))


def _shares(names: tuple[str, ...], shares: Array) -> dict[str, float | None]:
    there = ~np.isnan(shares).any(axis=1)
    means = shares[there].mean(axis=0) if there.any() else np.full(len(names), np.nan)
    return {name: _finite(float(mean)) for name, mean in zip(names, means, strict=True)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
