"""Importance of a weight = the output error if only the weights behind it may make up for it."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.hessian import damped, inverse_factor
from pruning.statistics.matrix_statistics import Statistics


def sparsegpt(known: Statistics) -> NDArray[np.float32]:
    """w_q² / U_qq² with H⁻¹ = UᵀU, float32 (out, in), H damped by 1 %.

    Source: SparseGPT (Frantar & Alistarh 2023), §3. `reconstruct.sparsegpt` uses it as published,
    on weights already changed by what was removed before them.
    """
    assert known.gram is not None
    curvature = 1 / np.square(np.diag(inverse_factor(damped(known.gram))))
    return (np.square(known.weight.astype(np.float64)) * curvature).astype(np.float32)


SCORE = Score(sparsegpt, needs=("gram",))
