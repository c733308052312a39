"""Few-shot learning: meta-learners that adapt to a new market in a handful of bars, their tasks, tools and benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tradewind.core.lazy import lazy

if TYPE_CHECKING:
    from tradewind.meta.base import MetaLearner
    from tradewind.meta.benchmark import EvaluationConfig, FewShotBenchmark
    from tradewind.meta.cavia import CAVIA, CAVIAConfig
    from tradewind.meta.controls import BaseRate, ForecasterOnSupport, JointConfig, JointTraining, NearestCentroid
    from tradewind.meta.crypto_tasks import CryptoTaskConfig, CryptoTaskDistribution
    from tradewind.meta.gradients import GradientInspection, GradientLimits, GradientManager, HigherOrderGradients
    from tradewind.meta.kinds.portfolio import long_only_weights
    from tradewind.meta.maml import MAML, MAMLConfig
    from tradewind.meta.matching import MatchingConfig, MatchingNetworks
    from tradewind.meta.meta_sgd import MetaSGD, MetaSGDConfig
    from tradewind.meta.metrics import MetaLearningMetrics
    from tradewind.meta.optimizer import MetaOptimizer, MetaOptimizerConfig
    from tradewind.meta.profiler import GradientProfiler
    from tradewind.meta.protonet import ProtoNetConfig, PrototypicalNetworks
    from tradewind.meta.registry import learner, learners, perceptron, register
    from tradewind.meta.reptile import Reptile, ReptileConfig
    from tradewind.meta.sampler import SamplerConfig, TaskSampler
    from tradewind.meta.synthetic_tasks import RegimeTasks, Sinusoids
    from tradewind.meta.xtrend import XTrend, XTrendConfig

_HOMES: Final = {
    "BaseRate": "controls",
    "CAVIA": "cavia",
    "CAVIAConfig": "cavia",
    "CryptoTaskConfig": "crypto_tasks",
    "CryptoTaskDistribution": "crypto_tasks",
    "EvaluationConfig": "benchmark",
    "FewShotBenchmark": "benchmark",
    "ForecasterOnSupport": "controls",
    "GradientInspection": "gradients",
    "GradientLimits": "gradients",
    "GradientManager": "gradients",
    "GradientProfiler": "profiler",
    "HigherOrderGradients": "gradients",
    "JointConfig": "controls",
    "JointTraining": "controls",
    "MAML": "maml",
    "MAMLConfig": "maml",
    "MatchingConfig": "matching",
    "MatchingNetworks": "matching",
    "MetaLearner": "base",
    "MetaLearningMetrics": "metrics",
    "MetaOptimizer": "optimizer",
    "MetaOptimizerConfig": "optimizer",
    "MetaSGD": "meta_sgd",
    "MetaSGDConfig": "meta_sgd",
    "NearestCentroid": "controls",
    "ProtoNetConfig": "protonet",
    "PrototypicalNetworks": "protonet",
    "RegimeTasks": "synthetic_tasks",
    "Reptile": "reptile",
    "ReptileConfig": "reptile",
    "SamplerConfig": "sampler",
    "Sinusoids": "synthetic_tasks",
    "TaskSampler": "sampler",
    "XTrend": "xtrend",
    "XTrendConfig": "xtrend",
    "learner": "registry",
    "learners": "registry",
    "long_only_weights": "kinds.portfolio",
    "perceptron": "registry",
    "register": "registry",
}

__all__ = sorted(_HOMES)

__getattr__ = lazy(__name__, _HOMES)
