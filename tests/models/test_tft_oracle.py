"""pytorch-forecasting's TFT on the same real bars, sizes, batches and steps: our validation loss is theirs, within the seeds' noise."""

from __future__ import annotations

import importlib.util
import statistics
from types import ModuleType

import numpy as np
import pytest
import torch

from tradewind.nets.tft import TFTSizes

BENCH = "tft"
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pytorch_forecasting") is None, reason="the oracle, pytorch-forecasting, is not installed"
)


@pytest.mark.slow
def test_our_loss_is_theirs_within_noise(bench: ModuleType) -> None:
    parts = bench.lessons(6000, 4)
    best = {kind: [bench.quality(kind, 32, 8, 4, seed, parts)["best"] for seed in range(3)] for kind in ("ours", "per window", "oracle")}
    print({**best, "base rate": bench.quality("base rate", 32, 8, 4, 0, parts)["best"]})
    oracle = statistics.mean(best["oracle"])
    for kind in ("ours", "per window"):
        ours, noise = statistics.mean(best[kind]), np.sqrt((np.var(best[kind], ddof=1) + np.var(best["oracle"], ddof=1)) / 3)
        # Three standard errors of the difference, or one percent where three seeds happen to lie closer together.
        assert ours < oracle + max(3 * noise, 0.01 * oracle)


@pytest.mark.slow
def test_the_oracle_reads_the_same_numbers(bench: ModuleType) -> None:
    learned, _ = bench.lessons(1000, 4)
    oracle = bench.oracle(TFTSizes(60, 16, 1, 2, 4), 0).eval()
    which = torch.arange(4)
    shared, alone = learned.inputs.gather(which), bench._apart(learned).inputs.gather(which)
    with torch.no_grad():
        base = oracle(alone)
        torch.testing.assert_close(oracle(shared), base)
        moved = alone.windows.clone()
        moved[1, -1] += 1.0
        differs = (oracle(alone._replace(windows=moved)) != base).flatten(1).any(dim=1)
        later = alone.future.clone()
        later[2, :, 1:] += 1.0
        also = (oracle(alone._replace(future=later)) != base).flatten(1).any(dim=1)
    assert differs.tolist() == [False, True, False, False] and also.tolist() == [False, False, True, False]
