"""A mask as the lanes of a slot see it: 64-bit words along the lanes (microarchitecture.md §2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from sparse_formats.masks.bit_words import (
    Words,
    set_bits,
    words_by_column,
    words_by_row,
)
from sparse_formats.masks.decompose import decompose_oriented
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation


@dataclass(frozen=True, eq=False)
class Lines:
    """A matrix line by line; a line lies along the lanes: a row in row mode, else a column.

    mode: "horizontal" is row mode, "vertical" column mode; shape: (rows, cols); kept: uint64
    (lines, words), bit i of word w is item 64·w + i of the line; starts: the same, 1 where a vector
    begins, None where an entry is all of a (position, unit); is_dense: everything is kept, the
    stream has values only, and one line stands for all.
    """

    mode: Orientation
    shape: tuple[int, int]
    kept: Words
    starts: Words | None
    nnz: int
    is_dense: bool = False

    @property
    def is_row_mode(self) -> bool:
        return self.mode == "horizontal"

    @property
    def are_tiles_alike(self) -> bool:
        """Whether all tiles of one size hold the same: everything is kept, entry for entry."""
        is_whole = self.starts is None and self.nnz == self.shape[0] * self.shape[1]
        return self.is_dense or is_whole


def lines_of(matrix: MaskedMatrix, mode: Orientation, is_packed: bool) -> Lines:
    """The kept weights of `matrix`, and where vectors begin if entries are not packed."""
    by_row = words_by_row(matrix.keep)
    kept = by_row if mode == "horizontal" else words_by_column(by_row, matrix.shape[1])
    starts = None
    if not is_packed:
        layout = matrix.vectors
        if layout is None or layout.orientation != mode:
            layout = decompose_oriented(matrix.keep, mode)
        begins = np.zeros(matrix.shape if mode == "horizontal" else matrix.shape[::-1], np.bool_)
        begins[layout.lines, layout.starts] = True
        starts = words_by_row(begins)
    return Lines(mode, matrix.shape, kept, starts, matrix.nnz)


def dense_lines(shape: tuple[int, int], mode: Orientation) -> Lines:
    """The all-true matrix of `shape`."""
    length = shape[1] if mode == "horizontal" else shape[0]
    line = words_by_row(np.ones((1, length), np.bool_))
    return Lines(mode, shape, line, None, shape[0] * shape[1], is_dense=True)


def entry_count(lines: Lines, lanes: int, select: int = 1) -> tuple[int, int]:
    """Entries of slots of `lanes` lanes that choose of `select` inputs, where every tile begins at
    a position of the matrix, and how many of them are not full."""
    if lines.is_dense:
        count, length = lines.shape if lines.is_row_mode else lines.shape[::-1]
        return count * -(-length // lanes), count * (length % lanes > 0)
    if select > 1:
        return _selecting_entry_count(lines.kept, lines.is_row_mode, lanes, select)
    starts = lines.kept if lines.starts is None else lines.starts
    return _entry_count(lines.kept, starts, lines.starts is None, lanes)


@njit(cache=True, nogil=True)
def _entry_count(kept: Any, starts: Any, is_packed: bool, lanes: int) -> tuple[int, int]:
    entries = full = 0
    if is_packed and lanes & (lanes - 1) == 0:
        # Each field folded onto its lowest bit: whether it keeps any item, and all of them.
        lowest = np.uint64(0)
        for at in range(0, 64, lanes):
            lowest |= np.uint64(1) << np.uint64(at)
        for line in range(len(kept)):
            for word in kept[line]:
                some, all_ = word, word
                step = 1
                while step < lanes:
                    some |= some >> np.uint64(step)
                    all_ &= all_ >> np.uint64(step)
                    step *= 2
                entries += set_bits(some & lowest)
                full += set_bits(all_ & lowest)
        return entries, entries - full
    for line in range(len(kept)):
        for at in range(0, 64 * kept.shape[1], lanes):
            field = field_of(kept, line, at, lanes)
            if field:
                begin = field_of(starts, line, at, lanes) | np.uint64(1)
                entries += 1 if is_packed else set_bits(field & begin)
                full += set_bits(field) == lanes and (is_packed or field & begin == np.uint64(1))
    return entries, entries - full


@njit(cache=True, nogil=True)
def _selecting_entry_count(
    kept: Any, is_row_mode: bool, lanes: int, select: int
) -> tuple[int, int]:
    """Of lanes that choose: the j-th kept candidates of all lanes of a unit are an entry."""
    entries = full = 0
    lines, words = kept.shape
    of_rank = np.empty(select, np.uint64)  # bit i of of_rank[j]: has lane i more than j weights?
    if lanes & (lanes - 1) == 0 and (lanes * select <= 64 or not is_row_mode):
        # All units of a word at once: a lane's candidates are the same bit of several lines, or
        # stand `lanes` apart in one.
        apart = lanes * select if is_row_mode else lanes
        lowest = np.uint64(0)
        for at in range(0, 64, apart):
            lowest |= np.uint64(1) << np.uint64(at)
        in_unit = np.uint64(0)
        for i in range(lanes):
            in_unit |= lowest << np.uint64(i)
        step = 1 if is_row_mode else select
        for line in range(0, lines, step):
            for w in range(words):
                of_rank[:] = 0
                for c in range(select):
                    if is_row_mode:
                        rest = kept[line, w] >> np.uint64(c * lanes) & in_unit
                    else:
                        rest = kept[line + c, w] if line + c < lines else np.uint64(0)
                    for j in range(c + 1):
                        more = of_rank[j] & rest
                        of_rank[j] |= rest
                        rest = more
                for j in range(select):
                    some = all_ = of_rank[j]
                    if some == 0:
                        break
                    width = 1
                    while width < lanes:
                        some |= some >> np.uint64(width)
                        all_ &= all_ >> np.uint64(width)
                        width *= 2
                    entries += set_bits(some & lowest)
                    full += set_bits(all_ & lowest)
        return entries, entries - full
    across = lanes * select if is_row_mode else lanes
    for line in range(0, lines, 1 if is_row_mode else select):
        for at in range(0, 64 * words, across):
            of_rank[:] = 0
            for c in range(select):
                rest = np.uint64(0)
                if is_row_mode and at + c * lanes < 64 * words:
                    rest = field_of(kept, line, at + c * lanes, lanes)
                elif not is_row_mode and line + c < lines:
                    rest = field_of(kept, line + c, at, lanes)
                for j in range(c + 1):
                    more = of_rank[j] & rest
                    of_rank[j] |= rest
                    rest = more
            for j in range(select):
                entries += of_rank[j] != 0
                full += set_bits(of_rank[j]) == lanes
    return entries, entries - full


@njit(cache=True, nogil=True, inline="always")
def field_of(words: Any, line: int, at: int, width: int) -> Any:
    """`width` ≤ 64 items of a line from item `at`; 0 behind the last word."""
    word, shift = at >> 6, np.uint64(at & 63)
    field = words[line, word] >> shift
    if shift and word + 1 < words.shape[1]:
        field |= words[line, word + 1] << (np.uint64(64) - shift)
    return field & (~np.uint64(0) >> np.uint64(64 - width))
