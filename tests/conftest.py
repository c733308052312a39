"""What every test shares: one thread, a ledger of its own, and no other state of the machine's user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy and torch start: small fits are fastest on one thread, and results do not depend on the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, so that a change breaks the tests and not the day; `make test-all` looks for new ones. A first example may
# have to wait for the compiler.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def own_ledger(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials made by tests are not counted against the user's strategies."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    monkeypatch.setenv("TRADEWIND_LEDGER", str(path))
    return path
