"""Compressed sparse rows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section, pack
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.pointers import check_ascending, read_pointers
from sparse_formats.formats.parts.value_types import (
    bit_view,
    read_values,
    value_section,
    value_type_of,
)
from sparse_formats.masks.bit_words import Words, prefetch_word, trailing_zeros, words_by_row
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class CSR:
    """Kept entries row by row, ascending columns.

    indptr: int32 (rows + 1): row r holds the entries indptr[r] … indptr[r + 1] − 1.
    indices: int32 (nnz): their columns.
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
        words = words_by_row(keep)
        indptr = np.zeros(rows + 1, np.int32)
        np.cumsum(np.bitwise_count(words).sum(axis=1, dtype=np.int32), out=indptr[1:])
        indices = np.empty(indptr[-1], np.int32)
        if weight is None:
            _columns(words, indices)
            return cls((rows, cols), indptr, indices, None)
        data = np.empty(len(indices), weight.dtype)
        flat = bit_view(np.ascontiguousarray(weight)).reshape(-1)
        _columns_and_values(words, flat, cols, indices, bit_view(data))
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
        """nnz·(v + ⌈log2 cols⌉) + (rows + 1)·⌈log2(nnz + 1)⌉ bits."""
        rows, cols = self.shape
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * bits_for(cols),
            pointers=(rows + 1) * bits_for(self.nnz + 1),
        )

    def elements(self) -> int:
        """Stored items, of whatever width: 2a + n + 1 for a kept entries in n rows.

        Source: Yoo & Lee 2023, where n is read as the number of rows.
        """
        return 2 * self.nnz + self.shape[0] + 1

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """See `SparseMatrix`."""
        typed = value_type_of(self.data, value_type)
        return Descriptor(self.shape, typed, {"entries": self.nnz})

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """See `SparseMatrix`."""
        return pack(
            [
                Section(self.indptr, bits_for(self.nnz + 1)),
                Section(self.indices, bits_for(self.shape[1])),
                value_section(self.data, value_type_of(self.data, value_type)),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        return cls(descriptor.shape, *read_lines(data, descriptor, "csr", rows, cols))


def read_lines(
    data: bytes, descriptor: Descriptor, where: str, lines: int, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any] | None]:
    """Pointers, indices and values of a stream of `lines` lines with indices below `size`."""
    nnz = descriptor.number("entries", 0, min(lines * size, MOST_LINES))
    reader = BitReader(data, where)
    indptr = read_pointers(reader, lines, nnz)
    start, width = reader.at, bits_for(size)
    indices = reader.read("indices", nnz, width, np.int32)
    check_ascending(reader, indices, indptr, size, start, width)
    weights = read_values(reader, nnz, descriptor.value_type)
    reader.finish()
    return indptr, indices, weights


@njit(cache=True)
def _columns(words: Words, indices: NDArray[np.int32]) -> None:
    k = 0
    for row in range(words.shape[0]):
        for w in range(words.shape[1]):
            word = words[row, w]
            while word:
                indices[k] = w * 64 + trailing_zeros(word)
                k += 1
                word &= word - np.uint64(1)


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
def _spread(indptr: NDArray[np.int32], indices: NDArray[np.int32], keep: NDArray[np.bool_]) -> None:
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            keep[row, indices[k]] = True


@njit(cache=True)
def _spread_values(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[Any],
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            keep[row, indices[k]] = True
            weight[row, indices[k]] = data[k]
