"""Mixing: weights under a cap, what members together want to hold, and how far they agree.

Source: capping is the relative-entropy projection of Warmuth & Kuzmin (2008), "Randomized online PCA algorithms with regret bounds",
https://jmlr.org/papers/v9/warmuth08a.html, section 4: mass above the cap goes to the others in proportion.
Costs O(members * symbols) a bar. Fails to diversify where members that differ in name hold the same: a cap counts names, not risks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.types import Array

__all__ = ["agreement", "capped", "mixed", "standing"]


@kernel
def _cap(weights: Array, awake: NDArray[np.bool_], cap: float, kept: Array) -> None:
    """`kept` (member,): `weights` of those awake, water-filled under `cap`."""
    total, count = 0.0, 0
    for i in range(len(weights)):
        if awake[i]:
            total += weights[i]
            count += 1
    for i in range(len(weights)):
        kept[i] = 0.0 if not awake[i] else weights[i] / total if total > 0.0 else 1.0 / count
    full = np.zeros(len(weights), dtype=np.bool_)
    over = True
    while over:
        over, left, mass, free = False, 1.0, 0.0, 0
        for i in range(len(weights)):
            if awake[i] and not full[i] and kept[i] > cap:
                full[i], kept[i], over = True, cap, True
            if full[i]:
                left -= cap
            elif awake[i]:
                mass += kept[i]
                free += 1
        for i in range(len(weights)):
            if over and awake[i] and not full[i]:
                # Shares first: left / mass is infinite where all that is free has weights near the smallest number there is.
                kept[i] = left * (kept[i] / mass) if mass > 0.0 else left / free


def capped(weights: Array, awake: NDArray[np.bool_], cap: float) -> Array:
    """(member,) `weights` (member,) >= 0 of the members `awake`, summing to one, none above `cap`; the others have 0.

    What is above the cap goes to those below it in proportion to their weights (equally where all of those are 0), until none is. The
    order of the members by weight is kept. `cap` times the number awake is at least 1; nobody awake gives zeros.
    """
    kept = np.empty(len(weights))
    _cap(weights, awake, cap, kept)
    return kept


def standing(wanted: Array, held: Array) -> Array:
    """(member, symbol): what each member stands for: what it wants, or what it holds where it keeps (NaN)."""
    return np.where(np.isnan(wanted), held, wanted)


def mixed(weights: Array, positions: Array) -> Array:
    """(symbol,): the positions (member, symbol) in the shares `weights` (member,); opposite positions cancel before anything is traded."""
    return np.asarray((weights[:, None] * positions).sum(axis=0))


def agreement(weights: Array, positions: Array, target: Array) -> float:
    """The share of weight behind the direction of the mix, 0 to 1: over symbols by the size of `target` (symbol,).

    A member stands behind a symbol's direction where its own position (member, symbol) has the sign of the mix. Where the mix is flat in
    everything, the share of weight of the members that are flat in everything.
    """
    total = np.abs(target).sum()
    if total <= 0:
        return float(weights[(positions == 0).all(axis=1)].sum())
    behind = (weights[:, None] * (np.sign(positions) == np.sign(target))).sum(axis=0)
    return float((behind * np.abs(target)).sum() / total)
