"""Mixed-length vectors: one index and one length code for many weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.decompose import decompose
from sparse_formats.schema import check_vectors
from sparse_formats.storage import Storage, bits_for
from sparse_formats.vectors import VectorLayout


@dataclass(frozen=True, eq=False)
class MixedVectors:
    """Vectors line by line, ascending starts, and their weights one behind the other.

    vectors: orientation, and line, start and nominal length of each vector.
    indptr: int32 (lines + 1): line i holds the vectors indptr[i] … indptr[i + 1] − 1.
    offsets: int32 (vectors + 1): vector j holds the weights offsets[j] … offsets[j + 1] − 1.
    data: the weights in this order (nnz), None if encoded without.
    """

    shape: tuple[int, int]
    vectors: VectorLayout
    indptr: NDArray[np.int32]
    offsets: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(self.offsets[-1])

    @property
    def axis(self) -> int:
        """Entries on a line."""
        return self.shape[1 if self.vectors.orientation == "horizontal" else 0]

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        vectors: VectorLayout | None = None,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        vectors: how the mask is cut, as its maker said; without it `decompose` decides.

        Raises:
            InputError: `vectors` do not make up exactly `keep`.
        """
        rows, cols = keep.shape
        if vectors is None:
            vectors = decompose(keep)
        else:
            check_vectors(vectors, keep, "mixed vectors")
        line_count, axis = (rows, cols) if vectors.orientation == "horizontal" else (cols, rows)
        indptr = np.zeros(line_count + 1, np.int32)
        np.cumsum(np.bincount(vectors.lines, minlength=line_count), out=indptr[1:])
        offsets = np.zeros(len(vectors) + 1, np.int32)
        np.cumsum(vectors.covered(axis), out=offsets[1:])
        data = None
        if weight is not None:
            by_line = weight if vectors.orientation == "horizontal" else weight.T
            data = np.empty(offsets[-1], weight.dtype)
            bits = f"u{weight.dtype.itemsize}"
            _gather(by_line.view(bits), vectors.lines, vectors.starts, offsets, data.view(bits))
        return cls((rows, cols), vectors, indptr, offsets, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = self.vectors.keep(self.shape)
        if self.data is None:
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        by_line = weight if self.vectors.orientation == "horizontal" else weight.T
        bits = f"u{weight.dtype.itemsize}"
        _spread(
            by_line.view(bits),
            self.vectors.lines,
            self.vectors.starts,
            self.offsets,
            self.data.view(bits),
        )
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """nnz·v + vectors·(index + code) + (lines + 1)·⌈log2(vectors + 1)⌉ + 1 bits.

        An index counts the line's entries in steps of the shortest length present; a code tells
        the lengths present apart; the last bit, counted with the indices, is the orientation.
        """
        count, present = len(self.vectors), np.unique(self.vectors.lengths)
        index = bits_for(-(-self.axis // int(present[0]))) if count else 0
        code = bits_for(len(present)) if count else 0
        return Storage(
            values=self.nnz * value_bits,
            indices=count * (index + code) + 1,
            pointers=len(self.indptr) * bits_for(count + 1),
        )


@njit(cache=True)
def _gather(
    by_line: NDArray[Any],
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    data: NDArray[Any],
) -> None:
    for j in range(len(lines)):
        for k in range(offsets[j + 1] - offsets[j]):
            data[offsets[j] + k] = by_line[lines[j], starts[j] + k]


@njit(cache=True)
def _spread(
    by_line: NDArray[Any],
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    data: NDArray[Any],
) -> None:
    for j in range(len(lines)):
        for k in range(offsets[j + 1] - offsets[j]):
            by_line[lines[j], starts[j] + k] = data[offsets[j] + k]
