"""Randomness: every random stream is spawned from one root seed by name, so that adding a stream changes no other.

Source: numpy SeedSequence spawning (O'Neill 2014). No global random state is ever read or set.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive", "generator"]


def derive(seed: int, *names: str | int) -> int:
    """A 32-bit seed for the stream called `names` under the root `seed`; other names give independent seeds."""
    words = [int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:4], "little") for name in names]
    return int(np.random.SeedSequence([seed & 0xFFFFFFFF, *words]).generate_state(1)[0])


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the stream called `names` under the root `seed`."""
    return np.random.default_rng(derive(seed, *names))
