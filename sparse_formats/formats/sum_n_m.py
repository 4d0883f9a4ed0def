"""A sum of two N:M terms and a remainder, which holds any mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.canonical import check_canonical
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.kept_values import put_by_row, take_by_row
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.pattern_text import LONGEST_GROUP, check_terms
from sparse_formats.masks.row_blocks import row_blocks
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class SumNM(SparseMatrix):
    """`count`:`length`, then `further`:`of` of what that leaves, then what both leave.

    first, second: uint16 (rows, groups, slots): the input within its group of each slot, ascending;
    the length of the group for an unused slot, so that an index has ⌈log2(length + 1)⌉ bits.
    rows, cols: int32: where the weights of the remainder are, row by row.
    data: weights of all slots of the first term (0 in unused ones), of the second, of the rest.
    Stream: indices of the first term, of the second, rows and columns of the rest, values.
    Descriptor: count, length, further, of, rest (weights of the remainder).
    Source: TASD (Jeong et al., MLSys 2025); the layout is ours.
    """

    shape: tuple[int, int]
    length: int
    of: int
    first: NDArray[np.uint16]
    second: NDArray[np.uint16]
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return self._used + len(self.rows)

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        count: int = 2,
        length: int = 4,
        further: int = 2,
        of: int = 8,
    ) -> Self:
        """Encode any mask `keep` (bool, out × in) and `weight` of the same shape.

        A term takes the first weights of each group. `length` divides `of`, so that no other choice
        would leave less for the remainder.

        Raises:
            InputError: numbers that are no two such terms.
        """
        check_terms(count, length, further, of)
        shape = keep.shape[0], keep.shape[1]
        terms = ((count, length), (further, of))
        indices = [np.empty((shape[0], -(-shape[1] // m), n), np.uint16) for n, m in terms]
        nothing = np.zeros(0, np.int32)
        rows, cols = [nothing], [nothing]
        # Of the first term, of the second, of the rest.
        values = [[np.zeros(0, keep.dtype if weight is None else weight.dtype)] for _ in range(3)]
        for block in row_blocks(shape):
            left, part = keep[block].copy(), None if weight is None else weight[block]
            for index, held, (slots, of_group) in zip(indices, values, terms, strict=False):
                index[block], taken = _first_of_groups(left, slots, of_group)
                if part is not None:
                    in_slots = np.zeros(index[block].shape, part.dtype)
                    is_used = index[block] < of_group
                    bit_view(in_slots)[is_used] = bit_view(take_by_row(taken, part))
                    held.append(in_slots.reshape(-1))
                left &= ~taken
            row, col = np.nonzero(left)
            rows.append((row + block.start).astype(np.int32))
            cols.append(col.astype(np.int32))
            if part is not None:
                values[2].append(take_by_row(left, part))
        data = None if weight is None else np.concatenate([part for of in values for part in of])
        first, second = indices
        return cls(
            shape, length, of, first, second, np.concatenate(rows), np.concatenate(cols), data
        )

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        rest = np.zeros(self.shape, np.bool_)
        rest[self.rows, self.cols] = True
        keep, start = rest.copy(), 0
        weight = None if self.data is None else put_by_row(rest, self.data[self._slots :])
        for index, length in ((self.first, self.length), (self.second, self.of)):
            used = index < length
            row, group, _ = np.nonzero(used)
            col = group * length + index[used]
            keep[row, col] = True
            if weight is not None and self.data is not None:
                held = self.data[start : start + index.size].reshape(index.shape)
                bit_view(weight)[row, col] = bit_view(held)[used]
            start += index.size
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """Slots·(v + index) of both terms; what they leave adds ⌈log2 rows⌉ + ⌈log2 cols⌉ bits."""
        widths = bits_for(self.length + 1), bits_for(self.of + 1)
        used = [
            int(np.count_nonzero(index < length))
            for index, length in ((self.first, self.length), (self.second, self.of))
        ]
        unused = [self.first.size - used[0], self.second.size - used[1]]
        coordinates = len(self.rows) * sum(_widths(self.shape))
        return Storage(
            values=self.nnz * value_bits,
            indices=used[0] * widths[0] + used[1] * widths[1] + coordinates,
            pointers=0,
            padding=unused[0] * (value_bits + widths[0]) + unused[1] * (value_bits + widths[1]),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {**self._terms, "rest": len(self.rows)}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        row_bits, col_bits = _widths(self.shape)
        return [
            Section(self.first, bits_for(self.length + 1)),
            Section(self.second, bits_for(self.of + 1)),
            Section(self.rows, row_bits),
            Section(self.cols, col_bits),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        length = descriptor.number("length", 1, LONGEST_GROUP)
        count = descriptor.number("count", 1, length)
        of = descriptor.number("of", length, LONGEST_GROUP)
        further = descriptor.number("further", 1, of)
        rest = descriptor.number("rest", 0, rows * cols)
        reader = BitReader(data, "sum_n_m")
        first = _read_indices(reader, descriptor.shape, count, length)
        second = _read_indices(reader, descriptor.shape, further, of)
        row_bits, col_bits = _widths(descriptor.shape)
        row = reader.read("rows", rest, row_bits, np.int32)
        start = reader.at
        col = reader.read("columns", rest, col_bits, np.int32)
        wrong = (row >= rows) | (col >= cols)
        if wrong.any():
            raise reader.fail(start + int(wrong.argmax()) * col_bits, "outside of the matrix")
        values = read_values(reader, first.size + second.size + rest, descriptor.value_type)
        reader.finish()
        matrix = cls(descriptor.shape, length, of, first, second, row, col, values)
        typed = None if descriptor.value_type is None else descriptor.value_type.name
        check_canonical(reader, data, matrix, typed, **matrix._terms)
        return matrix

    @property
    def _terms(self) -> dict[str, int]:
        return {
            "count": self.first.shape[2],
            "length": self.length,
            "further": self.second.shape[2],
            "of": self.of,
        }

    @property
    def _slots(self) -> int:
        return self.first.size + self.second.size

    @property
    def _used(self) -> int:
        used = np.count_nonzero(self.first < self.length) + np.count_nonzero(self.second < self.of)
        return int(used)


def _first_of_groups(
    keep: NDArray[np.bool_], slots: int, length: int
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Index of the first `slots` kept weights of each group, `length` where there is none; where
    they are."""
    rows, cols = keep.shape
    groups = -(-cols // length)
    padded = np.zeros((rows, groups * length), np.bool_)
    padded[:, :cols] = keep
    grouped = padded.reshape(rows, groups, length)
    rank = np.cumsum(grouped, axis=2, dtype=np.uint16)
    taken = grouped & (rank <= slots)
    indices = np.full((rows, groups, slots), length, np.uint16)
    row, group, index = np.nonzero(taken)
    indices[row, group, rank[taken] - 1] = index
    return indices, np.ascontiguousarray(taken.reshape(rows, groups * length)[:, :cols])


def _read_indices(
    reader: BitReader, shape: tuple[int, int], slots: int, length: int
) -> NDArray[np.uint16]:
    """The indices of a term, each of an input of the matrix or `length`."""
    (rows, cols), start, width = shape, reader.at, bits_for(length + 1)
    groups = -(-cols // length)
    indices = reader.read("indices", rows * groups * slots, width, np.uint16)
    indices = indices.reshape(rows, groups, slots)
    size = np.minimum(length, cols - np.arange(groups) * length)[:, None]
    wrong = (indices >= size) & (indices != length)
    if wrong.any():
        slot = int(wrong.argmax())
        raise reader.fail(start + slot * width, f"index {indices.flat[slot]} is of no input")
    return indices


def _widths(shape: tuple[int, int]) -> tuple[int, int]:
    """Bits of a row's and of a column's number."""
    return bits_for(max(shape[0], 1)), bits_for(max(shape[1], 1))
