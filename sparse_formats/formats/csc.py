"""Compressed sparse columns."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.csr import read_lines
from sparse_formats.formats.parts.bitstream import Section, pack
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.kept_values import take_by_column
from sparse_formats.formats.parts.value_types import bit_view, value_section, value_type_of
from sparse_formats.masks.bit_words import Words, trailing_zeros, words_by_column, words_by_row
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class CSC:
    """Kept entries column by column, ascending rows.

    indptr: int32 (cols + 1): column c holds the entries indptr[c] … indptr[c + 1] − 1.
    indices: int32 (nnz): their rows.
    data: their weights, None if encoded without.
    Stream: pointers, indices, values. Descriptor: entries (nnz).
    """

    shape: tuple[int, int]
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @classmethod
    def encode(cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape."""
        rows, cols = keep.shape
        by_column = words_by_column(words_by_row(keep), cols)
        indptr = np.zeros(cols + 1, np.int32)
        np.cumsum(np.bitwise_count(by_column).sum(axis=1, dtype=np.int32), out=indptr[1:])
        indices = np.empty(indptr[-1], np.int32)
        if weight is None:
            _rows(by_column, indices)
            return cls((rows, cols), indptr, indices, None)
        data = take_by_column(by_column, indptr, weight, indices)
        return cls((rows, cols), indptr, indices, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        if self.data is None:
            _spread(self.indptr, self.indices, keep)
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        bits = bit_view(np.ascontiguousarray(self.data))
        _spread_values(self.indptr, self.indices, bits, keep, bit_view(weight))
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """nnz·(v + ⌈log2 rows⌉) + (cols + 1)·⌈log2(nnz + 1)⌉ bits."""
        rows, cols = self.shape
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * bits_for(rows),
            pointers=(cols + 1) * bits_for(self.nnz + 1),
        )

    def elements(self) -> int:
        """Stored items, of whatever width: 2a + n + 1 for a kept entries in n columns.

        Source: Yoo & Lee 2023, where n is read as the number of columns.
        """
        return 2 * self.nnz + self.shape[1] + 1

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """See `SparseMatrix`."""
        typed = value_type_of(self.data, value_type)
        return Descriptor(self.shape, typed, {"entries": self.nnz})

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """See `SparseMatrix`."""
        return pack(
            [
                Section(self.indptr, bits_for(self.nnz + 1)),
                Section(self.indices, bits_for(self.shape[0])),
                value_section(self.data, value_type_of(self.data, value_type)),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        return cls(descriptor.shape, *read_lines(data, descriptor, "csc", cols, rows))


@njit(cache=True)
def _rows(by_column: Words, indices: NDArray[np.int32]) -> None:
    k = 0
    for col in range(by_column.shape[0]):
        for w in range(by_column.shape[1]):
            word = by_column[col, w]
            while word:
                indices[k] = w * 64 + trailing_zeros(word)
                k += 1
                word &= word - np.uint64(1)


BAND, COLUMNS = 128, 256
"""Rows and columns that are filled in one go: what the columns touch in turn stays in the cache."""


@njit(cache=True)
def _spread(indptr: NDArray[np.int32], indices: NDArray[np.int32], keep: NDArray[np.bool_]) -> None:
    cursor = indptr.copy()
    cols = len(indptr) - 1
    for left in range(0, cols, COLUMNS):
        for band in range(0, keep.shape[0], BAND):
            for col in range(left, min(left + COLUMNS, cols)):
                k, end = cursor[col], indptr[col + 1]
                while k < end and indices[k] < band + BAND:
                    keep[indices[k], col] = True
                    k += 1
                cursor[col] = k


@njit(cache=True)
def _spread_values(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[Any],
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
                    weight[indices[k], col] = data[k]
                    k += 1
                cursor[col] = k
