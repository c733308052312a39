"""A window's answer does not depend on its company."""

from __future__ import annotations

import numpy as np
import torch

from tradewind.nets.device import reproducible
from tradewind.nets.prediction import answer
from tradewind.nets.price_action_transformer import PriceActionTransformer
from tradewind.nets.windows import windows


def test_the_full_net_gives_a_window_the_same_bits_alone_and_among_others() -> None:
    with reproducible(0):
        net = PriceActionTransformer()
    values = np.random.default_rng(0).standard_normal((120, 2, 14))
    usable = np.ones((120, 2), dtype=np.bool_)
    usable[70, 1] = False
    whole = windows(values, usable, 64)
    together = answer(net, whole)
    assert together.shape == (len(whole), 1) and np.isfinite(together).all()
    for number in (0, 1, len(whole) // 2, len(whole) - 1):
        assert answer(net, whole.take([number])).tobytes() == together[number : number + 1].tobytes()
    with torch.no_grad():
        batched = net(whole.gather(torch.arange(len(whole)))).numpy()
    np.testing.assert_allclose(together, batched, rtol=1e-4, atol=1e-5)


def test_no_window_no_answer() -> None:
    found = windows(np.zeros((3, 1, 14)), np.ones((3, 1), dtype=np.bool_), 64)
    assert answer(PriceActionTransformer(), found).shape == (0, 1)
