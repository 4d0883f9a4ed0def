"""Importance of a weight = its size times the size of what it multiplies."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics


def wanda(known: Statistics) -> NDArray[np.float32]:
    """|W_ij| · ‖x_j‖₂ over the calibration tokens, float32 (out, in).

    Source: Wanda (Sun et al., ICLR 2024), eq. 1. As published, weights compete within their row:
    budget "row". That hides differences between rows from whatever looks at the mask.
    """
    assert known.input_squares is not None
    norms = np.sqrt(known.input_squares)
    return (np.abs(known.weight.astype(np.float64)) * norms).astype(np.float32)


SCORE = Score(wanda, needs=("input_squares",))
