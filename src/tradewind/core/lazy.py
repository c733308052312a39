"""Public names of a package that load on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of `package`, whose public names live in modules of it.

    `homes`: by name, `module` where that has it under the same name, `module:other` under another, and `module:` for the module itself.
    Raises AttributeError for any other name.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module_name, named, attribute = homes[name].partition(":")
        module = importlib.import_module(f"{package}.{module_name}")
        value = module if named and not attribute else getattr(module, attribute or name)
        # The next time Python finds it without asking here.
        setattr(sys.modules[package], name, value)
        return value

    return load
