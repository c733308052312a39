"""How much of what: sizing of a stake, allocation among assets, and portfolios chosen online. Needs numpy and numba alone."""

from tradewind.portfolio.allocate import Allocator, allocation
from tradewind.portfolio.markowitz import mean_variance
from tradewind.portfolio.moments import Moments, RunningMoments, running_moments
from tradewind.portfolio.online_portfolio import online, wealth
from tradewind.portfolio.parity import inverse_volatility, risk_parity, risk_shares
from tradewind.portfolio.shrinkage import Shrunk, ledoit_wolf, shrunk_correlation, shrunk_covariance
from tradewind.portfolio.sizing import kelly_bet, kelly_fraction, volatility_target

__all__ = [
    "Allocator",
    "Moments",
    "RunningMoments",
    "Shrunk",
    "allocation",
    "inverse_volatility",
    "kelly_bet",
    "kelly_fraction",
    "ledoit_wolf",
    "mean_variance",
    "online",
    "risk_parity",
    "risk_shares",
    "running_moments",
    "shrunk_correlation",
    "shrunk_covariance",
    "volatility_target",
    "wealth",
]
