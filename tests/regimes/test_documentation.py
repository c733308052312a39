"""docs/regimes.md: its example runs, its tables are those of the code, and its plots are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.regimes import FOUR, SEVEN, SIX, detectors, matrix

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = (DOCS / "regimes.md").read_text(encoding="utf-8")


def test_the_example_runs_and_the_stream_says_what_the_batch_says(tmp_path: Path) -> None:
    program = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[0] in SEVEN
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize(("onto", "names"), [("six", SIX), ("four", FOUR)])
def test_the_tables_of_the_maps_are_those_of_the_code(onto: str, names: tuple[str, ...]) -> None:
    assert "| | " + " | ".join(name.replace("_", " ") for name in names) + " |" in PAGE
    for name, row in zip(SEVEN, matrix(onto), strict=True):
        assert f"| {name.replace('_', ' ')} | " + " | ".join(f"{share:g}" if share else "" for share in row) + " |" in PAGE


def test_every_regime_has_its_plot_and_every_detector_its_line() -> None:
    for name in SEVEN:
        assert f"(regimes/{name}.svg)" in PAGE
        assert (DOCS / "regimes" / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    for name in detectors()[:4]:
        assert f"| `{name}` |" in PAGE
