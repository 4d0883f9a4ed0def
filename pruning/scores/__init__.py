"""Scores: how important is each weight? One file per score, listed here.

A score takes a weight matrix (out, in) and a random generator and returns an importance ≥ 0 of the
same shape, float32.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.scores.magnitude import magnitude
from pruning.scores.random import uniform

Score = Callable[[NDArray[np.floating[Any]], np.random.Generator], NDArray[np.float32]]

SCORES: Mapping[str, Score] = {"magnitude": magnitude, "random": uniform}
