"""Importance of a weight = the layer's output error once the others have made up for its loss."""

import numpy as np
from numpy.typing import NDArray

from pruning.statistics.evidence import Evidence
from pruning.statistics.hessian import inverse, regular


def obs(evidence: Evidence) -> NDArray[np.float32]:
    """w_q² / [H⁻¹]_qq, float32 (out, in): the least ‖WX − ŴX‖² without weight q alone.

    Source: Optimal Brain Surgeon (Hassibi & Stork 1992) on layers, as in OBC (Frantar et al.
    2022), eq. 2. Every weight is judged as if it were the only one to go; `reconstruct.obs`
    removes them one after another.
    """
    assert evidence.gram is not None
    curvature = 1 / np.diag(inverse(regular(evidence.gram)))
    return (np.square(evidence.weight.astype(np.float64)) * curvature).astype(np.float32)
