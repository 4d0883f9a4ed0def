"""Importance of a weight = how much the loss would change, to first order, without it."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.matrix_statistics import Statistics


def first_order(known: Statistics) -> NDArray[np.float32]:
    """|w · ∂Loss/∂w|, float32 (out, in).

    Source: Taylor criterion of Molchanov et al., ICLR 2017; LLM-Pruner's "first order".
    """
    assert known.gradient is not None
    return np.abs(known.weight.astype(np.float32) * known.gradient)


SCORE = Score(first_order, needs=("gradient",), is_comparable=True)
