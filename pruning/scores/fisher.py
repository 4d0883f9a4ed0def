"""Importance of a weight = the second-order change of the loss, curvature by squared gradients."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics


def fisher(known: Statistics) -> NDArray[np.float32]:
    """½ E[(w · ∂Loss/∂w)²], float32 (out, in): the diagonal of the empirical Fisher information.

    Source: Theis et al. 2018, eq. 6. The expectation is over whatever the statistics were
    gathered over; squares of batch means are smaller by about the batch size.
    """
    assert known.squared_gradient is not None
    weight = known.weight.astype(np.float32)
    return np.float32(0.5) * np.square(weight) * known.squared_gradient


SCORE = Score(fisher, needs=("squared_gradient",), is_comparable=True)
