"""Importance drawn at random: the floor every other score has to beat."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics


def uniform(known: Statistics) -> NDArray[np.float32]:
    """Independent uniform numbers in [0, 1), float32, of the weight's shape."""
    return known.rng.random(known.weight.shape, dtype=np.float32)


SCORE = Score(uniform)
