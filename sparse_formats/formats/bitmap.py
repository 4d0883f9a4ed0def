"""One bit an entry, and the kept weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import (
    BitReader,
    Section,
    flags,
    read_flags,
    read_values,
)
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.kept_values import put_by_row, take_by_row
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.matrix import copy_of_mask
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class Bitmap(SparseMatrix):
    """The mask and the kept weights, both row by row. SIGMA stores its operands so.

    keep: bool (rows, cols). data: the kept weights (nnz), None if encoded without.
    Stream: one bit an entry (1 = kept), values. Descriptor: nothing more.
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
        data = None if weight is None else take_by_row(keep, weight)
        return cls((rows, cols), copy_of_mask(keep), data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        weight = None if self.data is None else put_by_row(self.keep, self.data)
        return copy_of_mask(self.keep), weight

    def storage(self, value_bits: int) -> Storage:
        """nnz·v + rows·cols bits."""
        return Storage(values=self.nnz * value_bits, indices=self.keep.size, pointers=0)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return flags(self.keep)

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        reader = BitReader(data, "bitmap")
        keep = read_flags(reader, "bitmap", rows * cols).reshape(rows, cols)
        weights = read_values(reader, int(np.count_nonzero(keep)), descriptor.value_type)
        reader.finish()
        return cls((rows, cols), keep, weights)
