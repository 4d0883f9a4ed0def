"""Algorithm A, the explainable baseline: the longest vectors that lose at most ε."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.direction.retention import measured_retention
from pruning.selection.vectors.candidates import Candidate, Knobs
from sparse_formats.masks.vectors import Orientation


def threshold(
    scores: NDArray[np.float32],
    density: float,
    knobs: Knobs,
    orientations: Sequence[Orientation],
) -> tuple[Candidate, ...]:
    """The largest length whose retention at `density` is ≥ 1 − ε in its better orientation.

    If none is, the shortest length of the menu. Vectors then rank by mean importance alone (vector
    cost 0). Source: this project's own.
    """
    for length in reversed(knobs.menu[1:]):
        kept: dict[Orientation, float] = {
            orientation: measured_retention(scores, density, orientation, length) or 0.0
            for orientation in orientations
        }
        best = max(kept, key=lambda orientation: kept[orientation])
        if kept[best] >= 1 - knobs.epsilon:
            return (Candidate(best, (length,), 0.0),)
    return tuple(Candidate(o, knobs.menu[:1], 0.0) for o in orientations)
