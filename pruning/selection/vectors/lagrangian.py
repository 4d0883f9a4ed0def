"""Algorithm B: one orientation and one length per matrix, chosen by value at two prices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.selection.vectors.candidates import Candidate, Knobs
from sparse_formats.masks.vectors import Orientation


def lagrangian(
    scores: NDArray[np.float32],
    density: float,
    knobs: Knobs,
    orientations: Sequence[Orientation],
) -> tuple[Candidate, ...]:
    """Every orientation with every single length.

    Value Σ max(0, S − τL − μ), the separable dual of "keep the most importance, less μ a vector,
    in so many weights". Source: this project's own.
    """
    return tuple(
        Candidate(orientation, (length,), knobs.vector_cost)
        for orientation in orientations
        for length in knobs.menu
    )
