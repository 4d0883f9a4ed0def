"""Algorithm B: one orientation and one length per matrix, chosen by value at two prices."""

import numpy as np
from numpy.typing import NDArray

from pruning.selection.vectors.candidates import Candidate, Knobs


def lagrangian(scores: NDArray[np.float32], density: float, knobs: Knobs) -> tuple[Candidate, ...]:
    """Every orientation with every single length.

    Value Σ max(0, S − τL − μ), the separable dual of "keep the most importance, less μ a vector,
    in so many weights". Source: this project's own.
    """
    return tuple(
        Candidate(orientation, (length,), knobs.vector_cost)
        for orientation in ("horizontal", "vertical")
        for length in knobs.menu
    )
