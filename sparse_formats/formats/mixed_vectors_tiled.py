"""Mixed-length vectors with an orientation for each 64×64 tile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import (
    BitReader,
    Section,
    flags,
    read_flags,
    read_values,
)
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.bit_words import Words, set_bits, trailing_zeros, turn_block, words_by_row
from sparse_formats.masks.decompose import length_at, offered, vector_starts
from sparse_formats.masks.vectors import MENU, TILE
from sparse_formats.storage import Storage

_MENU = np.array(sorted({1, *MENU}), np.int32)


@dataclass(frozen=True, eq=False)
class MixedVectorsTiled(SparseMatrix):
    """Each tile a small matrix of mixed-length vectors of its own; tiles row by row.

    Tiles at the right and lower edge are smaller. Each is cut by `decompose` in the orientation
    that needs fewer vectors, ties horizontal.
    vertical: bool (tiles). first_vectors, first_values: int64 (tiles + 1).
    lines, starts, lengths: uint8, one item a vector, within its tile. data: tile by tile, vector
    by vector (nnz), None if encoded without.
    Stream: an orientation bit a tile, then the pointers of all tiles, the indices, the length
    codes, the values. Descriptor, a table a tile: vectors (int32) and lengths (uint8: bit i is set
    when length i of the menu is present). The formula does not charge for this table; in the stream
    it would take 13 + 6 bits a tile.
    """

    shape: tuple[int, int]
    vertical: NDArray[np.bool_]
    first_vectors: NDArray[np.int64]
    first_values: NDArray[np.int64]
    lines: NDArray[np.uint8]
    starts: NDArray[np.uint8]
    lengths: NDArray[np.uint8]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(self.first_values[-1])

    @classmethod
    def encode(cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape."""
        rows, cols = keep.shape
        words = words_by_row(keep)
        nnz = int(np.bitwise_count(words).sum(dtype=np.int64))
        tiles = -(-rows // TILE) * words.shape[1]
        vertical = np.zeros(tiles, np.bool_)
        first_vectors, first_values = np.zeros((2, tiles + 1), np.int64)
        # A vector keeps at least one weight, so there are no more of them.
        lines, starts, lengths = np.empty((3, nnz), np.uint8)
        data = None if weight is None else np.empty(nnz, weight.dtype)
        _encode(
            words,
            cols,
            offered(_MENU),
            _NONE if weight is None else bit_view(np.ascontiguousarray(weight)),
            weight is not None,
            vertical,
            first_vectors,
            first_values,
            lines,
            starts,
            lengths,
            _NONE[0] if data is None else bit_view(data),
        )
        count = int(first_vectors[-1])
        cut = (lines[:count].copy(), starts[:count].copy(), lengths[:count].copy())
        return cls((rows, cols), vertical, first_vectors, first_values, *cut, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        data = self.data
        weight = np.zeros((1, 1) if data is None else self.shape, _dtype(data))
        _spread(
            self.vertical,
            self.first_vectors,
            self.lines,
            self.starts,
            self.lengths,
            _NONE[0] if data is None else bit_view(np.ascontiguousarray(data)),
            data is not None,
            keep,
            bit_view(weight),
        )
        return keep, None if data is None else weight

    def storage(self, value_bits: int) -> Storage:
        """The sum of `MixedVectors.storage` of the tiles: one orientation bit each included.

        Source: docs/microarchitecture.md §3.
        """
        widths = self._widths(self._present())
        counts = np.diff(self.first_vectors)
        return Storage(
            values=self.nnz * value_bits,
            indices=int((counts * (widths.index + widths.code)).sum()) + len(counts),
            pointers=int(((widths.line_count + 1) * widths.pointer).sum()),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {
            "vectors": np.diff(self.first_vectors).astype(np.int32),
            "lengths": self._present(),
        }

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        present = self._present()
        widths, tile = self._widths(present), self._tile_of_vectors()
        pointers = _pointers(self.first_vectors, self.lines, widths.line_count)
        code_of = np.searchsorted(_MENU, self.lengths)
        below = present[tile] & ((1 << code_of) - 1).astype(np.uint8)
        return [
            *flags(self.vertical),
            Section(pointers, np.repeat(widths.pointer, widths.line_count + 1)),
            Section(self.starts // widths.shortest[tile], widths.index[tile]),
            Section(np.bitwise_count(below), widths.code[tile]),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        tiles = -(-rows // TILE) * -(-cols // TILE)
        counts, present = _told_tables(descriptor, tiles)
        reader = BitReader(data, "mixed_vectors_tiled")
        vertical = read_flags(reader, "orientations", tiles)
        widths = _widths((rows, cols), vertical, counts, present)
        start = reader.at
        each = np.repeat(widths.pointer, widths.line_count + 1)
        pointers = reader.read_each("pointers", each, np.int32)
        firsts = np.cumsum(widths.line_count + 1) - (widths.line_count + 1)
        steps = np.diff(pointers, append=0)
        lasts = firsts + widths.line_count
        steps[lasts] = 0
        sound = (pointers[firsts] == 0) & (pointers[lasts] == counts)
        if (steps < 0).any() or not sound.all():
            falls = np.flatnonzero(steps < 0)
            at = int(falls[0]) if len(falls) else int(firsts[np.argmin(sound)])
            raise reader.fail(
                start + int(each[:at].sum(dtype=np.int64)),
                f"pointer {at}: those of a tile must rise from 0 to its number of vectors",
            )
        tile = np.repeat(np.arange(tiles), counts)
        line_in_tile = np.arange(len(pointers)) - np.repeat(firsts, widths.line_count + 1)
        lines = np.repeat(line_in_tile, steps).astype(np.uint8)
        start, index_widths = reader.at, widths.index[tile]
        indices = reader.read_each("indices", index_widths, np.int64)
        starts = indices * widths.shortest[tile]
        code_start = reader.at
        codes = reader.read_each("length codes", widths.code[tile], np.int64)
        lengths, is_told = _lengths_of(codes, present, tile)
        if not is_told.all():
            i = int(np.argmin(is_told))
            at = code_start + int(widths.code[tile][:i].sum(dtype=np.int64))
            raise reader.fail(at, f"length code {codes[i]}, but fewer lengths are present")
        axis = widths.axis[tile]
        ends = np.minimum(starts + lengths, axis)
        wrong = (starts >= axis) | (starts % lengths != 0)
        same = (tile[1:] == tile[:-1]) & (lines[1:] == lines[:-1])
        wrong[1:] |= same & (starts[1:] < ends[:-1])
        if wrong.any():
            i = int(np.argmax(wrong))
            raise reader.fail(
                start + int(index_widths[:i].sum(dtype=np.int64)),
                f"vector {i} of length {lengths[i]} starts at {starts[i]} of {axis[i]} entries: "
                "outside its line, unaligned, or on top of the vector before it",
            )
        first_vectors = np.append(0, np.cumsum(counts)).astype(np.int64)
        covered = np.append(0, np.cumsum(ends - starts))
        first_values = covered[first_vectors]
        weights = read_values(reader, int(covered[-1]), descriptor.value_type)
        reader.finish()
        cut = (lines, starts.astype(np.uint8), lengths.astype(np.uint8))
        matrix = cls((rows, cols), vertical, first_vectors, first_values, *cut, weights)
        if (matrix._present() != present).any():
            raise reader.fail(code_start, "not all lengths that the descriptor lists occur")
        # A tile is cut in one way only: what is kept decides how.
        again = cls.encode(matrix.decode()[0])
        for name in ("vertical", "first_vectors", "lines", "starts", "lengths"):
            mine, right = getattr(matrix, name), getattr(again, name)
            if len(mine) != len(right) or (mine != right).any():
                raise reader.fail(0, "its tiles are not cut into the fewest vectors they can be")
        return matrix

    def _tile_of_vectors(self) -> NDArray[np.int64]:
        counts = np.diff(self.first_vectors)
        return np.repeat(np.arange(len(counts)), counts)

    def _present(self) -> NDArray[np.uint8]:
        """Of each tile: bit i is set when length i of the menu occurs."""
        present = np.zeros(len(self.vertical), np.uint8)
        _mark_present(self.first_vectors, np.searchsorted(_MENU, self.lengths), present)
        return present

    def _widths(self, present: NDArray[np.uint8]) -> "_Widths":
        return _widths(self.shape, self.vertical, np.diff(self.first_vectors), present)


@dataclass(frozen=True, eq=False)
class _Widths:
    """Of each tile: bits of a pointer, an index and a length code, and what they follow from."""

    line_count: NDArray[np.int64]
    axis: NDArray[np.int64]
    shortest: NDArray[np.uint8]
    pointer: NDArray[np.uint8]
    index: NDArray[np.uint8]
    code: NDArray[np.uint8]


_BITS_FOR = np.array([0] + [(n - 1).bit_length() for n in range(1, TILE * TILE + 2)], np.uint8)


def _widths(
    shape: tuple[int, int],
    vertical: NDArray[np.bool_],
    counts: NDArray[Any],
    present: NDArray[np.uint8],
) -> _Widths:
    rows, cols = shape
    down, across = -(-rows // TILE), -(-cols // TILE)
    heights = np.repeat(np.minimum(TILE, rows - TILE * np.arange(down)), across)
    widths = np.tile(np.minimum(TILE, cols - TILE * np.arange(across)), down)
    line_count = np.where(vertical, widths, heights)
    axis = np.where(vertical, heights, widths)
    # The lowest bit set is the shortest length; a tile without vectors has no index to count.
    lowest = np.bitwise_count((present & -present.astype(np.int16)) - 1 & 0xFF) % 8
    shortest = _MENU[np.where(present > 0, lowest, 0)].astype(np.uint8)
    is_used = np.asarray(counts) > 0
    return _Widths(
        line_count,
        axis,
        shortest,
        _BITS_FOR[np.asarray(counts) + 1],
        np.where(is_used, _BITS_FOR[-(-axis // shortest)], 0).astype(np.uint8),
        _BITS_FOR[np.bitwise_count(present)],
    )


def _told_tables(descriptor: Descriptor, tiles: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    counts = np.asarray(descriptor.parameters.get("vectors"))
    present = np.asarray(descriptor.parameters.get("lengths"))
    sound = counts.shape == present.shape == (tiles,)
    sound = sound and counts.dtype == np.int32 and present.dtype == np.uint8
    if (
        not sound
        or (
            (counts < 0)
            | (counts > TILE**2)
            | (present >> len(_MENU) > 0)
            | ((counts > 0) != (present > 0))
        ).any()
    ):
        raise InputError(
            f"descriptor: vectors (int32) and lengths (uint8) must give the number of vectors and "
            f"the lengths of each of the {tiles} tiles, as `descriptor()` does"
        )
    return counts, present


def _lengths_of(
    codes: NDArray[np.int64], present: NDArray[np.uint8], tile: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The length that each code stands for in its tile, and whether there is one."""
    # table[p, c]: place in the menu of the c-th length present, for every set p of lengths.
    table = np.full((1 << len(_MENU), len(_MENU) + 2), -1, np.int8)
    for p in range(1 << len(_MENU)):
        places = [i for i in range(len(_MENU)) if p >> i & 1]
        table[p, : len(places)] = places
    place = table[present[tile], np.minimum(codes, len(_MENU))]
    return _MENU[place].astype(np.int64), place >= 0


def _dtype(data: NDArray[Any] | None) -> Any:
    return np.uint8 if data is None else data.dtype


def _pointers(
    first_vectors: NDArray[np.int64], lines: NDArray[np.uint8], line_count: NDArray[np.int64]
) -> NDArray[np.int32]:
    """The pointers of all tiles, one behind the other: lines + 1 of each."""
    pointers = np.zeros(int((line_count + 1).sum()), np.int32)
    _fill_pointers(first_vectors, lines, line_count, pointers)
    return pointers


_NONE = np.zeros((1, 1), np.uint8)


@njit(cache=True)
def _fill_pointers(
    first_vectors: NDArray[np.int64],
    lines: NDArray[np.uint8],
    line_count: NDArray[np.int64],
    pointers: NDArray[np.int32],
) -> None:
    base = 0
    for tile in range(len(line_count)):
        for j in range(first_vectors[tile], first_vectors[tile + 1]):
            pointers[base + lines[j] + 1] += 1
        for line in range(line_count[tile]):
            pointers[base + line + 1] += pointers[base + line]
        base += line_count[tile] + 1


@njit(cache=True)
def _mark_present(
    first_vectors: NDArray[np.int64], places: NDArray[np.int64], present: NDArray[np.uint8]
) -> None:
    for tile in range(len(present)):
        for j in range(first_vectors[tile], first_vectors[tile + 1]):
            present[tile] |= np.uint8(1 << places[j])


@njit(cache=True)
def _encode(
    words: Words,
    cols: int,
    on_offer: Words,
    weight: NDArray[Any],
    has_data: bool,
    vertical: NDArray[np.bool_],
    first_vectors: NDArray[np.int64],
    first_values: NDArray[np.int64],
    lines: NDArray[np.uint8],
    starts: NDArray[np.uint8],
    lengths: NDArray[np.uint8],
    data: NDArray[Any],
) -> None:
    rows, across = words.shape
    by_row, by_column = np.empty(64, np.uint64), np.empty(64, np.uint64)
    j, k = 0, 0
    for tile in range(len(vertical)):
        row0, col0 = tile // across * 64, tile % across * 64
        height, width = min(64, rows - row0), min(64, cols - col0)
        for i in range(64):
            by_row[i] = words[row0 + i, tile % across] if i < height else np.uint64(0)
            by_column[i] = by_row[i]
        turn_block(by_column)
        rows_need, columns_need = 0, 0
        for i in range(64):
            rows_need += set_bits(vector_starts(by_row[i], width, on_offer)[0])
            columns_need += set_bits(vector_starts(by_column[i], height, on_offer)[0])
        turned = columns_need < rows_need
        vertical[tile] = turned
        by_line, axis = (by_column, height) if turned else (by_row, width)
        for i in range(64):
            left, bit0, bit1, bit2 = vector_starts(by_line[i], axis, on_offer)
            while left:
                place = trailing_zeros(left)
                left &= left - np.uint64(1)
                length = length_at(place, bit0, bit1, bit2)
                lines[j], starts[j], lengths[j] = i, place, length
                j += 1
                if not has_data:
                    k += min(length, axis - place)
                    continue
                for at in range(place, min(place + length, axis)):
                    if turned:
                        data[k] = weight[row0 + at, col0 + i]
                    else:
                        data[k] = weight[row0 + i, col0 + at]
                    k += 1
        first_vectors[tile + 1] = j
        first_values[tile + 1] = k


@njit(cache=True)
def _spread(
    vertical: NDArray[np.bool_],
    first_vectors: NDArray[np.int64],
    lines: NDArray[np.uint8],
    starts: NDArray[np.uint8],
    lengths: NDArray[np.uint8],
    data: NDArray[Any],
    has_data: bool,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    rows, cols = keep.shape
    across = -(-cols // 64)
    k = 0
    for tile in range(len(vertical)):
        row0, col0 = tile // across * 64, tile % across * 64
        turned = vertical[tile]
        axis = min(64, rows - row0) if turned else min(64, cols - col0)
        for j in range(first_vectors[tile], first_vectors[tile + 1]):
            for at in range(starts[j], min(np.int64(starts[j]) + lengths[j], axis)):
                row = row0 + (at if turned else lines[j])
                col = col0 + (lines[j] if turned else at)
                keep[row, col] = True
                if has_data:
                    weight[row, col] = data[k]
                k += 1
