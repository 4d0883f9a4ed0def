"""Mixed vectors in the order in which the machine's decompressor reads them: entry by entry.

docs/microarchitecture.md §3. A line's *slot* is a run of G of its entries, counted from the first.
The stream: orientation (1 = vertical), pointers, then slot after slot, those of horizontal vectors
by (slot, line), those of vertical ones by (line, slot). In a slot stand the weights of each vector,
by ascending start. A line has one vector open at a time: the index and the length code of its first
stand at the beginning of its slot 0, those of each other right behind the last weight of the vector
before it. So what a slot holds is always known before it is reached, and how many vectors a line
has is in the pointers. The bits are those of `MixedVectors.to_bytes`, in another order.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.mixed_vectors import (
    MixedVectors,
    field_widths,
    length_codes,
    pointers_of,
    read_header,
)
from sparse_formats.formats.parts.bitstream import BitReader, Section, pack, value_section
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import from_patterns, value_type_of
from sparse_formats.masks.bit_words import Words
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import bits_for

MOST_LANES = 64


@dataclass(frozen=True, eq=False)
class StreamEntries:
    """What the decompressor hands on, in stream order.

    position: int32, the line of vertical, the slot of horizontal vectors; unit: int32, the other
    of the two; lanes: uint64, bit i = entry i of the slot has a weight; bits: int64, those read
    behind the entry before it, up to its own end.
    """

    position: NDArray[np.int32]
    unit: NDArray[np.int32]
    lanes: NDArray[np.uint64]
    bits: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TileStream:
    """One tile, `matrix`, for a machine of `lanes` (1 … 64) multipliers a PE.

    Descriptor: that of the matrix, and lanes.
    """

    matrix: MixedVectors
    lanes: int

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= MOST_LANES:
            raise InputError(f"lanes is {self.lanes}; give a whole number in 1..{MOST_LANES}")

    def entries(self, value_bits: int, is_packed: bool) -> StreamEntries:
        """The entries behind the header; is_packed: all of a slot's vectors in one, else one each.

        Their bits sum to those of the stream but its header, (lines + 1)·⌈log2(vectors + 1)⌉ + 1.
        """
        walk = _walk_of(self.matrix, self.lanes)
        widths = _item_widths(self.matrix, value_bits)[walk.order]
        read = np.append(0, np.cumsum(widths, dtype=np.int64))
        bits = np.diff(read[walk.ends], prepend=0)
        if not is_packed or not len(bits):
            return StreamEntries(walk.position, walk.unit, walk.lanes, bits)
        is_new = np.diff(walk.position, prepend=-1) != 0
        first = np.flatnonzero(is_new | (np.diff(walk.unit, prepend=-1) != 0))
        return StreamEntries(
            walk.position[first],
            walk.unit[first],
            np.bitwise_or.reduceat(walk.lanes, first),
            np.add.reduceat(bits, first),
        )

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """See `SparseMatrix`."""
        told = self.matrix.descriptor(value_type)
        return Descriptor(told.shape, told.value_type, {**told.parameters, "lanes": self.lanes})

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """The stream, as many bytes as `MixedVectors.to_bytes` gives; errors as there."""
        matrix, vectors = self.matrix, self.matrix.vectors
        typed = value_type_of(matrix.data, value_type)
        index, _ = field_widths(matrix.axis, matrix.lengths)
        order = _walk_of(matrix, self.lanes).order
        starts = vectors.starts // np.int32(min(matrix.lengths, default=1))
        codes = length_codes(matrix.lengths)[vectors.lengths].astype(np.uint64)
        items = np.zeros(len(order), np.uint64)
        items[: len(vectors)] = starts.astype(np.uint64) | codes << np.uint64(index)
        weights = value_section(matrix.data, typed)
        items[len(vectors) :][: weights.fields.size] = weights.fields
        widths = _item_widths(matrix, typed.bits if typed else 0)
        return pack(
            [
                Section(np.array([vectors.orientation == "vertical"]), 1),
                Section(matrix.indptr, bits_for(len(vectors) + 1)),
                Section(items[order], widths[order]),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        lanes = descriptor.number("lanes", 1, MOST_LANES)
        typed = descriptor.value_type
        reader = BitReader(data, "tile stream")
        header = read_header(reader, descriptor)
        count, axis = int(header.indptr[-1]), header.axis
        index, code = field_widths(axis, header.lengths)
        reader.check_room("indices and length codes", count * (index + code))
        starts, lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
        first_bit = reader.at
        wrong, at, vector = _parse(
            _words(data),
            reader.at,
            len(data) * 8,
            index,
            code,
            typed.bits if typed else 0,
            np.array(header.lengths, np.int64),
            axis,
            lanes,
            header.orientation == "horizontal",
            header.indptr,
            starts,
            lengths,
        )
        if wrong:
            raise reader.fail(
                int(at),
                (
                    f"the stream ends within the index, the code or the weights of vector {vector}",
                    f"vector {vector} has a length code outside 0..{len(header.lengths) - 1}",
                    f"vector {vector} starts at {starts[vector]} of {axis} entries with length "
                    f"{lengths[vector]}: outside its line, unaligned, or on top of the vector "
                    "before it",
                )[wrong - 1],
            )
        if tuple(np.unique(lengths).tolist()) != header.lengths:
            raise reader.fail(first_bit, f"not all of the lengths {list(header.lengths)} occur")
        layout = VectorLayout(
            header.orientation, header.lines(), starts.astype(np.int32), lengths.astype(np.int32)
        )
        indptr, offsets = pointers_of(layout, descriptor.shape)
        bare = MixedVectors(descriptor.shape, layout, indptr, offsets, None)
        order = _walk_of(bare, lanes).order
        widths = _item_widths(bare, typed.bits if typed else 0)
        read = reader.read_each("entries", widths[order], np.uint64)
        reader.finish()
        if typed is None:
            return cls(bare, lanes)
        items = np.empty_like(read)
        items[order] = read
        weights = from_patterns(items[count:], typed)
        return cls(MixedVectors(descriptor.shape, layout, indptr, offsets, weights), lanes)


def _words(data: bytes) -> Words:
    """Bit k of the stream is bit k mod 64 of word k // 64; at least one word lies behind it."""
    padded = data + bytes(16 - len(data) % 8)
    return np.frombuffer(padded, "<u8").astype(np.uint64)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The way through a stream behind its header.

    order: int64, item by item: i < vectors is index and code of vector i, the others are weight
    i − vectors. Of each piece (a vector's part in a slot): its entry's position and unit, its
    lanes, and how many items are read at its end.
    """

    order: NDArray[np.int64]
    position: NDArray[np.int32]
    unit: NDArray[np.int32]
    lanes: NDArray[np.uint64]
    ends: NDArray[np.int64]


def _walk_of(matrix: MixedVectors, lanes: int) -> _Walk:
    vectors, is_horizontal = matrix.vectors, matrix.vectors.orientation == "horizontal"
    ends = vectors.starts + np.diff(matrix.offsets)
    pieces = int(((ends - 1) // lanes - vectors.starts // lanes + 1).sum(dtype=np.int64))
    walk = _Walk(
        np.empty(len(vectors) + matrix.nnz, np.int64),
        np.empty(pieces, np.int32),
        np.empty(pieces, np.int32),
        np.empty(pieces, np.uint64),
        np.empty(pieces, np.int64),
    )
    _fill(
        matrix.indptr,
        vectors.starts,
        matrix.offsets,
        matrix.axis,
        lanes,
        is_horizontal,
        walk.order,
        walk.position,
        walk.unit,
        walk.lanes,
        walk.ends,
    )
    return walk


def _item_widths(matrix: MixedVectors, value_bits: int) -> NDArray[np.uint8]:
    """Bits of each item: first those of the vectors, then those of the weights."""
    widths = np.full(len(matrix.vectors) + matrix.nnz, value_bits, np.uint8)
    widths[: len(matrix.vectors)] = sum(field_widths(matrix.axis, matrix.lengths))
    return widths


@njit(cache=True)
def _fill(
    indptr: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    axis: int,
    lanes: int,
    is_row_mode: bool,
    order: NDArray[np.int64],
    position: NDArray[np.int32],
    unit: NDArray[np.int32],
    masks: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> None:
    count, lines, slots = len(starts), len(indptr) - 1, -(-axis // lanes)
    positions, units = (slots, lines) if is_row_mode else (lines, slots)
    # Of each line: the vector that is open, and how many of its weights have been read.
    opened, done = indptr[:-1].copy(), np.zeros(lines, np.int32)
    item, piece = 0, 0
    for p in range(positions if count else 0):
        for u in range(units):
            line, slot = (u, p) if is_row_mode else (p, u)
            j = opened[line]
            if slot == 0 and j < indptr[line + 1]:
                order[item] = j
                item += 1
            while j < indptr[line + 1]:
                lane = starts[j] + done[line] - slot * lanes
                if lane >= lanes:
                    break
                k = offsets[j] + done[line]
                weights = min(lanes - lane, offsets[j + 1] - k)
                for i in range(weights):
                    order[item] = count + k + i
                    item += 1
                done[line] += weights
                if k + weights == offsets[j + 1]:
                    j += 1
                    done[line] = 0
                    if j < indptr[line + 1]:
                        order[item] = j
                        item += 1
                every = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - weights)
                position[piece], unit[piece] = p, u
                masks[piece] = every << np.uint64(lane)
                ends[piece] = item
                piece += 1
            opened[line] = j


@njit(cache=True)
def _parse(
    words: Words,
    at: Any,
    bits: int,
    index: int,
    code: int,
    value_bits: int,
    menu: NDArray[np.int64],
    axis: int,
    lanes: int,
    is_row_mode: bool,
    indptr: NDArray[np.int32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Read index and code of every vector, step over the weights; fills `starts`, `lengths`.

    Returns what is wrong (0: nothing, 1: too short, 2: code, 3: place), at which bit and vector.
    """
    lines, slots = len(indptr) - 1, -(-axis // lanes)
    positions, units = (slots, lines) if is_row_mode else (lines, slots)
    # Of each line: the vector that is open, the next of its entries, and where it ends.
    opened, reached, stop = indptr[:-1].copy(), np.zeros(lines, np.int64), np.zeros(lines, np.int64)
    for p in range(positions if len(starts) else 0):
        for u in range(units):
            line, slot = (u, p) if is_row_mode else (p, u)
            j, is_next = opened[line], slot == 0
            while j < indptr[line + 1]:
                if is_next:
                    if at + index + code > bits:
                        return 1, at, j
                    starts[j] = _field(words, at, index) * menu[0]
                    length_code = _field(words, at + index, code)
                    if length_code >= len(menu):
                        return 2, at + index, j
                    lengths[j] = menu[length_code]
                    is_behind = starts[j] >= stop[line]
                    if not is_behind or starts[j] >= axis or starts[j] % lengths[j]:
                        return 3, at, j
                    at += index + code
                    reached[line], stop[line] = starts[j], min(starts[j] + lengths[j], axis)
                    is_next = False
                weights = min(stop[line], (slot + 1) * lanes) - reached[line]
                if weights <= 0:
                    break
                if at + weights * value_bits > bits:
                    return 1, at, j
                at += weights * value_bits
                reached[line] += weights
                if reached[line] == stop[line]:
                    j += 1
                    is_next = True
            opened[line] = j
    return 0, at, 0


@njit(cache=True)
def _field(words: Words, at: int, width: int) -> Any:
    if width == 0:
        return 0
    word, shift = at >> 6, at & 63
    field = words[word] >> np.uint64(shift)
    if shift + width > 64:
        field |= words[word + 1] << np.uint64(64 - shift)
    return np.int64(field & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)))
