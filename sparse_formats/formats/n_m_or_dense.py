"""Blocks of rows that are N:M beside blocks that keep everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, SettingError
from sparse_formats.formats.canonical import check_canonical
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.parts.bitstream import (
    BitReader,
    Section,
    flags,
    read_flags,
    read_values,
)
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.pattern_text import LONGEST_GROUP, check_groups
from sparse_formats.masks.row_blocks import row_blocks
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class NMOrDense(SparseMatrix):
    """A bit for each block of `height` rows says whether it keeps everything, or N of M.

    dense: bool (blocks). sparse: the rows of the other blocks, one below the other.
    data: the slots of `sparse`, then the rows of dense blocks, row by row.
    Stream: a bit a block, indices of `sparse`, values. Descriptor: count, length, height.
    Source: Spense (Lee et al., arXiv 2606.10445); the layout is ours.
    """

    shape: tuple[int, int]
    height: int
    dense: NDArray[np.bool_]
    sparse: NM
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return self.sparse.nnz + self._of_dense

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        count: int = 2,
        length: int = 4,
        height: int = 16,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: a block that drops a weight keeps more than `count` of a group (or, for one
                slot, none).
        """
        check_groups(count, length)
        if height < 1:
            raise SettingError("height", f"is {height}; give 1 or more")
        rows, cols = keep.shape
        starts = np.arange(0, rows, height)
        dense = np.logical_and.reduceat(keep.all(1), starts) if rows else np.zeros(0, np.bool_)
        is_dense = np.repeat(dense, height)[:rows]
        others = np.flatnonzero(~is_dense)
        _check(keep, others, (count, length, height))
        # A mask without dense blocks is not copied.
        some = others if dense.any() else slice(None)
        values = None if weight is None else weight[some]
        sparse = NM.encode(keep[some], values, count, length)
        data = None
        if weight is not None and sparse.data is not None:
            data = np.concatenate([sparse.data.reshape(-1), weight[is_dense].reshape(-1)])
        return cls((rows, cols), height, dense, sparse, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        is_dense, slots = self._dense_rows, self.sparse.indices.size
        keep = np.ones(self.shape, np.bool_)
        keep[~is_dense], weights = self.sparse.decode()
        if self.data is None or weights is None:
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        weight[~is_dense] = weights
        weight[is_dense] = self.data[slots:].reshape(int(is_dense.sum()), self.shape[1])
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """N:M of the sparse blocks, v for each weight of the others, and a bit a block."""
        of_dense = Storage(self._of_dense * value_bits, 0, len(self.dense))
        return self.sparse.storage(value_bits) + of_dense

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"count": self.sparse.kept, "length": self.sparse.length, "height": self.height}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [*flags(self.dense), *self.sparse.sections()]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        length = descriptor.number("length", 1, LONGEST_GROUP)
        count = descriptor.number("count", 1, length)
        height = descriptor.number("height", 1, MOST_LINES)
        reader = BitReader(data, "n_m_or_dense")
        dense = read_flags(reader, "flags of blocks", -(-rows // height))
        of_dense = int(np.repeat(dense, height)[:rows].sum())
        shape = rows - of_dense, cols
        indices = NM.read_indices(reader, shape, count, length)
        values = read_values(reader, indices.size + of_dense * cols, descriptor.value_type)
        reader.finish()
        slots = None if values is None else values[: indices.size].reshape(indices.shape)
        sparse = NM(shape, count, length, indices, slots)
        matrix = cls(descriptor.shape, height, dense, sparse, values)
        typed = None if descriptor.value_type is None else descriptor.value_type.name
        check_canonical(reader, data, matrix, typed, **matrix.parameters)
        return matrix

    @property
    def _dense_rows(self) -> NDArray[np.bool_]:
        return np.repeat(self.dense, self.height)[: self.shape[0]]

    @property
    def _of_dense(self) -> int:
        return int(self._dense_rows.sum()) * self.shape[1]


def _check(
    keep: NDArray[np.bool_], others: NDArray[np.intp], numbers: tuple[int, int, int]
) -> None:
    """InputError where a block that is not dense is not N:M either."""
    count, length, height = numbers
    if not keep.size or not len(others):
        return
    starts = np.arange(0, keep.shape[1], length)
    for block in row_blocks((len(others), keep.shape[1])):
        counts = np.add.reduceat(keep[others[block]], starts, axis=1, dtype=np.int64)
        wrong = (counts > count) | ((counts == 0) & (count == 1))
        if wrong.any():
            break
    else:
        return
    at, group = (int(n) for n in np.argwhere(wrong)[0])
    row, first = int(others[block][at]), group * length
    last = min(first + length, keep.shape[1]) - 1
    why = "" if counts[at, group] else ", and with one slot a group that keeps none cannot be told"
    raise InputError(
        f"mask is not {count}:{length}, or whole, in each {height} rows: row {row}, columns "
        f"{first}..{last} keep {counts[at, group]}{why}; prune with pattern "
        f'"n_m_or_dense:{count}:{length}:{height}", or encode as "csr"'
    )
