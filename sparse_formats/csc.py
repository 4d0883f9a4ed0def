"""Compressed sparse columns."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.csr import scatter
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class CSC:
    """Kept entries column by column, ascending rows.

    indptr: int32 (cols + 1): column c holds the entries indptr[c] … indptr[c + 1] − 1.
    indices: int32 (nnz): their rows.
    data: their weights, None if encoded without.
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
        indptr = np.zeros(cols + 1, np.int32)
        np.cumsum(np.count_nonzero(keep, axis=0), out=indptr[1:])
        indices = np.empty(indptr[-1], np.int32)
        cursor = indptr[:-1].copy()
        if weight is None:
            _scatter_rows(np.ascontiguousarray(keep), cursor, indices)
            return cls((rows, cols), indptr, indices, None)
        data = np.empty(len(indices), weight.dtype)
        bits = f"u{weight.dtype.itemsize}"
        _scatter_rows_and_values(
            np.ascontiguousarray(keep),
            np.ascontiguousarray(weight).view(bits),
            cursor,
            indices,
            data.view(bits),
        )
        return cls((rows, cols), indptr, indices, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        cols = np.repeat(np.arange(self.shape[1]), np.diff(self.indptr))
        return scatter(self.shape, self.indices, cols, self.data)

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


@njit(cache=True)
def _scatter_rows(
    keep: NDArray[np.bool_], cursor: NDArray[np.int32], indices: NDArray[np.int32]
) -> None:
    for row in range(keep.shape[0]):
        for col in range(keep.shape[1]):
            if keep[row, col]:
                indices[cursor[col]] = row
                cursor[col] += 1


@njit(cache=True)
def _scatter_rows_and_values(
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    cursor: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[Any],
) -> None:
    for row in range(keep.shape[0]):
        for col in range(keep.shape[1]):
            if keep[row, col]:
                k = cursor[col]
                indices[k] = row
                data[k] = weight[row, col]
                cursor[col] = k + 1
