"""Probability of backtest overfitting by combinatorially symmetric cross-validation: does the best in one half stay good in the other?

Paper: Bailey, Borwein, Lopez de Prado & Zhu (2017), https://doi.org/10.21314/JCF.2016.322.
Cost: one matrix product of (splits, blocks) by (blocks, strategies); 12,870 splits for 16 blocks. Fails to mean much with few strategies,
or when all are equally good: then it is .5 on average, give or take .16 a sample.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb

from tradewind.core.errors import DataError
from tradewind.core.settings import require
from tradewind.core.types import Array

__all__ = ["pbo", "symmetric_splits"]

_CHUNK_CELLS: Final = 4_000_000


def symmetric_splits(blocks: int) -> Array:
    """(split, block) 1.0 where a block is in-sample: every choice of half of the `blocks`; 12,870 rows for 16."""
    require(blocks >= 2 and blocks % 2 == 0, f"blocks is {blocks}; it is an even number, at least 2, such as 16")
    require(blocks <= 20, f"blocks is {blocks}: {comb(blocks, blocks // 2):.3g} splits are too many; use 20 or fewer")
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    inside = np.zeros((len(chosen), blocks))
    np.put_along_axis(inside, chosen, 1.0, axis=1)
    return inside


def _sharpes(inside: Array, counts: Array, sums: Array, squares: Array) -> Array:
    """(split, strategy) Sharpe ratios of the blocks marked in `inside`; 0 without variance."""
    n = (inside @ counts)[:, None]
    mean = inside @ sums / n
    variance = inside @ squares / n - mean**2
    defined = variance > 1e-12
    return np.asarray(np.where(defined, mean / np.sqrt(np.where(defined, variance, 1.0)), 0.0))


def pbo(returns: ArrayLike, blocks: int = 16) -> float:
    """Share of the symmetric splits in which the strategy that is best in-sample is at or below the median out of sample.

    `returns` (time, strategy), simple per bar: every configuration that was tried, at least two. Blocks are contiguous and as equal as
    can be. Ties take the middle rank. Raises DataError for other shapes, missing values or fewer than two rows a block.
    """
    panel = np.asarray(returns, dtype=np.float64)
    if panel.ndim != 2 or panel.shape[1] < 2:
        raise DataError(f"returns have shape {panel.shape}, expected (time, strategy) with at least two strategies")
    if not np.isfinite(panel).all():
        raise DataError("returns hold NaN or infinite values; drop those bars from every strategy")
    inside = symmetric_splits(blocks)
    if len(panel) < 2 * blocks:
        raise DataError(f"{len(panel)} rows are too few for {blocks} blocks; at least {2 * blocks} are needed")
    scale = np.abs(panel).max(axis=0)
    scaled = panel / np.where(scale > 0, scale, 1.0)
    deviation = scaled.std(axis=0)
    # Unit variance: the ratios stay as they are and the threshold under which a half counts as constant fits every column.
    scaled = np.where(deviation > 1e-12, scaled / np.where(deviation > 1e-12, deviation, 1.0), 0.0)
    parts = np.array_split(scaled, blocks)
    counts = np.array([len(part) for part in parts], dtype=np.float64)
    sums, squares = np.stack([part.sum(axis=0) for part in parts]), np.stack([(part**2).sum(axis=0) for part in parts])
    chunk = max(1, _CHUNK_CELLS // panel.shape[1])
    overfit = sum(_overfit(inside[i : i + chunk], counts, sums, squares) for i in range(0, len(inside), chunk))
    return overfit / len(inside)


def _overfit(inside: Array, counts: Array, sums: Array, squares: Array) -> int:
    """In how many of these splits the in-sample winner ends at or below the out-of-sample median."""
    winner = np.argmax(_sharpes(inside, counts, sums, squares), axis=1)
    outside = _sharpes(1.0 - inside, counts, sums, squares)
    own = np.take_along_axis(outside, winner[:, None], axis=1)
    rank = np.sum(outside < own, axis=1) + (np.sum(outside == own, axis=1) + 1) / 2
    return int(np.count_nonzero(rank <= (outside.shape[1] + 1) / 2))
