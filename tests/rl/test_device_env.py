"""The torch environment beside the compiled one: the same accounts, episodes, observations and rewards."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.rl.device_env import live_one_bar
from tradewind.simulate import kernels
from tradewind.simulate.costs import Costs

LANES = 200


def random_bars(random: np.random.Generator, wild: float, funding: bool, slips: bool) -> np.ndarray:
    """(3, 50, 5) bars as the accounting reads them; where `wild` is large an account is often ruined."""
    moves = np.exp(wild * random.standard_normal((3, 50, 2)).cumsum(axis=1))
    marks = moves[:, :, 1] * np.exp(0.01 * random.standard_normal((3, 50)))
    paid = random.normal(0, 0.01, (3, 50)) if funding else np.zeros((3, 50))
    lost = np.abs(random.normal(0, 1e-3, (3, 50))) if slips else np.full((3, 50), 2e-4)
    return np.ascontiguousarray(np.stack([moves[:, :, 0], moves[:, :, 1], marks, paid, lost], axis=2))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.2, 1.0]), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.01, 0.2]))
def test_accounts_are_those_of_the_compiled_kernel_to_the_bit(seed: int, wild: float, funding: bool, slips: bool, least: float) -> None:
    random = np.random.default_rng(seed)
    bars = random_bars(random, wild, funding, slips)
    rates = Costs(fee_bps=10, min_trade=least, max_leverage=2.0).rates()
    symbols = random.integers(0, 3, LANES)
    purses, helds, equity, traded = np.full(LANES, 1e4), np.zeros(LANES), np.empty(LANES), np.empty(LANES)
    purse, held = torch.tensor(purses), torch.tensor(helds)
    for t in range(1, 50):
        due = np.where(random.random(LANES) < 0.3, np.nan, random.uniform(-3, 3, LANES))
        rows = np.full(LANES, t)
        kernels.live_one_bar(bars, symbols, rows, due, rates, purses, helds, equity, traded)
        now, before = torch.tensor(bars[symbols, rows]), torch.tensor(bars[symbols, rows - 1])
        purse, held, worth, turned = live_one_bar(now, before[:, kernels.BAR_MARK], torch.tensor(due), rates, purse, held)
        for mine, theirs in ((purse, purses), (held, helds), (worth, equity), (turned, traded)):
            assert mine.numpy().tobytes() == (theirs + 0.0).tobytes() or np.array_equal(mine.numpy(), theirs)
    if wild == 1.0:
        assert (equity <= 0).any(), "nobody was ruined, so ruin was not looked at"
