"""ELLPACK-R: every row as long as the longest, and how long each really is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.csr import CSR
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class Ellpack(SparseMatrix):
    """Kept entries row by row, ascending columns, each row filled up to `width` slots.

    lengths: int32 (rows): slots in use. indices: int32 (rows, width): columns, 0 where unused.
    data: weights (rows, width), 0 where unused; None if encoded without.
    Stream: lengths, indices, values. Descriptor: width, the longest row's entries.
    Source: Vázquez et al. 2011 (ELLPACK-R); the widths of the fields are our choice.
    """

    shape: tuple[int, int]
    lengths: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def width(self) -> int:
        return self.indices.shape[1]

    @classmethod
    def encode(cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape."""
        lines = CSR.encode(keep, weight)
        lengths = np.diff(lines.indptr)
        size = (len(lengths), int(lengths.max(initial=0)))
        indices = np.zeros(size, np.int32)
        _fill(lines.indptr, lines.indices, indices)
        data = None
        if lines.data is not None:
            data = np.zeros(size, lines.data.dtype)
            _fill(lines.indptr, bit_view(lines.data), bit_view(data))
        return cls(lines.shape, lengths, indices, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        ones = np.ones((1, 1), np.bool_)
        _spread(self.lengths, self.indices, np.broadcast_to(ones, self.indices.shape), keep)
        if self.data is None:
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        _spread(self.lengths, self.indices, bit_view(self.data), bit_view(weight))
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """rows·width·(v + ⌈log2 cols⌉) + rows·⌈log2(width + 1)⌉ bits; unused slots are padding."""
        rows, cols = self.shape
        index = bits_for(cols)
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * index,
            pointers=rows * bits_for(self.width + 1),
            padding=(rows * self.width - self.nnz) * (value_bits + index),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"width": self.width}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [
            Section(self.lengths, bits_for(self.width + 1)),
            Section(self.indices, bits_for(self.shape[1])),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        width = descriptor.number("width", 0, cols)
        reader = BitReader(data, "ellpack")
        lengths = reader.read("row lengths", rows, bits_for(width + 1), np.int32)
        longest = int(lengths.max(initial=0))
        if longest != width:
            at = int(np.argmax(lengths)) * bits_for(width + 1) if rows else 0
            raise reader.fail(at, f"the longest row must have {width} entries, found {longest}")
        start, bits = reader.at, bits_for(cols)
        indices = reader.read("indices", rows * width, bits, np.int32).reshape(rows, width)
        used = np.arange(width) < lengths[:, None]
        wrong = np.where(used, indices >= cols, indices != 0)
        wrong[:, 1:] |= used[:, 1:] & (indices[:, 1:] <= indices[:, :-1])
        if wrong.any():
            i = int(np.argmax(wrong))
            raise reader.fail(
                start + i * bits,
                f"column {indices.flat[i]} in slot {i % width} of row {i // width}: used slots "
                f"ascend below {cols}, unused ones are 0",
            )
        start = reader.at
        weights = read_values(reader, rows * width, descriptor.value_type)
        reader.finish()
        if weights is not None and descriptor.value_type is not None:
            weights = weights.reshape(rows, width)
            filled = ~used & (bit_view(weights) != 0)
            if filled.any():
                at = start + int(np.argmax(filled)) * descriptor.value_type.bits
                raise reader.fail(at, "the value of an unused slot must be 0")
        return cls((rows, cols), lengths, indices, weights)


@njit(cache=True)
def _fill(indptr: NDArray[np.int32], flat: NDArray[Any], slots: NDArray[Any]) -> None:
    for row in range(len(indptr) - 1):
        for k in range(indptr[row + 1] - indptr[row]):
            slots[row, k] = flat[indptr[row] + k]


@njit(cache=True)
def _spread(
    lengths: NDArray[np.int32],
    indices: NDArray[np.int32],
    slots: NDArray[Any],
    dense: NDArray[Any],
) -> None:
    for row in range(len(lengths)):
        for k in range(lengths[row]):
            dense[row, indices[row, k]] = slots[row, k]
