"""Block sparse rows: square blocks, kept whole or dropped whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.pointers import check_ascending, read_pointers
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.storage import Storage, bits_for

LARGEST_BLOCK = 1024
"""A small matrix in one large block would take much memory for nothing."""


@dataclass(frozen=True, eq=False)
class BSR(SparseMatrix):
    """Kept block × block squares, block row by block row, ascending block columns.

    A square that reaches over the matrix' edge is stored whole, with zeros outside.
    indptr: int32 (block rows + 1). indices: int32 (blocks): their block columns.
    data: weights (blocks, block, block), None if encoded without.
    Stream: pointers, indices, values. Descriptor: block, blocks (how many).
    """

    shape: tuple[int, int]
    block: int
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        rows, cols = self.shape
        heights = np.minimum(self.block, rows - self._block_rows * self.block)
        widths = np.minimum(self.block, cols - self.indices.astype(np.int64) * self.block)
        return int((heights * widths).sum())

    @property
    def _block_rows(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @classmethod
    def encode(
        cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None, block: int = 16
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: a block is kept in part; block is out of range.
        """
        if not 1 <= block <= LARGEST_BLOCK:
            raise InputError(f"block is {block}; give 1..{LARGEST_BLOCK}")
        rows, cols = keep.shape
        # Outside the matrix nothing is kept, nor asked for.
        heights = np.minimum(block, rows - np.arange(0, rows, block))
        widths = np.minimum(block, cols - np.arange(0, cols, block))
        wanted = heights[:, None] * widths
        counts = _counts(keep, block)
        broken = (counts > 0) & (counts < wanted)
        if broken.any():
            i, j = (int(n) for n in np.argwhere(broken)[0])
            raise InputError(
                f"mask is not made of {block}×{block} blocks: rows {i * block}.."
                f"{min((i + 1) * block, rows) - 1}, columns {j * block}.."
                f"{min((j + 1) * block, cols) - 1} keep {counts[i, j]} of {wanted[i, j]}; prune in "
                'blocks, or encode as "csr" or "mixed_vectors"'
            )
        lines = CSR.encode(counts > 0)
        data = None
        if weight is not None:
            data = np.ascontiguousarray(_squares(weight, block)[counts > 0])
        return cls((rows, cols), block, lines.indptr, lines.indices, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        (rows, cols), block = self.shape, self.block
        down, across = -(-rows // block), -(-cols // block)
        places = (self._block_rows, self.indices)
        squares = np.zeros((down, across), np.bool_)
        squares[places] = True
        keep = np.repeat(np.repeat(squares, block, 0), block, 1)[:rows, :cols]
        keep = np.ascontiguousarray(keep)
        if self.data is None:
            return keep, None
        weight = np.zeros((down * block, across * block), self.data.dtype)
        weight.reshape(down, block, across, block).swapaxes(1, 2)[places] = self.data
        return keep, np.ascontiguousarray(weight[:rows, :cols])

    def storage(self, value_bits: int) -> Storage:
        """blocks·(b²·v + ⌈log2⌈cols/b⌉⌉) + (⌈rows/b⌉ + 1)·⌈log2(blocks + 1)⌉ bits.

        Values outside the matrix are padding.
        """
        blocks, nnz = len(self.indices), self.nnz
        return Storage(
            values=nnz * value_bits,
            indices=blocks * bits_for(-(-self.shape[1] // self.block)),
            pointers=len(self.indptr) * bits_for(blocks + 1),
            padding=(blocks * self.block**2 - nnz) * value_bits,
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"block": self.block, "blocks": len(self.indices)}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [
            Section(self.indptr, bits_for(len(self.indices) + 1)),
            Section(self.indices, bits_for(-(-self.shape[1] // self.block))),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        block = descriptor.number("block", 1, LARGEST_BLOCK)
        down, across = -(-rows // block), -(-cols // block)
        blocks = descriptor.number("blocks", 0, down * across)
        reader = BitReader(data, "bsr")
        indptr = read_pointers(reader, down, blocks)
        start, width = reader.at, bits_for(across)
        indices = reader.read("indices", blocks, width, np.int32)
        check_ascending(reader, indices, indptr, across, start, width)
        start = reader.at
        weights = read_values(reader, blocks * block * block, descriptor.value_type)
        reader.finish()
        matrix = cls((rows, cols), block, indptr, indices, None)
        if weights is None or descriptor.value_type is None:
            return matrix
        weights = weights.reshape(blocks, block, block)
        place = np.arange(block)
        below = matrix._block_rows[:, None] * block + place >= rows
        beyond = indices[:, None].astype(np.int64) * block + place >= cols
        outside = below[:, :, None] | beyond[:, None, :]
        filled = outside & (bit_view(weights) != 0)
        if filled.any():
            at = start + int(np.argmax(filled)) * descriptor.value_type.bits
            raise reader.fail(at, "a value outside the matrix must be 0")
        return cls((rows, cols), block, indptr, indices, weights)


def _counts(keep: NDArray[np.bool_], block: int) -> NDArray[np.int64]:
    """Kept entries of each block: (block rows, block columns)."""
    rows, cols = keep.shape
    counts = np.zeros((-(-rows // block), -(-cols // block)), np.int64)
    first_cols = np.arange(0, cols, block)
    # One row of blocks at a time: `reduceat` makes wider copies of all it is given.
    for i in range(len(counts) if cols else 0):
        of_column = keep[i * block : (i + 1) * block].sum(0, np.int64)
        counts[i] = np.add.reduceat(of_column, first_cols)
    return counts


def _squares(dense: NDArray[Any], block: int) -> NDArray[Any]:
    """(block rows, block columns, block, block) of a matrix filled up with zeros."""
    rows, cols = dense.shape
    down, across = -(-rows // block), -(-cols // block)
    if rows % block or cols % block:
        filled = np.zeros((down * block, across * block), dense.dtype)
        filled[:rows, :cols] = dense
        dense = filled
    return dense.reshape(down, block, across, block).swapaxes(1, 2)
