"""Searching settings on earlier bars, and judging the best on bars that no trial saw."""
