"""Strategies, and their names: `tradewind.strategies()` lists what `tradewind.strategy(name)` builds."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import final


@final
class _Strategies(ModuleType):
    """This package is also the public function `tradewind.strategies()`."""

    def __call__(self) -> list[str]:
        from tradewind.strategies.registry import names

        return names()


sys.modules[__name__].__class__ = _Strategies
