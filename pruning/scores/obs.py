"""Importance of a weight = the layer's output error once the others have made up for its loss."""

import numpy as np
from numpy.typing import NDArray

from pruning.scores.score import Score
from pruning.statistics.hessian import inverse, regular
from pruning.statistics.matrix_statistics import Statistics


def obs(known: Statistics) -> NDArray[np.float32]:
    """w_q² / [H⁻¹]_qq, float32 (out, in): the least ‖WX − ŴX‖² without weight q alone.

    Source: Optimal Brain Surgeon (Hassibi & Stork 1992) on layers, as in OBC (Frantar et al.
    2022), eq. 2. Every weight is judged as if it were the only one to go; `reconstruct.obs`
    removes them one after another.
    """
    assert known.gram is not None
    curvature = 1 / np.diag(inverse(regular(known.gram)))
    return (np.square(known.weight.astype(np.float64)) * curvature).astype(np.float32)


SCORE = Score(obs, needs=("gram",))
