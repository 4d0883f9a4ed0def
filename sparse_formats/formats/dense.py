"""Every entry stored, kept or not: what the others are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.matrix import copy_of_mask
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class Dense(SparseMatrix):
    """The whole matrix, row by row.

    keep: bool; data: weights of the same shape, 0 where not kept, None if encoded without.
    Stream: values. A dropped entry is an all-zero pattern there, and the mask is what is not.
    """

    shape: tuple[int, int]
    keep: NDArray[np.bool_]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(np.count_nonzero(self.keep))

    @classmethod
    def encode(cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape."""
        rows, cols = keep.shape
        data = None
        if weight is not None:
            data = np.ascontiguousarray(weight).copy()
            bit_view(data)[...] *= keep
        return cls((rows, cols), copy_of_mask(keep), data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        return copy_of_mask(self.keep), None if self.data is None else self.data.copy()

    def storage(self, value_bits: int) -> Storage:
        """rows·cols·v bits, those of dropped entries counted as padding."""
        return Storage(
            values=self.nnz * value_bits,
            indices=0,
            pointers=0,
            padding=(self.keep.size - self.nnz) * value_bits,
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        # Without a dropped entry a zero is a kept zero.
        return {"entries": self.nnz}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        if self.nnz < self.keep.size:
            zero = self.keep if self.data is None else self.keep & (bit_view(self.data) == 0)
            if zero.any():
                row, col = (int(i) for i in np.argwhere(zero)[0])
                raise InputError(
                    f"dense values cannot distinguish the kept zero at row {row}, column {col} "
                    'from a dropped weight; drop it, or pack as "bitmap"'
                )
        return []

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        nnz = descriptor.number("entries", 0, min(rows * cols, MOST_LINES))
        reader = BitReader(data, "dense")
        weights = read_values(reader, rows * cols, descriptor.value_type)
        reader.finish()
        if nnz == rows * cols:
            keep = np.ones((rows, cols), np.bool_)
        elif weights is None:
            keep = np.zeros((rows, cols), np.bool_)
        else:
            keep = (bit_view(weights) != 0).reshape(rows, cols)
        found = int(np.count_nonzero(keep))
        if found != nnz:
            raise reader.fail(0, f"{nnz} weights are kept, found {found} that are not zero")
        return cls((rows, cols), keep, None if weights is None else weights.reshape(rows, cols))
