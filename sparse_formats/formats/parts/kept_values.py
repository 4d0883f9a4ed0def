"""The kept weights of a dense matrix, row by row or column by column, and back into place."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.masks.bit_words import Words, prefetch_word, trailing_zeros


def take_by_row(keep: NDArray[np.bool_], weight: NDArray[Any]) -> NDArray[Any]:
    """The kept weights in row-major order, bit for bit."""
    # One item more than needed: the kernel writes before it knows whether it keeps.
    data = np.empty(np.count_nonzero(keep) + 1, weight.dtype)
    flat = np.ascontiguousarray(weight).reshape(-1)
    _take(np.ascontiguousarray(keep).reshape(-1), bit_view(flat), bit_view(data))
    return data[:-1]


def take_by_column(
    by_column: Words,
    indptr: NDArray[np.int32],
    weight: NDArray[Any],
    indices: NDArray[np.int32] | None = None,
) -> NDArray[Any]:
    """The kept weights column by column, ascending rows, bit for bit.

    by_column: the mask's words; indptr: int32 (cols + 1), where each column begins in the result.
    indices: if given, int32 (nnz), filled with their rows.
    """
    data = np.empty(indptr[-1], weight.dtype)
    flat = bit_view(np.ascontiguousarray(weight)).reshape(-1)
    rows = np.empty(0, np.int32) if indices is None else indices
    _take_by_column(by_column, flat, indptr[:-1].copy(), bit_view(data), rows, indices is not None)
    return data


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


BAND, COLUMNS = 128, 256
"""Rows and columns that are filled in one go: what the columns touch in turn stays in the cache."""

_TAKEN_COLUMNS = 256
"""Columns read in one go: 64 rows of so many float32 are 64 KB. With as much fetched ahead, and the
ends of the columns being written, they fit into a second-level cache."""


@njit(cache=True)
def _take_by_column(
    by_column: Words,
    weight: NDArray[Any],
    cursor: NDArray[np.int32],
    data: NDArray[Any],
    indices: NDArray[np.int32],
    with_indices: bool,
) -> None:
    # Block by block of 64 rows × _TAKEN_COLUMNS columns, so that the 16 weights of a cache line are
    # all used while it is in the cache; it came there while the block above was read.
    cols, one = len(by_column), np.uint64(1)
    across = np.uint64(cols)
    words = np.empty(_TAKEN_COLUMNS, np.uint64)
    for left in range(0, cols, _TAKEN_COLUMNS):
        right = min(left + _TAKEN_COLUMNS, cols)
        for band in range(by_column.shape[1]):
            top = np.uint64(band * 64)
            for col in range(left, right):
                words[col - left] = by_column[col, band]
            row_ahead, left_ahead = band * 64 + 64, left
            for col in range(left, right):
                prefetch_word(weight, np.uint64(row_ahead) * across + np.uint64(left_ahead))
                left_ahead += 64
                if left_ahead >= right:
                    row_ahead, left_ahead = row_ahead + 1, left
                word, k = words[col - left], np.uint64(cursor[col])
                while word:
                    row = top + np.uint64(trailing_zeros(word))
                    if with_indices:
                        indices[k] = row
                    data[k] = weight[row * across + np.uint64(col)]
                    k += one
                    word &= word - one
                cursor[col] = k


@njit(cache=True)
def _put(keep: NDArray[np.bool_], data: NDArray[Any], weight: NDArray[Any]) -> None:
    k, last = 0, len(data) - 1
    # Of the data's own type: with a plain 0, uint64 would be mixed with int64 into float64.
    zero = data[0] ^ data[0]
    for i in range(len(keep)):
        value = data[min(k, last)]
        weight[i] = value if keep[i] else zero
        k += keep[i]
