"""Importance of a weight = how much the loss would change, to first order, without it."""

import numpy as np
from numpy.typing import NDArray

from pruning.statistics.evidence import Evidence


def first_order(evidence: Evidence) -> NDArray[np.float32]:
    """|w · ∂Loss/∂w|, float32 (out, in).

    Source: Taylor criterion of Molchanov et al., ICLR 2017; LLM-Pruner's "first order".
    """
    assert evidence.gradient is not None
    return np.abs(evidence.weight.astype(np.float32) * evidence.gradient)
