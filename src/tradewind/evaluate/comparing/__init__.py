"""Forecasters side by side on the same bars: walked forward, scored, tested, traded alike."""
