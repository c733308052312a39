"""What a setting may be, and what the refusal says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind.core.errors import SettingsError
from tradewind.core.limits import fraction, number, whole

NAN, INF = float("nan"), float("inf")


def test_what_may_be() -> None:
    whole(trees=1, rows=np.int64(5))
    whole(0, embargo=0)
    number(rate=1e-9, size=3, share=np.float64(2.0))
    number(False, decay=0.0)
    fraction(share=0.5)
    fraction(zero=True, one=True, low=0, high=1)


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, True, "3", None, NAN])
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"^trees is .*; it is a whole number, at least 1$"):
        whole(trees=value)


@pytest.mark.parametrize("value", [0, -1.0, INF, NAN, True, "1", None])
def test_no_positive_number(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"^rate is .*; it is a positive number$"):
        number(rate=value)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 1.5, NAN, True, "0.5", None])
def test_no_fraction(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"^share is .*; it is a fraction, above 0 and below 1$"):
        fraction(share=value)
