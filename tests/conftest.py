"""What every test shares: one thread, a ledger of its own, and no other state of the machine's user."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# Before numpy and torch start: small fits are fastest on one thread, and results do not depend on the machine's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, so that a change breaks the tests and not the day; `make test-all` looks for new ones. A first example may
# have to wait for the compiler.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")

BENCHES = Path(__file__).parents[1] / "bench"


@pytest.fixture(autouse=True)
def own_ledger(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials made by tests are not counted against the user's strategies."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    monkeypatch.setenv("TRADEWIND_LEDGER", str(path))
    return path


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> ModuleType:
    """The script of bench/ that a test module names as BENCH: the script itself, so that test and table cannot part."""
    spec = importlib.util.spec_from_file_location(f"bench_{request.module.BENCH}", BENCHES / f"{request.module.BENCH}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name while it is made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
