"""The orientation that a mask's direction strength names."""

import numpy as np
from numpy.typing import NDArray

from pruning.direction.strength import direction_strength
from sparse_formats.masks.vectors import Orientation


def orientation_at(fine: NDArray[np.bool_], length: int) -> Orientation:
    """Horizontal where D(length) of a mask is not negative.

    D(L) = κ_h(L) − κ_v(L) sees what lives inside heads too; without a full vector in both
    directions the whole-line D decides.
    """
    found = direction_strength(fine, (length,))
    strength = found.strength_at(length) if length > 1 else None
    return "horizontal" if (found.strength if strength is None else strength) >= 0 else "vertical"
