"""How much of what: sizing of a stake, allocation among assets, and portfolios chosen online. Needs numpy and numba alone."""

from tradewind.portfolio.moments import Moments, RunningMoments, running_moments
from tradewind.portfolio.online_portfolio import online, wealth
from tradewind.portfolio.sizing import kelly_bet, kelly_fraction, volatility_target

__all__ = ["Moments", "RunningMoments", "kelly_bet", "kelly_fraction", "online", "running_moments", "volatility_target", "wealth"]
