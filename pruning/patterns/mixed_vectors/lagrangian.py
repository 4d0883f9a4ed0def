"""Algorithm B: one orientation and one length per matrix, chosen by value at two prices."""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.mixed_vectors.candidates import Candidate


def lagrangian(
    scores: NDArray[np.float32],
    density: float,
    menu: tuple[int, ...],
    vector_cost: float,
    epsilon: float,
) -> tuple[Candidate, ...]:
    """Every orientation with every single length.

    Value Σ max(0, S − τL − μ), the separable dual of "keep the most importance, less μ a vector,
    in so many weights". Source: this project's own.
    """
    return tuple(
        Candidate(orientation, (length,), vector_cost)
        for orientation in ("horizontal", "vertical")
        for length in menu
    )
