"""SA-RCSC: rows balanced over sets, columns walked in windows; OPTIMUS' format.

The paper's body is not public. Published (abstract): set-associative RCSC, made by an offline
scheduler. Inferred from a public model of it: rows sorted by non-zeros and dealt out in snake
order; an entry holds its value, its column within a window of W columns, ⌈log2 W⌉ bits, and the tag
of its row within its set, ⌈log2⌈rows/M⌉⌉ bits. Chosen: the snake turns after every M rows; a set
has a pointer to each of its windows; the permutation is stored, ⌈log2 rows⌉ bits a row; M = 8,
W = 128.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.pointers import check_rising
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class SARCSC(SparseMatrix):
    """Entries set by set, window by window, then by column, then by row tag.

    order: int32 (rows): the rows by descending non-zeros, ties by lower number. Row order[j] is
    row j // sets of set j mod sets, or of the mirrored one in every second run of `sets` rows.
    pointers: int64 (sets, windows + 1): where a set's windows begin among its entries.
    columns, tags: int32 (nnz), within window and set. data: (nnz), None if encoded without.
    Stream: order, pointers, columns, tags, values. Descriptor: sets, window, fullest (entries of
    the set that has most).
    """

    shape: tuple[int, int]
    sets: int
    window: int
    order: NDArray[np.int32]
    pointers: NDArray[np.int64]
    columns: NDArray[np.int32]
    tags: NDArray[np.int32]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return len(self.columns)

    @property
    def fullest(self) -> int:
        """Entries of the set that has most."""
        return int(self.pointers[:, -1].max())

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        sets: int = 8,
        window: int = 128,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: no set, or a window without a column.
        """
        if sets < 1 or window < 1:
            raise InputError(f"sets is {sets}, window is {window}; give at least 1 of each")
        rows, cols = keep.shape
        keep = np.ascontiguousarray(keep)
        order = _order(np.count_nonzero(keep, axis=1))
        set_of, tag_of = _places(order, sets)
        counts = np.zeros((sets, cols), np.int64)
        _count(keep, set_of, counts)
        firsts = np.cumsum(counts).reshape(sets, cols) - counts
        nnz = int(counts.sum())
        columns, tags = np.empty(nnz, np.int32), np.empty(nnz, np.int32)
        data = None if weight is None else np.empty(nnz, weight.dtype)
        _fill(
            keep,
            _NONE if weight is None else bit_view(np.ascontiguousarray(weight)),
            weight is not None,
            # By ascending tag, as entries of one column must come.
            np.argsort(tag_of, kind="stable").astype(np.int32),
            set_of,
            tag_of,
            window,
            firsts,
            columns,
            tags,
            _NONE[0] if data is None else bit_view(data),
        )
        ends = np.cumsum(counts, axis=1)
        pointers = np.zeros((sets, -(-cols // window) + 1), np.int64)
        pointers[:, 1:] = ends[:, np.minimum(np.arange(window, cols + window, window), cols) - 1]
        return cls((rows, cols), sets, window, order, pointers, columns, tags, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        row, col = self._rows_and_columns()
        keep = np.zeros(self.shape, np.bool_)
        if self.data is None:
            _spread(row, col, _NONE[0], False, keep, _NONE)
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        bits = bit_view(np.ascontiguousarray(self.data))
        _spread(row, col, bits, True, keep, bit_view(weight))
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """nnz·(v + ⌈log2 W⌉ + ⌈log2⌈rows/M⌉⌉) bits, pointers and permutation.

        M·(⌈cols/W⌉ + 1)·⌈log2(fullest + 1)⌉ + rows·⌈log2 rows⌉ bits of the latter two.
        """
        column, tag, pointer, row = self._widths
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * (column + tag),
            pointers=self.pointers.size * pointer + len(self.order) * row,
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"sets": self.sets, "window": self.window, "fullest": self.fullest}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        column, tag, pointer, row = self._widths
        return [
            Section(self.order, row),
            Section(self.pointers, pointer),
            Section(self.columns, column),
            Section(self.tags, tag),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        sets = descriptor.number("sets", 1, MOST_LINES)
        window = descriptor.number("window", 1, MOST_LINES)
        fullest = descriptor.number("fullest", 0, min(rows * cols, MOST_LINES))
        reader = BitReader(data, "sa_rcsc")
        row_bits, width = bits_for(max(rows, 1)), bits_for(fullest + 1)
        order = reader.read("order", rows, row_bits, np.int32)
        if (np.bincount(order, minlength=rows) != 1).any():
            raise reader.fail(0, f"the order must name each of the {rows} rows once")
        at, per_set = reader.at, -(-cols // window) + 1
        pointers = reader.read("pointers", sets * per_set, width, np.int64).reshape(sets, per_set)
        for s in range(sets):
            check_rising(reader, pointers[s], at + s * per_set * width, width)
        if int(pointers[:, -1].max()) != fullest:
            raise reader.fail(at, f"the fullest set has {fullest}, found {pointers[:, -1].max()}")
        nnz, tag_bits = int(pointers[:, -1].sum()), bits_for(max(-(-rows // sets), 1))
        start, column_bits = reader.at, bits_for(window)
        columns = reader.read("columns", nnz, column_bits, np.int32)
        tags = reader.read("row tags", nnz, tag_bits, np.int32)
        weights = read_values(reader, nnz, descriptor.value_type)
        reader.finish()
        matrix = cls((rows, cols), sets, window, order, pointers, columns, tags, weights)
        wrong = matrix._first_wrong()
        if wrong >= 0:
            raise reader.fail(
                start + wrong * column_bits,
                f"entry {wrong}, column {columns[wrong]}, row tag {tags[wrong]}: outside the "
                "matrix or not behind the entry before it",
            )
        counts = np.bincount(matrix._rows_and_columns()[0], minlength=rows)
        differs = _order(counts) != order
        if differs.any():
            i = int(np.argmax(differs))
            raise reader.fail(
                i * row_bits, f"row {order[i]} is not the next by descending non-zeros"
            )
        return matrix

    @property
    def _widths(self) -> tuple[int, int, int, int]:
        """Bits of a column, a row tag, a pointer and a row number."""
        rows = self.shape[0]
        return (
            bits_for(self.window),
            bits_for(max(-(-rows // self.sets), 1)),
            bits_for(self.fullest + 1),
            bits_for(max(rows, 1)),
        )

    def _sets_and_bases(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Of each entry: its set, and its window's first column."""
        sizes = np.diff(self.pointers, axis=1).reshape(-1)
        sets, bases = np.indices((self.sets, self.pointers.shape[1] - 1), np.int32).reshape(2, -1)
        return np.repeat(sets, sizes), np.repeat(bases * np.int32(self.window), sizes)

    def _rows_and_columns(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Row and column of each entry."""
        rows = self.shape[0]
        set_of, tag_of = _places(self.order, self.sets)
        row_at = np.zeros((self.sets, max(-(-rows // self.sets), 1)), np.int32)
        row_at[set_of, tag_of] = np.arange(rows)
        in_set, base = self._sets_and_bases()
        return row_at[in_set, self.tags], base + self.columns

    def _first_wrong(self) -> int:
        """The first entry that is outside the matrix or out of order; −1 if none is."""
        rows, cols = self.shape
        in_set, base = self._sets_and_bases()
        set_of, _ = _places(self.order, self.sets)
        heights = np.bincount(set_of, minlength=self.sets)
        wrong = (self.columns >= self.window) | (base + self.columns.astype(np.int64) >= cols)
        wrong |= self.tags >= heights[in_set]
        key = (base.astype(np.int64) + self.columns) * (rows + 1) + self.tags
        wrong[1:] |= (in_set[1:] == in_set[:-1]) & (key[1:] <= key[:-1])
        return int(np.argmax(wrong)) if wrong.any() else -1


_NONE = np.zeros((1, 1), np.uint8)


def _order(counts: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    return np.argsort(-counts, kind="stable").astype(np.int32)


def _places(order: NDArray[np.int32], sets: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Set and tag of each row, dealt out to and fro."""
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    run, place = rank // sets, rank % sets
    return np.where(run % 2, sets - 1 - place, place).astype(np.int32), run.astype(np.int32)


@njit(cache=True)
def _count(keep: NDArray[np.bool_], set_of: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
    for row in range(keep.shape[0]):
        for col in range(keep.shape[1]):
            counts[set_of[row], col] += keep[row, col]


@njit(cache=True)
def _fill(
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    has_data: bool,
    by_tag: NDArray[np.int32],
    set_of: NDArray[np.int32],
    tag_of: NDArray[np.int32],
    window: int,
    cursor: NDArray[np.int64],
    columns: NDArray[np.int32],
    tags: NDArray[np.int32],
    data: NDArray[Any],
) -> None:
    for row in by_tag:
        s = set_of[row]
        for col in range(keep.shape[1]):
            if keep[row, col]:
                k = cursor[s, col]
                columns[k] = col % window
                tags[k] = tag_of[row]
                if has_data:
                    data[k] = weight[row, col]
                cursor[s, col] = k + 1


@njit(cache=True)
def _spread(
    rows: NDArray[np.int32],
    cols: NDArray[np.int32],
    data: NDArray[Any],
    has_data: bool,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    for k in range(len(rows)):
        keep[rows[k], cols[k]] = True
        if has_data:
            weight[rows[k], cols[k]] = data[k]
