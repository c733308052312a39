"""The manifest of a run: everything from which it can be made again, byte for byte, and nothing that a clock wrote."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from tradewind.core.errors import Corrupt
from tradewind.core.files import read_json
from tradewind.evaluate.identity import package_digest

__all__ = ["FORMAT", "differences", "git_state", "read_manifest", "versions"]

FORMAT: Final = 1
PACKAGES: Final = (
    "tradewind",
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "xgboost-cpu",
    "xgboost",
    "catboost",
    "torch",
    "polars",
    "pyarrow",
)
"""Packages whose version can change a number."""

_PATIENCE: Final = 20.0
"""Seconds that git may take."""


def versions() -> dict[str, str]:
    """Python, the machine, and the version of each package that can change a number; packages that are absent are left out."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, str] | None:
    """`revision` of the checkout that tradewind runs from, and `diff`, its source's differences to it; None outside of a checkout."""
    source = Path(__file__).resolve().parent.parent
    if shutil.which("git") is None or _git(source, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    revision, diff = _git(source, "rev-parse", "HEAD"), _git(source, "diff", "HEAD", "--", ".")
    return None if revision is None or diff is None else {"revision": revision.strip(), "diff": diff}


def read_manifest(path: str | Path) -> dict[str, Any]:
    """A manifest that a run wrote. Raises DataError when it cannot be read and Corrupt when it is not one."""
    manifest = read_json(path)
    needed = ("id", "settings", "data", "trials", "versions", "outputs")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or any(name not in manifest for name in needed):
        raise Corrupt(f"{path}: is not the manifest.json of a run, or of another version; give runs/<id>/manifest.json")
    return manifest


def differences(manifest: Mapping[str, Any]) -> list[str]:
    """What is not as it was when `manifest` was written, one sentence each: packages, Python, and tradewind's own source."""
    now, then = versions(), dict(manifest["versions"])
    changed = [
        f"{name} is {now.get(name, 'absent')}, the run had {then.get(name, 'none')}"
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]
    if manifest.get("source") != package_digest():
        changed.append("tradewind's source is not that of the run")
    return changed


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode(errors="replace")
