"""The public names of `tradewind.ensemble` and the examples of docs/weights.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tradewind import ensemble

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def test_every_name_loads_and_no_other() -> None:
    for name in ensemble.__all__:
        assert getattr(ensemble, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'Wights'"):
        _ = ensemble.Wights


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
def test_the_pages_code_runs(code: str) -> None:
    names: dict[str, object] = {}
    exec(compile("import numpy as np\n" + code, str(PAGE), "exec"), names)
    held = names["held"]
    assert held.shape[0] in (500, 1000)
    assert held.sum(axis=1) == pytest.approx(1.0)
