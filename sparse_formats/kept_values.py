"""The kept weights of a dense matrix, row by row or column by column, and back into place."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.values import bit_view


def take_by_row(keep: NDArray[np.bool_], weight: NDArray[Any]) -> NDArray[Any]:
    """The kept weights in row-major order, bit for bit."""
    # One item more than needed: the kernel writes before it knows whether it keeps.
    data = np.empty(np.count_nonzero(keep) + 1, weight.dtype)
    flat = np.ascontiguousarray(weight).reshape(-1)
    _take(np.ascontiguousarray(keep).reshape(-1), bit_view(flat), bit_view(data))
    return data[:-1]


def put_by_row(keep: NDArray[np.bool_], data: NDArray[Any]) -> NDArray[Any]:
    """Weights of the mask's shape from the kept ones in row-major order; 0 where not kept."""
    weight = np.zeros(keep.shape, data.dtype)
    if len(data):
        flat = bit_view(weight.reshape(-1))
        _put(np.ascontiguousarray(keep).reshape(-1), bit_view(np.ascontiguousarray(data)), flat)
    return weight


@njit(cache=True)
def _take(keep: NDArray[np.bool_], weight: NDArray[Any], data: NDArray[Any]) -> None:
    # Branch-free: at 80 % sparsity a branch is mispredicted at every second entry or so.
    k = 0
    for i in range(len(keep)):
        data[k] = weight[i]
        k += keep[i]


@njit(cache=True)
def _put(keep: NDArray[np.bool_], data: NDArray[Any], weight: NDArray[Any]) -> None:
    k, last = 0, len(data) - 1
    # Of the data's own type: with a plain 0, uint64 would be mixed with int64 into float64.
    zero = data[0] ^ data[0]
    for i in range(len(keep)):
        value = data[min(k, last)]
        weight[i] = value if keep[i] else zero
        k += keep[i]
