"""The ensemble: members of any kind, trusted by what they earned, under the regime of now; and the rules that spread the trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tradewind.core.lazy import lazy

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
    "Combined": "combine",
    "Combiner": "combiner",
    "Conduct": "conduct",
    "Decision": "combiner",
    "Ensemble": "ensemble",
    "EnsembleConfig": "config",
    "Evaluation": "evaluation",
    "Evidence": "combiner",
    "Trainer": "trainer",
    "Training": "trainer",
    "Versions": "update",
    "combined": "combine",
    "evaluate": "evaluation",
    "hot_update": "update",
    "preset": "presets",
    "weights": "weights:",
}
__all__ = sorted(_HOMES)

__getattr__ = lazy(__name__, _HOMES)
