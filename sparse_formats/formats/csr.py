"""Compressed sparse rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.compressed_lines import CompressedLines
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.masks.bit_words import Words, prefetch_word, trailing_zeros, words_by_row


@dataclass(frozen=True, eq=False)
class CSR(CompressedLines):
    """Kept entries row by row, ascending columns: `indptr` of the rows, `indices` are columns.

    Storage: nnz·(v + ⌈log2 cols⌉) + (rows + 1)·⌈log2(nnz + 1)⌉ bits.
    """

    name = "csr"
    line_axis = 0

    @staticmethod
    def _words(keep: NDArray[np.bool_]) -> Words:
        return words_by_row(keep)

    @staticmethod
    def _take(
        words: Words, indptr: NDArray[np.int32], weight: NDArray[Any], indices: NDArray[np.int32]
    ) -> NDArray[Any]:
        data = np.empty(indptr[-1], weight.dtype)
        flat = bit_view(np.ascontiguousarray(weight)).reshape(-1)
        _columns_and_values(words, flat, weight.shape[1], indices, bit_view(data))
        return data

    def _put(
        self, data: NDArray[Any], has_data: bool, keep: NDArray[np.bool_], weight: NDArray[Any]
    ) -> None:
        _spread(self.indptr, self.indices, data, has_data, keep, weight)


@njit(cache=True)
def _columns_and_values(
    words: Words, weight: NDArray[Any], cols: int, indices: NDArray[np.int32], data: NDArray[Any]
) -> None:
    # Unsigned: a signed index costs a test for being counted from the end.
    k, one, across = np.uint64(0), np.uint64(1), np.uint64(cols)
    for row in range(words.shape[0]):
        first = np.uint64(row) * across
        for w in range(words.shape[1]):
            word, left = words[row, w], np.uint64(w * 64)
            # The row below: which weights are needed follows no pattern the machine could guess.
            prefetch_word(weight, first + across + left)
            while word:
                col = left + np.uint64(trailing_zeros(word))
                indices[k] = col
                data[k] = weight[first + col]
                k += one
                word &= word - one


@njit(cache=True)
def _spread(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[Any],
    has_data: bool,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            keep[row, indices[k]] = True
            if has_data:
                weight[row, indices[k]] = data[k]
