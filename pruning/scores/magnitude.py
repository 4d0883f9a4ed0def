"""Importance of a weight = its absolute value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def magnitude(weight: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.float32]:
    """|weight| as float32, shape (out, in); `rng` is not used."""
    return np.abs(weight, dtype=np.float32)
