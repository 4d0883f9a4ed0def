"""CSR × dense, tokens innermost."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def accumulate(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    values: NDArray[Any],
    x: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """out += W·x; `values`, `x` and `out` of one dtype, indices trusted."""
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            value, col = values[k], indices[k]
            for token in range(x.shape[1]):
                out[row, token] += value * x[col, token]
