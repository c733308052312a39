"""Learning to adapt: tasks from a market, a meta-learner, one of your own, and a strategy for symbols that it has never seen."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import tradewind as tw

# Tasks: five samples of each class to learn from, and fifteen later ones to answer.
market = tw.data.sample("us-daily")
settings = {"task_type": "price_direction", "trading_pairs": ["SP500", "NASDAQ"], "num_classes": 3, "num_support": 5, "num_query": 15}
tasks = tw.meta.CryptoTaskDistribution(tw.meta.CryptoTaskConfig(**settings, features="relative-price", horizon=5), market)
later = tw.meta.CryptoTaskDistribution(tw.meta.CryptoTaskConfig(**settings, features="relative-price", horizon=5, split="test"), market)


# Any module learns to adapt.
class TradingModel(nn.Module):
    def __init__(self, input_dim: int = 50, hidden_dim: int = 64, output_dim: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, output_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


torch.manual_seed(0)
inputs = tasks.shape[0]
maml = tw.meta.MAML(TradingModel(inputs), tw.meta.MAMLConfig(inner_lr=0.01, outer_lr=0.001, num_inner_steps=5))
for episode in range(60):
    metrics = maml.meta_train_step(tasks.sample_batch(batch_size=8))
    if episode % 20 == 0:
        print(f"episode {episode}: meta loss {metrics['meta_loss']:.4f}")

new_task = later.sample_task()
adapted = maml.few_shot_adapt(new_task["support_data"], new_task["support_labels"], num_adaptation_steps=5)
with torch.no_grad():
    predictions = adapted(new_task["query_data"]).argmax(dim=1)
print(f"{(predictions == new_task['query_labels']).float().mean():.0%} of {len(predictions)} answers right; chance is a third")


# An algorithm of your own: a learned embedding, and on each support a ridge regression in closed form (Bertinetto et al. 2019).
@dataclass(frozen=True)
class RidgeConfig:
    penalty: float = 1.0
    outer_lr: float = 0.001
    num_inner_steps: int = 0
    clip: float = 10.0
    loss: str = "cross_entropy"


class Ridge(tw.meta.MetaLearner):
    name, Config = "ridge", RidgeConfig

    def learned(self) -> nn.Module:
        return self.model

    def solve(self, data: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        embedded, wanted = self.model(data), 4.0 * functional.one_hot(labels, self.ways) - 2.0
        penalty = self.config.penalty * torch.eye(embedded.shape[1])
        return torch.linalg.solve(embedded.T @ embedded + penalty, embedded.T @ wanted)

    def gradients(self, tasks):
        answers = [self.model(task["query_data"]) @ self.solve(task["support_data"], task["support_labels"]) for task in tasks]
        loss = sum(functional.cross_entropy(answer, task["query_labels"]) for answer, task in zip(answers, tasks, strict=True)) / len(tasks)
        loss.backward()
        return {"meta_loss": loss.item()}

    @torch.no_grad()
    def adapt(self, support_data: torch.Tensor, support_labels: torch.Tensor, steps: int) -> nn.Module:
        weights = self.solve(support_data, support_labels)
        head = nn.Linear(*weights.shape, bias=False)
        head.weight.copy_(weights.T)
        return nn.Sequential(copy.deepcopy(self.model), head)


tw.meta.register("ridge", Ridge)  # or leave it in a file of yours: "my_module:Ridge"
ridge = tw.meta.learner("ridge", TradingModel(inputs, output_dim=16), ways=3, penalty=2.0)
base_rate = tw.meta.BaseRate(ways=3)  # knows only how often each class comes
for _ in range(60):
    batch = tasks.sample_batch(batch_size=8)
    ridge.meta_train_step(batch)
    base_rate.meta_train_step(batch)

# Side by side on the same later tasks.
quick = tw.meta.EvaluationConfig(num_episodes=30, num_runs=2, support_shots=[5], adaptation_steps=[5], include_trading_metrics=False)
found = tw.meta.FewShotBenchmark(quick).run_benchmark({"MAML": maml, "Ridge": ridge, "base rate": base_rate}, later.sample_task)
for name, told in found["individual_results"].items():
    score = told["aggregated_results"]["5shot_3way_5adapt"]["accuracy"]
    print(f"{name}: accuracy {score['mean']:.3f}, 90 % interval {score['interval'][0]:.3f} to {score['interval'][1]:.3f}")

# As a strategy it adapts as it walks: fitted on some symbols, it decides on others that it has never seen.
made = tw.synthetic.planted(sharpe=3.0, bars=1_200, timeframe="1d", symbols=6, seed=3)
known, unseen = (made.market.select(list(part)) for part in (made.market.symbols[:4], made.market.symbols[4:]))
for algorithm in ("protonet", "maml"):
    strategy = tw.strategy("few-shot", algorithm=algorithm, support=20, iterations=60).fit(known[:800])
    account = tw.backtest(strategy, unseen[800:])
    print(f"few-shot {algorithm} on {', '.join(unseen.symbols)}: {account.equity[-1] / account.capital - 1:+.1%} after costs")
view = tw.View(unseen, int(unseen.known[-1]), tw.Portfolio(np.zeros(2), np.zeros(2), 1.0, 1.0))
print(*strategy.explain(view, symbol=0).words, sep="\n")
