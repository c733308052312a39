"""Policies that Stable-Baselines3 and Tianshou train on our environments: evaluated here, and turned into strategies.

A few hundred steps teach them next to nothing: what they earn shows that everything fits together, and no more.
"""

import stable_baselines3
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

import tradewind as tw
from tradewind import engine
from tradewind.rl.foreign import ForeignAgent, stable_baselines, tianshou
from tradewind.strategies.agent import TrainedAgent

market = tw.data.sample("btc-1d")

# What is seen and done, at which costs it is practised, and which bars are learned from: the first 300.
sight = tw.rl.Sight(("return_1", "return_5", "volatility_20", "ema_distance_20"), actions=3)
grounds = tw.rl.Grounds(market, sight, tw.rl.Course(lanes=8, length=32), taught=300)
env = grounds.practice(seed=1)

# Stable-Baselines3 learns in all lanes at once.
first = stable_baselines3.PPO("MlpPolicy", stable_baselines(env), n_steps=32, batch_size=64, seed=1, device="cpu")
first.learn(512)

# So does Tianshou.
net = Net(state_shape=env.single_observation_space.shape, action_shape=int(env.single_action_space.n), hidden_sizes=[32])
policy = DiscreteQLearningPolicy(model=net, action_space=env.single_action_space, eps_training=0.2)
second = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), target_update_freq=50)
collector = Collector(second, tianshou(grounds.practice(seed=2)), VectorReplayBuffer(2_048, env.num_envs))
collector.reset()
collector.collect(n_step=128, random=True)
second.run_training(
    OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=512,
        collection_step_num_env_steps=64,
        batch_size=64,
        update_step_num_gradient_steps_per_sample=0.1,
        show_progress=False,
    )
)

# One wrapper makes either an agent, and the grounds know with which eyes it learned.
contest, episodes = grounds.contest(300, len(market))
for name, model in (("Stable-Baselines3", first), ("Tianshou", second)):
    agent = ForeignAgent(model)
    judged = tw.rl.evaluate(agent, contest, episodes)
    strategy = TrainedAgent(trader=grounds.trader(agent))
    account = engine.backtest(engine.targets(strategy, market, start=300), market)
    print(f"{name}: Sharpe {judged.metrics['sharpe']:.2f} in the environment, holding {judged.metrics['hold_sharpe']:.2f};", end=" ")
    print(f"as a strategy it earned {account.equity[-1] - 1.0:+.1%} after the bars that it learned from")
