"""Importance drawn at random: the floor every other score has to beat."""

import numpy as np
from numpy.typing import NDArray

from pruning.statistics.evidence import Evidence


def uniform(evidence: Evidence) -> NDArray[np.float32]:
    """Independent uniform numbers in [0, 1), float32, of the weight's shape."""
    return evidence.rng.random(evidence.weight.shape, dtype=np.float32)
