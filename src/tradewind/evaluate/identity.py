"""What makes two evaluations the same: a strategy's name and settings, the code of a user's own class, windows, costs and seed."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from tradewind.core.files import canonical_json, sha256
from tradewind.core.protocols import Strategy
from tradewind.strategies.registry import describe

__all__ = ["digest", "identify", "package_digest"]

_PACKAGE: Final = "tradewind"
_DEPTH: Final = 8


def digest(value: Any) -> str:
    """The sha256 of plain data (dicts, lists, numbers, strings) in canonical JSON."""
    return sha256(canonical_json(value))


def identify(strategy: object) -> dict[str, Any]:
    """A strategy as plain data: `name`, `settings`, and for a class that is not tradewind's own `code`, the hash of its source.

    One made by name gives its settings. Any other object gives all its attributes, private ones too, arrays by the hash of their bytes:
    so an untrained object of the same class with other numbers is another configuration.
    """
    own = type(strategy)
    if hasattr(strategy, "_registered"):
        name, settings = describe(cast(Strategy, strategy))
    else:
        name, settings = f"{own.__module__}.{own.__qualname__}", _plain(getattr(strategy, "__dict__", {}), 0)
    known = {"name": name, "settings": settings}
    return known if own.__module__.partition(".")[0] == _PACKAGE else {**known, "code": _code(own)}


@cache
def package_digest() -> str:
    """The sha256 of tradewind's own source files: saved folds of another version are not reused."""
    root = Path(__file__).resolve().parent.parent
    return sha256("".join(f"{path.relative_to(root)} {sha256(path.read_bytes())}\n" for path in sorted(root.rglob("*.py"))).encode())


def _code(owner: type) -> str:
    try:
        return sha256(inspect.getsource(owner).encode())
    except (OSError, TypeError):
        # A class typed at a prompt has no file; the compiled code of its methods stands in for it.
        methods = {name: method.__code__.co_code.hex() for name, method in vars(owner).items() if inspect.isfunction(method)}
        return digest(methods)


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": sha256(np.ascontiguousarray(value).tobytes())}
    named = value if hasattr(value, "__qualname__") else type(value)
    if depth >= _DEPTH:
        return f"{named.__module__}.{named.__qualname__}"
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(digest(_plain(item, depth + 1)) for item in value)
    inner = {} if named is value else _plain(getattr(value, "__dict__", {}), depth + 1)
    return {"class": f"{named.__module__}.{named.__qualname__}", "attributes": inner}
