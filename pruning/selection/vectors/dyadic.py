"""Algorithm C, the default: lengths mixed freely inside a matrix, one orientation for all of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.selection.vectors.candidates import Candidate, Knobs
from sparse_formats.masks.vectors import Orientation


def dyadic(
    scores: NDArray[np.float32],
    density: float,
    knobs: Knobs,
    orientations: Sequence[Orientation],
) -> tuple[Candidate, ...]:
    """Each orientation with the whole menu; the best set of vectors is exact per chunk.

    Source: best basis on a tree of aligned segments; as a pruning method this project's own.
    """
    return tuple(Candidate(o, knobs.menu, knobs.vector_cost) for o in orientations)
