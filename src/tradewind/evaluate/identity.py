"""What makes two evaluations the same: a strategy's name and settings, the code of a user's own class, windows, costs and seed."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from tradewind.core.files import canonical_json, sha256
from tradewind.core.protocols import Strategy
from tradewind.strategies.plain import MARK, outline
from tradewind.strategies.registry import describe

__all__ = ["digest", "identify", "package_digest"]

_PACKAGE: Final = "tradewind"


def digest(value: Any) -> str:
    """The sha256 of plain data (dicts, lists, numbers, strings) in canonical JSON."""
    return sha256(canonical_json(value))


def identify(strategy: object) -> dict[str, Any]:
    """A strategy as plain data: `name`, `settings`, and for a class that is not tradewind's own `code`, the hash of its source.

    One made by name gives its settings. Any other object gives all its attributes, private ones too, arrays by the hash of their bytes:
    so an untrained object of the same class with other numbers is another configuration.
    """
    own = type(strategy)
    if hasattr(strategy, MARK):
        name, settings = describe(cast(Strategy, strategy))
    else:
        name, settings = f"{own.__module__}.{own.__qualname__}", outline(getattr(strategy, "__dict__", {}))
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
