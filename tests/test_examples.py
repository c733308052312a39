"""Every example of the documentation runs, in a process and a folder of its own, and says something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "docs" / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example: Path, tmp_path: Path) -> None:
    alone = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TRADEWIND_LEDGER": str(tmp_path / "ledger.sqlite"),
        "PYTHONWARNINGS": "error::DeprecationWarning",
    }
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
