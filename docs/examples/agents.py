"""Agents that learn to trade: an environment, an algorithm, a reward of one's own, and a strategy that says how sure it is."""

import numpy as np

import tradewind as tw
from tradewind import engine
from tradewind.stats import sharpe

made = tw.data.synthetic.planted(r2=0.2, bars=3_000, seed=3)  # the next bar's mean is planted in a feature
market, test = made.market, slice(2_000, None)

# An environment: 64 accounts side by side, each trading one symbol, costs in. Any Gymnasium agent can act in it.
env = tw.rl.TradingVectorEnv(market[:2_000], 64, features="relative", actions=3, length=64, scale=100)
shown, _ = env.reset(seed=0)
shown, rewards, terminated, truncated, infos = env.step(np.full(64, 2))  # everybody goes long
print(f"{shown.shape[1]} numbers are observed; being long earned {infos['net_return'].mean():+.4%} on average, costs paid")

# An algorithm learns in it, or in any other VectorEnv.
agent = tw.rl.agent("ppo", hidden=(32,), rollout=2_048, batch=256, epochs=4, learning_rate=2e-3, discount=0.9, device="cpu")
learning = agent.learn(env, steps=8_192, seed=0)
print(f"{learning.steps:,} steps in {learning.seconds:.1f} s; it now does {agent.act(shown)[:8]}")


# A reward of one's own: a function of what one bar did to every account.
def careful(lived: tw.rl.Lived) -> np.ndarray:
    return np.log(lived.equity / lived.equity_before) - 0.001 * np.abs(lived.position)


# As a strategy it practises on the first part of its training bars; later parts choose its best moment and say how far to trust it.
quick = {"rollout": 2_048, "batch": 256, "discount": 0.9}
for reward in ("log-return", careful):
    strategy = tw.strategy("ppo", agent=quick, steps=12_000, reward=reward).fit(market[:2_000])
    account = engine.backtest(engine.targets(strategy, market, start=2_000), market)
    name = reward if isinstance(reward, str) else reward.__name__
    print(f"{name}: net Sharpe {sharpe(account.returns[test], 8_760.0):.1f}, turnover {8_760 * account.turnover[test].mean():.0f} a year")
print(f"who knows the truth: net Sharpe {sharpe(engine.backtest(made.oracle.targets, market).returns[test], 8_760.0):.1f}")

view = tw.View(market, int(market.known[-1]), tw.Portfolio(np.zeros(1), np.zeros(1), 1.0, 1.0))
print(f"confidence {strategy.confidence(view)[0]:.1%}")
print(*strategy.explain(view, symbol=0).words, sep="\n")
