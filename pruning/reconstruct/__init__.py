"""Updates: what the surviving weights become, so that the layer's output changes least.

All minimise ‖WX − ŴX‖² over the calibration tokens, whose Gram matrix Σ x xᵀ they get. One file
per update, listed here.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Local
from pruning.reconstruct import least_squares, obs, sparsegpt

Rebuilt = tuple[NDArray[np.bool_], NDArray[np.float64]]

Update = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], Local | None], Rebuilt
]
"""(weight (out, in), gram (in, in), keep, local) → mask and weights, 0 where not kept.

With `local`, an update that removes weights one after another chooses them itself, as many as
`keep` drops and as the pattern allows; without it, and in all others, the mask stays.
"""

UPDATES: Mapping[str, Update] = {
    "least_squares": least_squares.least_squares,
    "sparsegpt": sparsegpt.sparsegpt,
    "obs": obs.obs,
}

DEFAULT_UPDATE = "least_squares"
"""The update of a recipe that names none, where statistics hold every layer's inputs."""


def output_error(
    weight: NDArray[np.float64], rebuilt: NDArray[np.float64], gram: NDArray[np.float64]
) -> float | None:
    """‖WX − ŴX‖² / ‖WX‖² over the calibration tokens; None where the layer puts out nothing."""
    off = weight - rebuilt
    whole = float(np.vdot(weight @ gram, weight))
    return max(float(np.vdot(off @ gram, off)), 0.0) / whole if whole > 0 else None
