"""What every test shares: one thread, a ledger of its own, and no other state of the machine's user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before numpy and torch start: small fits are fastest on one thread, and results do not depend on the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_ledger(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials made by tests are not counted against the user's strategies."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    monkeypatch.setenv("TRADEWIND_LEDGER", str(path))
    return path
