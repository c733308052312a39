"""Hoeffding trees in a forest that adapts: the compiled part, one row of one tree after another.

Papers: Domingos and Hulten 2000, https://doi.org/10.1145/347090.347107 (trees); Gomes et al. 2017, https://doi.org/10.1007/s10994-017-5642-8
(forest); Bifet and Gavalda 2007, https://doi.org/10.1137/1.9781611972771.42 (ADWIN). What they leave open is as in River 0.26.
Cost: a row costs every tree one way down and (columns of a leaf * classes) densities, a split attempt ten cuts of each column.
Fails where classes differ by anything but the ranges of single columns: leaves see each column as one Gaussian a class.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradewind.core.compiled import kernel
from tradewind.core.types import Array
from tradewind.models.forest_arrays import Limits, Trees, Whole

__all__ = ["DRIFT", "ROOM", "WARNING", "learn", "plant", "predict"]

WARNING: Final = 0
DRIFT: Final = 1
"""The two detectors of a tree."""
BACKGROUND: Final = 1
"""The row of `Trees.roots` with the trees in the background."""
CLOCK: Final = 32
LEAST: Final = 5
"""ADWIN: bits between two looks, and the shortest part of a window that is compared."""
CUTS: Final = 10
HALF_LOG_TAU: Final = 0.5 * math.log(math.tau)
ROOM: Final = 6
"""The most nodes that a row can add to one tree and its background; events are fewer."""


@kernel
def _uniform(random: NDArray[np.uint64]) -> float:
    """The next number in [0, 1) of splitmix64, https://doi.org/10.1145/2660193.2660195."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@kernel
def _copies(random: NDArray[np.uint64], rate: float) -> float:
    """How often a tree learns a row: a Poisson number, by Knuth's product, or once where `rate` is 0."""
    if rate == 0.0:
        return 1.0
    count, product, floor = 0.0, _uniform(random), math.exp(-rate)
    while product > floor:
        count += 1.0
        product *= _uniform(random)
    return count


@kernel
def _forget(trees: Trees, node: int) -> None:
    """Let a leaf observe its columns from new."""
    moments = trees.moments[node]
    moments[:, :, :3] = 0.0
    moments[:, :, 3], moments[:, :, 4] = np.inf, -np.inf


@kernel
def _new_leaf(trees: Trees, limits: Limits, depth: int) -> int:
    """An empty leaf with a random choice of columns (Floyd's sampling)."""
    trees.heads[0] -= 1
    node = trees.free[trees.heads[0]]
    trees.links[node, :3], trees.links[node, 3] = -1, depth
    trees.facts[node], trees.counts[node] = 0.0, 0.0
    chosen = trees.chosen[node]
    for i in range(len(chosen)):
        last = limits.columns - len(chosen) + i
        column = int(_uniform(trees.random) * (last + 1))
        chosen[i] = last if (chosen[:i] == column).any() else column
    _forget(trees, node)
    return int(node)


@kernel
def _release(trees: Trees, root: int) -> None:
    """Give back all nodes of a tree; the list of the free is itself the queue of those still to be looked at."""
    at = trees.heads[0]
    trees.free[at] = root
    end = at + 1
    while at < end:
        node = trees.free[at]
        if trees.links[node, 0] >= 0:
            trees.free[end], trees.free[end + 1] = trees.links[node, 1], trees.links[node, 2]
            end += 2
        at += 1
    trees.heads[0] = end


@kernel
def _leaf(trees: Trees, node: int, x: Array) -> int:
    while trees.links[node, 0] >= 0:
        node = trees.links[node, 1 if x[trees.links[node, 0]] <= trees.facts[node, 0] else 2]
    return node


@kernel
def _bayes(trees: Trees, node: int, x: Array, votes: Array) -> None:
    """Fill `votes` (class,) with naive Bayes' probabilities at a leaf that has seen rows."""
    counts, chosen, moments = trees.counts[node], trees.chosen[node], trees.moments[node]
    total, best = counts.sum(), -np.inf
    for c in range(len(counts)):
        votes[c] = -np.inf
        if counts[c] > 0.0:
            votes[c] = math.log(counts[c] / total)
            for k in range(len(chosen)):
                weight, mean, squares = moments[k, c, 0], moments[k, c, 1], moments[k, c, 2]
                if weight > 1.0 and 0.0 < squares < np.inf:
                    variance = squares / (weight - 1.0)
                    votes[c] -= HALF_LOG_TAU + 0.5 * (min((x[chosen[k]] - mean) ** 2 / variance, 1e300) + math.log(variance))
            best = max(best, votes[c])
    for c in range(len(counts)):
        votes[c] = math.exp(votes[c] - best)
    votes /= votes.sum()


@kernel
def _ask(trees: Trees, limits: Limits, root: int, x: Array, votes: Array) -> int:
    """Fill `votes` (class,) with a tree's probabilities, zeros where it has seen nothing; the likeliest class, or -1."""
    node = _leaf(trees, root, x)
    total = trees.counts[node].sum()
    if total == 0.0:
        votes[:] = 0.0
        return -1
    votes[:] = trees.counts[node] / total
    if limits.bayes and trees.links[node, 3] < limits.depth and trees.facts[node, 3] >= trees.facts[node, 2]:
        _bayes(trees, node, x, votes)
    return int(votes.argmax())


@kernel
def _entropy(weights: Array) -> float:
    """Of weights (class,), in bits."""
    total, entropy = 0.0, 0.0
    for weight in weights:
        if weight > 0.0:
            entropy -= weight * math.log2(weight)
            total += weight
    return (entropy + total * math.log2(total)) / total if total > 0.0 else 0.0


@kernel
def _divide(moments: Array, cut: float, parts: Array) -> None:
    """Fill `parts` (2, class) with the weights up to `cut` and beyond it, as far as the Gaussians of `moments` (class, 5) know."""
    for c in range(len(moments)):
        weight, squares, left = moments[c, 0], moments[c, 2], 0.0
        if cut >= moments[c, 4]:
            left = weight
        elif cut >= moments[c, 3] and weight > 1.0 and 0.0 < squares < np.inf:
            score = (cut - moments[c, 1]) / math.sqrt(squares / (weight - 1.0))
            left = 0.5 * (1.0 + math.erf(score / math.sqrt(2.0))) * weight
        parts[0, c], parts[1, c] = left, weight - left


@kernel
def _best_cut(moments: Array, before: float, parts: Array) -> tuple[float, float]:
    """The gain in information and the threshold of the best of ten cuts of a column; -inf where no cut leaves a hundredth on both sides."""
    low, high = moments[:, 3].min(), moments[:, 4].max()
    best, threshold = -np.inf, np.nan
    for i in range(1, CUTS + 1):
        cut = low + (high - low) / (CUTS + 1.0) * i
        if low < cut < high:
            _divide(moments, cut, parts)
            left, right = parts[0].sum(), parts[1].sum()
            if min(left, right) / (left + right) > 0.01:
                gain = before - (left * _entropy(parts[0]) + right * _entropy(parts[1])) / (left + right)
                if gain > best:
                    best, threshold = gain, cut
    return best, threshold


@kernel
def _attempt(trees: Trees, limits: Limits, node: int) -> None:
    """Split a leaf when its best column is better than the second by more than chance, or both are as good as can be told."""
    counts = trees.counts[node]
    total, classes = counts.sum(), int((counts > 0.0).sum())
    if classes < 2:
        return
    # A leaf that is all but pure, or that nothing can divide, looks at its columns from new, as River's do.
    if counts.max() / total > 0.99:
        _forget(trees, node)
        return
    before, parts = _entropy(counts), np.zeros((2, len(counts)))
    best, second, column, threshold = -np.inf, -np.inf, -1, np.nan
    for k in range(len(trees.chosen[node])):
        gain, cut = _best_cut(trees.moments[node, k], before, parts)
        second = max(second, min(best, gain))
        if gain >= best:
            best, column, threshold = gain, k, cut
    bound = math.log2(max(2, classes)) * math.sqrt(math.log(1.0 / limits.delta) / (2.0 * total))
    if best == -np.inf and bound < limits.tau:
        _forget(trees, node)
    elif best - second > bound or bound < limits.tau:
        _divide(trees.moments[node, column], threshold, parts)
        for side in range(2):
            child = _new_leaf(trees, limits, trees.links[node, 3] + 1)
            trees.counts[child], trees.facts[child, 1] = parts[side], parts[side].sum()
            trees.links[node, 1 + side] = child
        trees.links[node, 0], trees.facts[node, 0] = trees.chosen[node, column], threshold


@kernel
def _teach(trees: Trees, limits: Limits, root: int, x: Array, y: int, weight: float, votes: Array) -> None:
    """Let a tree learn one row."""
    node = _leaf(trees, root, x)
    counts, facts, moments = trees.counts[node], trees.facts[node], trees.moments[node]
    grows, total = trees.links[node, 3] < limits.depth, counts.sum()
    if grows and limits.bayes:
        if total == 0.0 or counts.argmax() == y:
            facts[2] += weight
        if total > 0.0:
            _bayes(trees, node, x, votes)
            if votes.argmax() == y:
                facts[3] += weight
    counts[y] += weight
    if not grows:
        return
    for k in range(len(trees.chosen[node])):
        value, seen = x[trees.chosen[node, k]], moments[k, y]
        seen[0] += weight
        step = value - seen[1]
        seen[1] += weight / seen[0] * step
        seen[2] += weight * step * (value - seen[1])
        seen[3], seen[4] = min(seen[3], value), max(seen[4], value)
    total = counts.sum()
    if total - facts[1] >= limits.grace:
        facts[1] = total
        _attempt(trees, limits, node)


@kernel
def _changed(window: Whole, ones: Whole, sizes: Whole, delta: float) -> bool:
    """Whether ADWIN finds two parts of its window of bits with different means."""
    width, total = window[0], window[1]
    share, doubt = total / width, math.log(2.0 * math.log(width) / delta)
    older, hits = 0, 0
    for level in range(len(sizes) - 1, -1, -1):
        for bucket in range(sizes[level]):
            older += 1 << level
            hits += ones[level, bucket]
            newer = width - older
            if older >= LEAST and newer >= LEAST:
                inverse = 1.0 / (older - LEAST + 1.0) + 1.0 / (newer - LEAST + 1.0)
                bound = math.sqrt(2.0 * inverse * share * (1.0 - share) * doubt) + 2.0 / 3.0 * doubt * inverse
                if abs(hits / older - (total - hits) / newer) > bound:
                    return True
    return False


@kernel
def _heed(trees: Trees, kind: int, tree: int, bit: int, delta: float) -> bool:
    """Show ADWIN one bit; when it has found a change it begins anew."""
    window, ones, sizes = trees.windows[kind, tree], trees.ones[kind, tree], trees.sizes[kind, tree]
    ones[0, sizes[0]] = bit
    sizes[0] += 1
    window[0] += 1
    window[1] += bit
    level = 0
    while sizes[level] == ones.shape[1]:
        ones[level + 1, sizes[level + 1]] = ones[level, 0] + ones[level, 1]
        sizes[level + 1] += 1
        for bucket in range(2, sizes[level]):
            ones[level, bucket - 2] = ones[level, bucket]
        sizes[level] -= 2
        level += 1
    if window[0] % CLOCK or not _changed(window, ones, sizes, delta):
        return False
    window[:], sizes[:] = 0, 0
    return True


@kernel
def _note(trees: Trees, events: Array, tree: int, kind: int) -> None:
    """Write down what was found: after how many rows, in which tree, by which detector, and the tree's accuracy until then."""
    event = events[trees.heads[1]]
    event[0], event[1], event[2], event[3] = trees.heads[2], tree, kind, trees.record[tree, 0] / trees.record[tree, 1]
    trees.heads[1] += 1


@kernel
def _advance(trees: Trees, limits: Limits, tree: int, x: Array, y: int, weight: float, votes: Array, events: Array) -> None:
    """Test one tree on a row, then train it and its background, and exchange them when the errors have changed."""
    wrong = _ask(trees, limits, trees.roots[0, tree], x, votes) != y
    trees.record[tree, 0] += 0.0 if wrong else 1.0
    trees.record[tree, 1] += 1.0
    weight *= _copies(trees.random, limits.rate)
    if weight == 0.0:
        return
    if trees.roots[BACKGROUND, tree] >= 0:
        _teach(trees, limits, trees.roots[BACKGROUND, tree], x, y, weight, votes)
    _teach(trees, limits, trees.roots[0, tree], x, y, weight, votes)
    if _heed(trees, WARNING, tree, int(wrong), limits.warning):
        _note(trees, events, tree, WARNING)
        if trees.roots[BACKGROUND, tree] >= 0:
            _release(trees, trees.roots[BACKGROUND, tree])
        trees.roots[BACKGROUND, tree] = _new_leaf(trees, limits, 0)
    if _heed(trees, DRIFT, tree, int(wrong), limits.drift):
        _note(trees, events, tree, DRIFT)
        _release(trees, trees.roots[0, tree])
        if trees.roots[BACKGROUND, tree] >= 0:
            trees.roots[0, tree], trees.roots[BACKGROUND, tree] = trees.roots[BACKGROUND, tree], -1
            trees.windows[WARNING, tree], trees.sizes[WARNING, tree] = 0, 0
        else:
            trees.roots[0, tree] = _new_leaf(trees, limits, 0)
        trees.record[tree] = 0.0


@kernel
def plant(trees: Trees, limits: Limits) -> None:
    """Give every tree an empty leaf for a root."""
    for tree in range(trees.roots.shape[1]):
        trees.roots[0, tree] = _new_leaf(trees, limits, 0)


@kernel
def predict(trees: Trees, limits: Limits, X: Array, answers: Array) -> None:
    """Add to `answers` (n, class), zeros, the trees' probabilities for the rows `X` (n, column), weighted by their accuracy, as shares."""
    votes = np.zeros(answers.shape[1])
    for row in range(len(X)):
        for tree in range(trees.roots.shape[1]):
            _ask(trees, limits, trees.roots[0, tree], X[row], votes)
            right = trees.record[tree, 0]
            answers[row] += votes * (right / trees.record[tree, 1] if right > 0.0 else 1.0)
        answers[row] /= answers[row].sum()


@kernel
def learn(trees: Trees, limits: Limits, X: Array, y: Whole, weights: Array, begin: int, answers: Array, events: Array) -> int:
    """Learn the rows from `begin` on, in their order, until they or the room for nodes or events run out; the row to go on from.

    Where `answers` (n, class) has rows, each is answered before it is learned.
    """
    votes, count = np.zeros(trees.counts.shape[1]), trees.roots.shape[1]
    for row in range(begin, len(X)):
        if trees.heads[0] < ROOM * count or trees.heads[1] + ROOM * count > len(events):
            return row
        if len(answers):
            predict(trees, limits, X[row : row + 1], answers[row : row + 1])
        for tree in range(count):
            _advance(trees, limits, tree, X[row], y[row], weights[row], votes, events)
        trees.heads[2] += 1
    return len(X)
