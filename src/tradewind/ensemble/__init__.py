"""The ensemble: members of any kind, trusted by what they earned, under the regime of now; and the rules that spread the trust."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tradewind.ensemble import weights
    from tradewind.ensemble.combine import Combined, combined
    from tradewind.ensemble.combiner import Combiner, Decision, Evidence
    from tradewind.ensemble.config import EnsembleConfig
    from tradewind.ensemble.presets import preset

_HOMES: Final = {
    "Combined": "combine:Combined",
    "Combiner": "combiner:Combiner",
    "Decision": "combiner:Decision",
    "EnsembleConfig": "config:EnsembleConfig",
    "Evidence": "combiner:Evidence",
    "combined": "combine:combined",
    "preset": "presets:preset",
    "weights": "weights:",
}
"""Where each public name lives: `module:name`, or a module itself."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tradewind.ensemble' has no attribute {name!r}")
    module_name, _, attribute = _HOMES[name].partition(":")
    module = importlib.import_module(f"tradewind.ensemble.{module_name}")
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value
