"""Compressed sparse rows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class CSR:
    """Kept entries row by row, ascending columns.

    indptr: int32 (rows + 1): row r holds the entries indptr[r] … indptr[r + 1] − 1.
    indices: int32 (nnz): their columns.
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
        indptr = np.zeros(rows + 1, np.int32)
        np.cumsum(np.count_nonzero(keep, axis=1), out=indptr[1:])
        # One item more than needed: the kernel writes before it knows whether it keeps.
        indices = np.empty(indptr[-1] + 1, np.int32)
        _gather_columns(np.ascontiguousarray(keep), indices)
        data = None
        if weight is not None:
            data = np.empty(len(indices), weight.dtype)
            bits = f"u{weight.dtype.itemsize}"
            _gather_values(
                np.ascontiguousarray(weight).view(bits), indptr, indices, data.view(bits)
            )
        return cls((rows, cols), indptr, indices[:-1], None if data is None else data[:-1])

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        return scatter(self.shape, rows, self.indices, self.data)

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


def scatter(
    shape: tuple[int, int],
    rows: NDArray[np.integer[Any]],
    cols: NDArray[np.integer[Any]],
    data: NDArray[Any] | None,
) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """Mask and weights of `shape` from entries: rows, columns and values, one item each."""
    keep = np.zeros(shape, np.bool_)
    keep[rows, cols] = True
    if data is None:
        return keep, None
    weight = np.zeros(shape, data.dtype)
    weight[rows, cols] = data
    return keep, weight


@njit(cache=True)
def _gather_columns(keep: NDArray[np.bool_], indices: NDArray[np.int32]) -> None:
    # Branch-free: at 80 % sparsity a branch is mispredicted at every second entry or so.
    k = 0
    for row in range(keep.shape[0]):
        for col in range(keep.shape[1]):
            indices[k] = col
            k += keep[row, col]


@njit(cache=True)
def _gather_values(
    weight: NDArray[Any], indptr: NDArray[np.int32], indices: NDArray[np.int32], data: NDArray[Any]
) -> None:
    for row in range(len(indptr) - 1):
        for k in range(indptr[row], indptr[row + 1]):
            data[k] = weight[row, indices[k]]
