"""`ifeval:<group>:<name>`: the 25 checks of IFEval (Zhou et al. 2023), our own implementation.

Sentences are counted without NLTK's trained model: a stop ends one unless it
follows a known abbreviation, an initial or a number of a list.
"""

from canary.assertions.ifeval.assertion import IFEVAL

__all__ = ["IFEVAL"]
