"""Mixed-length vectors × dense, tokens innermost; one kernel an orientation."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def accumulate_horizontal(
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    values: NDArray[Any],
    x: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """out += W·x for 1×L vectors: each gathers consecutive inputs into one output.

    `values`, `x` and `out` of one dtype, indices trusted.
    """
    for j in range(len(lines)):
        row = lines[j]
        for k in range(offsets[j], offsets[j + 1]):
            value, col = values[k], starts[j] + k - offsets[j]
            for token in range(x.shape[1]):
                out[row, token] += value * x[col, token]


@njit(cache=True)
def accumulate_vertical(
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    values: NDArray[Any],
    x: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """out += W·x for L×1 vectors: each spreads one input over consecutive outputs.

    `values`, `x` and `out` of one dtype, indices trusted.
    """
    for j in range(len(lines)):
        col = lines[j]
        for k in range(offsets[j], offsets[j + 1]):
            value, row = values[k], starts[j] + k - offsets[j]
            for token in range(x.shape[1]):
                out[row, token] += value * x[col, token]
