"""A plot of each of the seven regimes, for docs/regimes.md: where a labelled path is in it, and where the rules say so.

python scripts/regime_plots.py [docs/regimes]

Each shows the first spell of its regime in the path of seed 1 that lasts at least its mean stay and has a thousand bars before it: price
with the true spell shaded, and below the probability that the rules give to the regime, bar by bar from the past alone.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tradewind as tw
from tradewind.core.files import write_text
from tradewind.data.synthetic_regimes import MEAN
from tradewind.regimes import SEVEN

WIDTH, LEFT, RIGHT, TOP, PRICE, BELOW, GAP = 720, 52, 12, 26, 170, 70, 20
AROUND = (120, 50)


def spell(states: NDArray[np.int64], regime: int) -> tuple[int, int]:
    """First and one-past-last bar of the spell that is shown."""
    edges = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), len(states)]
    for a, b in itertools.pairwise(edges):
        if states[a] == regime and a >= 1_000 and b - a >= MEAN[regime]:
            return a, b
    raise SystemExit(f"no spell of {SEVEN[regime]} is long enough; take more bars")


def line(x: NDArray[np.float64], y: NDArray[np.float64], colour: str) -> str:
    """A path through the points."""
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def plot(market: tw.Market, told: NDArray[np.float64], a: int, b: int, name: str) -> str:
    """The SVG around the bars a to b, readable on light and dark."""
    first, last = max(a - AROUND[0], 0), min(b + AROUND[1], len(market))
    close, share = market.close[first:last, 0], told[first:last]
    x = LEFT + (WIDTH - LEFT - RIGHT) * np.arange(last - first) / (last - first - 1)
    low, high = np.log(close).min(), np.log(close).max()
    price = TOP + PRICE * (high - np.log(close)) / (high - low)
    floor = TOP + PRICE + GAP + BELOW
    height = floor + 24
    begin, end = x[a - first], x[b - 1 - first]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{name.replace('_', ' ')}: price, the true spell, and the probability by the rules</title>",
        "<style>text{fill:#333}.g{stroke:#8886}.s{fill:#8883}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
        f'<rect class="s" x="{begin:.1f}" y="{TOP}" width="{end - begin:.1f}" height="{floor - TOP}"/>',
        f'<text x="{(begin + end) / 2:.1f}" y="{TOP - 8}" text-anchor="middle">the true spell, {b - a} bars</text>',
    ]
    for value in (close.max(), close.min()):
        y = TOP + PRICE * (high - np.log(value)) / (high - low)
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in (0.0, 0.5, 1.0):
        y = floor - BELOW * value
        parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [line(x, price, "#2563eb"), line(x, floor - BELOW * share, "#d97706")]
    parts.append(f'<text x="{LEFT}" y="{floor + 18}">price on a logarithmic scale, and p({name.replace("_", " ")}) by the rules</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Write the seven plots into the folder given."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/regimes")
    made = tw.synthetic.regimes(60_000, seed=1)
    assert made.oracle.states is not None
    told = tw.regimes.detector("rules").filter(made.market).probabilities[:, 0]
    for k, name in enumerate(SEVEN):
        a, b = spell(made.oracle.states, k)
        write_text(folder / f"{name}.svg", plot(made.market, told[:, k], a, b, name))


if __name__ == "__main__":
    main()
