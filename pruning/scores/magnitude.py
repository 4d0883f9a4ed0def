"""Importance of a weight = its absolute value."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics


def magnitude(known: Statistics) -> NDArray[np.float32]:
    """|weight| as float32, shape (out, in)."""
    return np.abs(known.weight, dtype=np.float32)


SCORE = Score(magnitude)
