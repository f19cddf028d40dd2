"""Golden sets: the cases both releases are asked, and how much each stratum counts."""

from canary.golden.draw import draw
from canary.golden.load import load_golden_sets
from canary.golden.sets import GoldenSet, Source

__all__ = ["GoldenSet", "Source", "draw", "load_golden_sets"]
