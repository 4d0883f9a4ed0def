"""What a score is: a function of what is known of a matrix, and what it asks for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.statistics.matrix_statistics import Statistics


@dataclass(frozen=True)
class Score:
    """A score and what it asks for.

    importance: statistics of a matrix → importance ≥ 0, float32 (out, in).
    needs: the fields of `Statistics`, besides weight and rng, that must be known.
    is_comparable: the unit is the same in every matrix (loss, or output error); other scores are
        brought to unit mean before matrices compete.
    """

    importance: Callable[[Statistics], NDArray[np.float32]]
    needs: tuple[str, ...] = ()
    is_comparable: bool = False
