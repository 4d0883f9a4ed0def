"""Compressed sparse columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.compressed_lines import CompressedLines
from sparse_formats.formats.parts.kept_values import BAND, COLUMNS, take_by_column
from sparse_formats.masks.bit_words import Words, words_by_column, words_by_row


@dataclass(frozen=True, eq=False)
class CSC(CompressedLines):
    """Kept entries column by column, ascending rows: `indptr` of the columns, `indices` are rows.

    Storage: nnz·(v + ⌈log2 rows⌉) + (cols + 1)·⌈log2(nnz + 1)⌉ bits.
    """

    name = "csc"
    line_axis = 1

    @staticmethod
    def _words(keep: NDArray[np.bool_]) -> Words:
        return words_by_column(words_by_row(keep), keep.shape[1])

    @staticmethod
    def _take(
        words: Words, indptr: NDArray[np.int32], weight: NDArray[Any], indices: NDArray[np.int32]
    ) -> NDArray[Any]:
        return take_by_column(words, indptr, weight, indices)

    def _put(
        self, data: NDArray[Any], has_data: bool, keep: NDArray[np.bool_], weight: NDArray[Any]
    ) -> None:
        _spread(self.indptr, self.indices, data, has_data, keep, weight)


@njit(cache=True)
def _spread(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[Any],
    has_data: bool,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    cursor = indptr.copy()
    cols = len(indptr) - 1
    for left in range(0, cols, COLUMNS):
        for band in range(0, keep.shape[0], BAND):
            for col in range(left, min(left + COLUMNS, cols)):
                k, end = cursor[col], indptr[col + 1]
                while k < end and indices[k] < band + BAND:
                    keep[indices[k], col] = True
                    if has_data:
                        weight[indices[k], col] = data[k]
                    k += 1
                cursor[col] = k
