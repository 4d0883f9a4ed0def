"""Mixed-length vectors: one index and one length code for many weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.kept_values import BAND, COLUMNS, take_by_column
from sparse_formats.formats.parts.pointers import read_pointers
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.bit_words import Words, prefetch, words_by_column, words_by_row
from sparse_formats.masks.decompose import cut
from sparse_formats.masks.vectors import MENU, Orientation, VectorLayout, check_vectors
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class MixedVectors(SparseMatrix):
    """Vectors line by line, ascending starts, and their weights one behind the other.

    vectors: orientation, and line, start and nominal length of each vector.
    indptr: int32 (lines + 1): line i holds the vectors indptr[i] … indptr[i + 1] − 1.
    offsets: int32 (vectors + 1): vector j holds the weights offsets[j] … offsets[j + 1] − 1.
    data: the weights in this order (nnz), None if encoded without.
    Stream: orientation (1 = vertical), pointers, indices, length codes, values. Descriptor:
    vectors (how many) and lengths (those present, ascending).
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

    @property
    def lengths(self) -> tuple[int, ...]:
        """The nominal lengths present, ascending."""
        return distinct_lengths(self.vectors.lengths)

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
        shape, by_row = (keep.shape[0], keep.shape[1]), words_by_row(keep)
        if vectors is None:
            found = cut(by_row, shape[1], np.array(MENU, np.int32))
            vectors, words = found.vectors, found.words
            indptr, offsets = found.indptr, found.offsets
        else:
            vertical = vectors.orientation == "vertical"
            words = words_by_column(by_row, shape[1]) if vertical else by_row
            is_sound, indptr, offsets = _pointers(vectors, shape)
            # As many as are kept, and all of them kept: then none is missing.
            if not (
                is_sound
                and int(offsets[-1]) == int(np.bitwise_count(words).sum())
                and _are_kept(indptr, vectors.starts, offsets, words)
            ):
                # The slow way knows what is wrong, and says it.
                check_vectors(vectors, keep, "mixed-length vectors")
                raise AssertionError("vectors that are sound were taken for others")
        if weight is None:
            return cls(shape, vectors, indptr, offsets, None)
        # The weights of vertical vectors stand as in CSC.
        if vectors.orientation == "vertical":
            data = take_by_column(words, offsets[indptr], weight)
        else:
            data = _take_rows(vectors, offsets, weight)
        return cls(shape, vectors, indptr, offsets, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        has_data = self.data is not None
        data = np.empty(0, np.uint8) if self.data is None else self.data
        weight = np.zeros(self.shape if has_data else (0, 0), data.dtype)
        arrays = (self.indptr, self.vectors.starts, self.offsets)
        bits = (bit_view(np.ascontiguousarray(data)), keep, bit_view(weight))
        if self.vectors.orientation == "horizontal":
            _spread_rows(*arrays, *bits, has_data)
        else:
            _spread_columns(*arrays, *bits, has_data)
        return keep, weight if has_data else None

    def storage(self, value_bits: int) -> Storage:
        """nnz·v + vectors·(index + code) + (lines + 1)·⌈log2(vectors + 1)⌉ + 1 bits.

        An index counts the line's entries in steps of the shortest length present; a code tells
        the lengths present apart; the last bit, counted with the indices, is the orientation.
        """
        count = len(self.vectors)
        index, code = field_widths(self.axis, self.lengths)
        return Storage(
            values=self.nnz * value_bits,
            indices=count * (index + code) + 1,
            pointers=len(self.indptr) * bits_for(count + 1),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"vectors": len(self.vectors), "lengths": self.lengths}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        lengths, layout = self.lengths, self.vectors
        index, code = field_widths(self.axis, lengths)
        return [
            Section(np.array([layout.orientation == "vertical"]), 1),
            Section(self.indptr, bits_for(len(layout) + 1)),
            Section(layout.starts // np.int32(min(lengths, default=1)), index),
            Section(length_codes(lengths)[layout.lengths], code),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        reader = BitReader(data, "mixed_vectors")
        header = read_header(reader, descriptor)
        lengths, axis, count = header.lengths, header.axis, int(header.indptr[-1])
        index, code = field_widths(axis, lengths)
        start = reader.at
        starts = reader.read("indices", count, index, np.int64) * min(lengths, default=1)
        codes = reader.read("length codes", count, code, np.int64)
        first_code = start + count * index
        if count and codes.max() >= len(lengths):
            i = int(np.argmax(codes >= len(lengths)))
            raise reader.fail(
                first_code + i * code, f"length code {codes[i]} is outside 0..{len(lengths) - 1}"
            )
        if len(np.unique(codes)) != len(lengths):
            raise reader.fail(first_code, f"not all of the lengths {list(lengths)} occur")
        nominal = np.array(lengths or [1], np.int64)[codes]
        lines = header.lines()
        _check_places(reader, start, index, lines, starts, nominal, axis)
        layout = VectorLayout(
            header.orientation, lines, starts.astype(np.int32), nominal.astype(np.int32)
        )
        indptr, offsets = pointers_of(layout, descriptor.shape)
        weights = read_values(reader, int(offsets[-1]), descriptor.value_type)
        reader.finish()
        return cls(descriptor.shape, layout, indptr, offsets, weights)


def distinct_lengths(lengths: NDArray[np.int32]) -> tuple[int, ...]:
    """The different `lengths`, ascending."""
    found = np.zeros(_MOST_LENGTHS, np.int32)
    count = int(_collect(lengths, found))
    # More than can divide each other: an ill-formed layout, which may be slow.
    every = np.unique(lengths) if count > len(found) else np.sort(found[:count])
    return tuple(every.tolist())


def field_widths(axis: int, lengths: tuple[int, ...]) -> tuple[int, int]:
    """Bits of an index and of a length code; lengths: those present, ascending."""
    if not lengths:
        return 0, 0
    return bits_for(-(-axis // lengths[0])), bits_for(len(lengths))


def length_codes(lengths: tuple[int, ...]) -> NDArray[np.uint8]:
    """Item l: the code of length l, its place among the `lengths` present."""
    codes = np.zeros(max(lengths, default=0) + 1, np.uint8)
    codes[list(lengths)] = range(len(lengths))
    return codes


@dataclass(frozen=True, eq=False)
class Header:
    """What stands before the vectors, and what it means for this shape.

    lengths: those present, ascending. axis: entries on a line. indptr: int32 (lines + 1).
    """

    orientation: Orientation
    lengths: tuple[int, ...]
    axis: int
    indptr: NDArray[np.int32]

    def lines(self) -> NDArray[np.int32]:
        """The line of each vector."""
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int32), np.diff(self.indptr))


def read_header(reader: BitReader, descriptor: Descriptor) -> Header:
    """Orientation and pointers, the beginning of a stream.

    Raises:
        InputError: the pointers do not rise to the number of vectors, or a line has more of them
            than places; the descriptor's lengths do not divide each other.
    """
    rows, cols = descriptor.shape
    count = descriptor.number("vectors", 0, min(rows * cols, MOST_LINES))
    lengths = _told_lengths(descriptor, count)
    is_vertical = reader.read("orientation", 1, 1, np.uint8)[0]
    line_count, axis = (cols, rows) if is_vertical else (rows, cols)
    start = reader.at
    indptr = read_pointers(reader, line_count, count)
    places = -(-axis // min(lengths, default=1))
    # Else a few bytes could ask for any number of vectors whose fields have no bits.
    crowded = np.diff(indptr) > places
    if crowded.any():
        line = int(np.argmax(crowded))
        raise reader.fail(
            start + (line + 1) * bits_for(count + 1),
            f"line {line} has {indptr[line + 1] - indptr[line]} vectors on {places} places",
        )
    return Header("vertical" if is_vertical else "horizontal", lengths, axis, indptr)


def _told_lengths(descriptor: Descriptor, count: int) -> tuple[int, ...]:
    lengths = tuple(descriptor.parameters.get("lengths", ()))
    fit = all(isinstance(n, int) and 1 <= n <= MOST_LINES for n in lengths)
    if (
        not fit
        or any(b <= a or b % a for a, b in pairwise(lengths))
        or (count > 0) != bool(lengths)
    ):
        raise InputError(
            f"descriptor: lengths are {list(lengths)} for {count} vectors; give those present, "
            "ascending, each dividing the next, as `descriptor()` of the encoded matrix does"
        )
    return lengths


def _check_places(
    reader: BitReader,
    start: int,
    width: int,
    lines: NDArray[np.int32],
    starts: NDArray[np.int64],
    nominal: NDArray[np.int64],
    axis: int,
) -> None:
    """InputError unless the vectors lie on their lines, aligned, ascending and apart."""
    ends = np.minimum(starts + nominal, axis)
    wrong = (starts >= axis) | (starts % nominal != 0)
    wrong[1:] |= (lines[1:] == lines[:-1]) & (starts[1:] < ends[:-1])
    if wrong.any():
        i = int(np.argmax(wrong))
        raise reader.fail(
            start + i * width,
            f"vector {i} of length {nominal[i]} starts at {starts[i]} of {axis} entries: outside "
            "its line, unaligned, or on top of the vector before it",
        )


def pointers_of(
    vectors: VectorLayout, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`indptr` and `offsets` of sound `vectors`."""
    _, indptr, offsets = _pointers(vectors, shape)
    return indptr, offsets


def _pointers(
    vectors: VectorLayout, shape: tuple[int, int]
) -> tuple[bool, NDArray[np.int32], NDArray[np.int32]]:
    """Are the vectors well-formed? Their `indptr` and `offsets`, without meaning if not."""
    line_count, axis = shape if vectors.orientation == "horizontal" else shape[::-1]
    indptr, offsets = np.zeros(line_count + 1, np.int32), np.zeros(len(vectors) + 1, np.int32)
    arrays = (vectors.lines, vectors.starts, vectors.lengths)
    is_sound = (
        all(a.ndim == 1 and a.dtype == np.int32 and len(a) == len(vectors) for a in arrays)
        and bool(_survey(*arrays, axis, indptr, offsets))
        and all(long % short == 0 for short, long in pairwise(distinct_lengths(vectors.lengths)))
    )
    return is_sound, indptr, offsets


_MOST_LENGTHS = 32
"""Each length divides the next, so an int32 has room for no more different ones."""


@njit(cache=True)
def _collect(lengths: NDArray[np.int32], found: NDArray[np.int32]) -> int:
    # The lengths of the usual menu are only ticked off: no branch that depends on the data.
    is_short = np.zeros(65, np.bool_)
    count = 0
    for length in lengths:
        if 0 <= length <= 64:
            is_short[length] = True
            continue
        i = 0
        while i < count and found[i] != length:
            i += 1
        if i == count:
            if count == len(found):
                return count + 1
            found[count] = length
            count += 1
    for length in range(65):
        if is_short[length]:
            if count == len(found):
                return count + 1
            found[count] = length
            count += 1
    return count


@njit(cache=True)
def _survey(
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    lengths: NDArray[np.int32],
    axis: int,
    indptr: NDArray[np.int32],
    offsets: NDArray[np.int32],
) -> bool:
    """Fill the pointers; False where a vector is off its line, unaligned or not behind the last."""
    total, last_line, last_end = 0, 0, 0
    for j in range(len(lines)):
        line, start, length = np.int64(lines[j]), np.int64(starts[j]), np.int64(lengths[j])
        if line < last_line or line >= len(indptr) - 1 or length < 1:
            return False
        if line > last_line:
            indptr[last_line + 1 : line + 1] = j
        if start < (last_end if line == last_line else 0) or start >= axis:
            return False
        # A division is dear, and nearly all lengths are powers of two.
        if start & (length - 1) if length & (length - 1) == 0 else start % length:
            return False
        last_line, last_end = line, min(start + length, axis)
        total += last_end - start
        if total > MOST_LINES:
            return False
        offsets[j + 1] = total
    indptr[last_line + 1 :] = len(lines)
    return True


_ONE = np.uint64(1)
_EVERY = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True)
def _are_kept(
    indptr: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    words: Words,
) -> bool:
    """Is every entry kept that a vector covers? words: those of the lines."""
    missing = np.uint64(0)
    for line in range(len(indptr) - 1):
        for j in range(indptr[line], indptr[line + 1]):
            start, count = np.int64(starts[j]), np.int64(offsets[j + 1] - offsets[j])
            while count > 0:
                place = start & 63
                covered = min(count, 64 - place)
                ones = _EVERY >> np.uint64(64 - covered) << np.uint64(place)
                missing |= ones & ~words[np.uint64(line), np.uint64(start >> 6)]
                start, count = start + covered, count - covered
    return missing == 0


def _take_rows(
    vectors: VectorLayout, offsets: NDArray[np.int32], weight: NDArray[Any]
) -> NDArray[Any]:
    """The weights of horizontal `vectors`."""
    count = int(offsets[-1])
    data = np.empty(count + _CHUNK, weight.dtype)
    flat = bit_view(np.ascontiguousarray(weight)).reshape(-1)
    _copy_rows(vectors.lines, vectors.starts, offsets, flat, weight.shape[1], bit_view(data))
    return data[:count]


_CHUNK = 8
"""Weights copied in one go. What is copied too much, the next vector overwrites."""

_AHEAD = 16
"""So many vectors before it is copied, a vector's weights are fetched."""


@njit(cache=True)
def _copy_rows(
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    weight: NDArray[Any],
    cols: int,
    data: NDArray[Any],
) -> None:
    # Unsigned: a signed index costs a test for being counted from the end.
    count, across, chunk = len(lines), np.uint64(cols), np.uint64(_CHUNK)
    size = np.uint64(len(weight))
    for j in range(count):
        ahead = min(j + _AHEAD, count - 1)
        prefetch(weight, np.uint64(lines[ahead]) * across + np.uint64(starts[ahead]))
        at = np.uint64(lines[j]) * across + np.uint64(starts[j])
        k, end = np.uint64(offsets[j]), np.uint64(offsets[j + 1])
        while k < end and at + chunk <= size:
            for i in range(_CHUNK):
                data[k + np.uint64(i)] = weight[at + np.uint64(i)]
            k, at = k + chunk, at + chunk
        while k < end:
            data[k] = weight[at]
            k, at = k + _ONE, at + _ONE


@njit(cache=True)
def _spread_rows(
    indptr: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    data: NDArray[Any],
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    has_data: bool,
) -> None:
    for row in range(len(indptr) - 1):
        line = np.uint64(row)
        for j in range(indptr[row], indptr[row + 1]):
            k, end, col = np.uint64(offsets[j]), np.uint64(offsets[j + 1]), np.uint64(starts[j])
            while k < end:
                keep[line, col] = True
                if has_data:
                    weight[line, col] = data[k]
                k += _ONE
                col += _ONE


@njit(cache=True)
def _spread_columns(
    indptr: NDArray[np.int32],
    starts: NDArray[np.int32],
    offsets: NDArray[np.int32],
    data: NDArray[Any],
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    has_data: bool,
) -> None:
    cursor = indptr.copy()
    cols = len(indptr) - 1
    for left in range(0, cols, COLUMNS):
        for band in range(0, keep.shape[0], BAND):
            for col in range(left, min(left + COLUMNS, cols)):
                line = np.uint64(col)
                j, end = cursor[col], indptr[col + 1]
                while j < end and starts[j] < band + BAND:
                    k, last, row = (
                        np.uint64(offsets[j]),
                        np.uint64(offsets[j + 1]),
                        np.uint64(starts[j]),
                    )
                    while k < last:
                        keep[row, line] = True
                        if has_data:
                            weight[row, line] = data[k]
                        k += _ONE
                        row += _ONE
                    j += 1
                cursor[col] = j
