"""Importance of a weight = its absolute value."""

import numpy as np
from numpy.typing import NDArray

from pruning.statistics.evidence import Evidence


def magnitude(evidence: Evidence) -> NDArray[np.float32]:
    """|weight| as float32, shape (out, in)."""
    return np.abs(evidence.weight, dtype=np.float32)
