"""The best weights for a given mask, row by row and exact."""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Local
from pruning.statistics.hessian import regular


def least_squares(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    keep: NDArray[np.bool_],
    local: Local | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """argmin ‖WX − ŴX‖² over the weights kept: H_SS ŵ_S = (H w)_S in every row.

    Rows with the same mask share a factorisation. O(distinct rows · kept³). Where H is singular it
    is damped by 1 %.
    """
    from scipy.linalg import cho_factor, cho_solve

    h = regular(gram)
    rebuilt = np.zeros(weight.shape)
    _, alike = np.unique(np.packbits(keep, axis=1), axis=0, return_inverse=True)
    order = np.argsort(alike.ravel(), kind="stable")
    starts = np.flatnonzero(np.diff(alike.ravel()[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        kept = np.flatnonzero(keep[rows[0]]) if len(rows) else np.empty(0, np.intp)
        if len(kept) == weight.shape[1]:
            rebuilt[rows] = weight[rows]
        elif len(kept):
            wanted = h[kept] @ weight[rows].T
            factor = cho_factor(h[np.ix_(kept, kept)], lower=True, overwrite_a=True)
            rebuilt[np.ix_(rows, kept)] = cho_solve(factor, wanted).T
    return keep, rebuilt
