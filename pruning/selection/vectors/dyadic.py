"""Algorithm C, the default: lengths mixed freely inside a matrix, one orientation for all of it."""

import numpy as np
from numpy.typing import NDArray

from pruning.selection.vectors.candidates import Candidate, Knobs


def dyadic(scores: NDArray[np.float32], density: float, knobs: Knobs) -> tuple[Candidate, ...]:
    """Both orientations with the whole menu; the best set of vectors is exact per chunk.

    Source: best basis on a tree of aligned segments; as a pruning method this project's own.
    """
    return (
        Candidate("horizontal", knobs.menu, knobs.vector_cost),
        Candidate("vertical", knobs.menu, knobs.vector_cost),
    )
