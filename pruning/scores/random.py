"""Importance drawn at random: the floor every other score has to beat."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def uniform(weight: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Independent uniform numbers in [0, 1), float32, of the weight's shape."""
    return rng.random(weight.shape, dtype=np.float32)
