"""Algorithm C, the default: lengths mixed freely inside a matrix, one orientation for all of it."""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.mixed_vectors.candidates import Candidate


def dyadic(
    scores: NDArray[np.float32],
    density: float,
    menu: tuple[int, ...],
    vector_cost: float,
    epsilon: float,
) -> tuple[Candidate, ...]:
    """Both orientations with the whole menu; the best set of vectors is exact per chunk.

    Source: best basis on a tree of aligned segments; as a pruning method this project's own.
    """
    return (
        Candidate("horizontal", menu, vector_cost),
        Candidate("vertical", menu, vector_cost),
    )
