"""A forest of Hoeffding trees as arrays: what its kernels read and write, and how it becomes larger.

Source: the statistics of a leaf in Domingos and Hulten 2000, https://doi.org/10.1145/347090.347107. Costs 40 bytes a node, column that it
observes and class. Fails to give memory back: the pool is as large as it had to be once, though trees that are exchanged leave room in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.types import Array

__all__ = ["Limits", "Trees", "Whole", "empty", "enlarged"]

Whole = NDArray[np.int64]

LEVELS: Final = 40
BUCKETS: Final = 5
"""ADWIN keeps so many buckets of each of so many widths, the powers of two."""


@final
class Limits(NamedTuple):
    """A forest's settings in the form its kernels take. Weights are sums of the weights of rows.

    `columns` of a row. `depth`: splits on a path. `grace`: weight between two attempts to split. `delta`, `tau`: chance of a wrong split,
    and the bound under which two columns are as good as each other. `rate`: mean copies of a row that a tree learns, 0 for exactly one.
    `bayes`: whether leaves may answer by naive Bayes. `warning`, `drift`: chances of a false alarm of the two detectors.
    """

    columns: int
    depth: int
    grace: float
    delta: float
    tau: float
    rate: float
    bayes: bool
    warning: float
    drift: float


@final
class Trees(NamedTuple):
    """The nodes of all trees in one pool, and what belongs to a tree.

    `links` (node, 4): column, left, right, depth; a leaf has column -1. `facts` (node, 4): threshold, weight at the last attempt to
    split, and the weights of the rows that the majority and naive Bayes had right. `counts` (node, class): weights. `chosen` (node, k):
    columns that a leaf observes; `moments` (node, k, class, 5): their weight, mean, sum of squares, lowest and highest. `free` (node,):
    nodes not in use are the first heads[0]. `heads` (3,): free nodes, events in the list at hand, rows learned. `roots` (2, tree): the
    trees, and those in the background, -1 where there is none. `record` (tree, 2): rows that a tree had right, rows that it was asked.
    `windows` (2, tree, 2): width and ones of its detectors for warnings and for drift; `ones` (2, tree, level, bucket) of their buckets,
    oldest first, and `sizes` (2, tree, level) how many buckets there are. `random` (1,): the state of the generator.
    """

    links: Whole
    facts: Array
    counts: Array
    chosen: Whole
    moments: Array
    free: Whole
    heads: Whole
    roots: Whole
    record: Array
    windows: Whole
    ones: Whole
    sizes: Whole
    random: NDArray[np.uint64]


NODE_FIELDS: Final = ("links", "facts", "counts", "chosen", "moments")


def empty(trees: int, classes: int, chosen: int, seed: int, nodes: int) -> Trees:
    """`trees` trees without roots over a pool of `nodes` nodes whose leaves observe `chosen` columns."""
    whole = np.int64
    return Trees(
        links=np.full((nodes, 4), -1, whole),
        facts=np.zeros((nodes, 4)),
        counts=np.zeros((nodes, classes)),
        chosen=np.zeros((nodes, chosen), whole),
        moments=np.zeros((nodes, chosen, classes, 5)),
        free=np.arange(nodes, dtype=whole)[::-1].copy(),
        heads=np.array([nodes, 0, 0], whole),
        roots=np.full((2, trees), -1, whole),
        record=np.zeros((trees, 2)),
        windows=np.zeros((2, trees, 2), whole),
        ones=np.zeros((2, trees, LEVELS, BUCKETS + 1), whole),
        sizes=np.zeros((2, trees, LEVELS), whole),
        random=np.array([seed], np.uint64),
    )


def enlarged(trees: Trees) -> Trees:
    """The same trees over a pool twice as large."""
    nodes, free = len(trees.links), int(trees.heads[0])
    grown = {}
    for name in NODE_FIELDS:
        array = getattr(trees, name)
        grown[name] = np.concatenate([array, np.zeros_like(array)])
    unused = np.zeros(2 * nodes, np.int64)
    unused[: nodes + free] = np.concatenate([np.arange(2 * nodes - 1, nodes - 1, -1), trees.free[:free]])
    heads = trees.heads.copy()
    heads[0] = nodes + free
    return trees._replace(free=unused, heads=heads, **grown)
