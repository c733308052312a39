"""The ensemble: members of any kind, trusted by what they earned, under the regime of now; and the rules that spread the trust."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tradewind.ensemble import weights
    from tradewind.ensemble.combine import Combined, combined
    from tradewind.ensemble.combiner import Combiner, Decision, Evidence
    from tradewind.ensemble.conduct import Conduct
    from tradewind.ensemble.config import EnsembleConfig
    from tradewind.ensemble.ensemble import Ensemble
    from tradewind.ensemble.evaluation import Evaluation, evaluate
    from tradewind.ensemble.presets import preset
    from tradewind.ensemble.trainer import Trainer, Training
    from tradewind.ensemble.update import Versions, hot_update

_HOMES: Final = {
    "Combined": "combine:Combined",
    "Combiner": "combiner:Combiner",
    "Conduct": "conduct:Conduct",
    "Decision": "combiner:Decision",
    "Ensemble": "ensemble:Ensemble",
    "EnsembleConfig": "config:EnsembleConfig",
    "Evaluation": "evaluation:Evaluation",
    "Evidence": "combiner:Evidence",
    "Trainer": "trainer:Trainer",
    "Training": "trainer:Training",
    "Versions": "update:Versions",
    "combined": "combine:combined",
    "evaluate": "evaluation:evaluate",
    "hot_update": "update:hot_update",
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
