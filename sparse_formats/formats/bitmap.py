"""One bit an entry, and the kept weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, flags, pack, read_flags
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.kept_values import put_by_row, take_by_row
from sparse_formats.formats.parts.value_types import read_values, value_section, value_type_of
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class Bitmap:
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
        return cls((rows, cols), np.ascontiguousarray(keep).copy(), data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        return self.keep.copy(), None if self.data is None else put_by_row(self.keep, self.data)

    def storage(self, value_bits: int) -> Storage:
        """nnz·v + rows·cols bits."""
        return Storage(values=self.nnz * value_bits, indices=self.keep.size, pointers=0)

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """See `SparseMatrix`."""
        return Descriptor(self.shape, value_type_of(self.data, value_type))

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """See `SparseMatrix`."""
        typed = value_type_of(self.data, value_type)
        return pack([*flags(self.keep), value_section(self.data, typed)])

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        reader = BitReader(data, "bitmap")
        keep = read_flags(reader, "bitmap", rows * cols).reshape(rows, cols)
        weights = read_values(reader, int(np.count_nonzero(keep)), descriptor.value_type)
        reader.finish()
        return cls((rows, cols), keep, weights)
