"""Any mask as mixed-length vectors, exactly and without padding.

Two ways that give the same vectors: by 64-bit words for lengths that are powers of two up to 64
(the usual menu), entry by entry for any other menu.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.mask_words import (
    Words,
    set_bits,
    trailing_zeros,
    words_by_column,
    words_by_row,
)
from sparse_formats.vectors import MENU, Orientation, VectorLayout, check_menu


def decompose(keep: NDArray[np.bool_], menu: tuple[int, ...] = MENU) -> VectorLayout:
    """The fewest aligned vectors that make up `keep`, in the better orientation.

    keep: bool, (out, in). menu: lengths on offer, each dividing the next; 1 is always allowed.
    Ties go to horizontal. Linear in the number of entries.

    Raises:
        InputError: the menu's lengths do not divide each other.
    """
    lengths = _shortest_first(menu)
    rows, cols = keep.shape
    if not _fit_words(lengths):
        sides = [decompose_oriented(keep, side, menu) for side in ("horizontal", "vertical")]
        return min(sides, key=len)
    by_row = words_by_row(keep)
    by_column = words_by_column(by_row, cols)
    rows_need = int(count_vectors(by_row, cols, lengths))
    columns_need = int(count_vectors(by_column, rows, lengths))
    if rows_need <= columns_need:
        return _layout("horizontal", by_row, cols, lengths, rows_need)
    return _layout("vertical", by_column, rows, lengths, columns_need)


def decompose_oriented(
    keep: NDArray[np.bool_], orientation: Orientation, menu: tuple[int, ...] = MENU
) -> VectorLayout:
    """As `decompose`, in the orientation given: the maximal kept aligned segments of each line.

    A segment that runs over the end of its line counts as kept when the part on the line is, and
    has the longest length of the menu for which that holds.
    """
    lengths = _shortest_first(menu)
    is_horizontal = orientation == "horizontal"
    rows, cols = keep.shape
    if _fit_words(lengths):
        words = words_by_row(keep)
        words = words if is_horizontal else words_by_column(words, cols)
        axis = cols if is_horizontal else rows
        need = int(count_vectors(words, axis, lengths))
        return _layout(orientation, words, axis, lengths, need)
    by_line = np.ascontiguousarray(keep if is_horizontal else keep.T)
    nothing, longest_first = np.empty(0, np.int32), lengths[::-1]
    count = int(_segments(by_line, longest_first, False, nothing, nothing, nothing))
    lines, starts, nominal = (np.empty(count, np.int32) for _ in range(3))
    _segments(by_line, longest_first, True, lines, starts, nominal)
    return VectorLayout(orientation, lines, starts, nominal)


def _shortest_first(menu: tuple[int, ...]) -> NDArray[np.int32]:
    return np.array(check_menu((1, *menu)), np.int32)


def _fit_words(lengths: NDArray[np.int32]) -> bool:
    return bool(lengths[-1] <= 64 and not (lengths & (lengths - 1)).any())


def _layout(
    orientation: Orientation, words: Words, axis: int, lengths: NDArray[np.int32], count: int
) -> VectorLayout:
    lines, starts, nominal = (np.empty(count, np.int32) for _ in range(3))
    _write_vectors(words, axis, lengths, lines, starts, nominal)
    return VectorLayout(orientation, lines, starts, nominal)


_ALIGNED = np.array([sum(1 << i for i in range(0, 64, 1 << k)) for k in range(7)], np.uint64)
"""Item k: the places of a word that are multiples of 2^k."""


@njit(cache=True)
def vector_starts(word: Any, entries: int, lengths: NDArray[np.int32], full: Words) -> Any:
    """Where the maximal kept aligned segments of 64 entries start: a bit each.

    word: the kept entries, of which `entries` are on the line. full: filled with, for each length,
    the starts of all full segments of that length, maximal or not.
    """
    on_line = np.uint64(0xFFFFFFFFFFFFFFFF)
    if entries < 64:
        on_line = (np.uint64(1) << np.uint64(entries)) - np.uint64(1)
    # What lies beyond the line does not keep a segment from being full.
    run = word | ~on_line
    starts = np.uint64(0)
    length, doublings = 1, 0
    full[0] = run
    for i in range(1, len(lengths)):
        while length < lengths[i]:
            # Neighbours that are both full make one of twice the length, at an even place.
            run &= run >> np.uint64(length)
            length *= 2
            doublings += 1
            run &= _ALIGNED[doublings]
        full[i] = run
        if run == 0:
            full[i + 1 :] = 0
            break
    if len(lengths) == 1 or full[1] == 0:
        return full[0] & on_line
    covered = np.uint64(0)
    for i in range(len(lengths) - 1, -1, -1):
        segments = full[i] & ~covered
        if segments:
            starts |= segments
            width = 1
            while width < lengths[i]:
                segments |= segments << np.uint64(width)
                width *= 2
            covered |= segments
    return starts & on_line


@njit(cache=True)
def count_vectors(words: Words, axis: int, lengths: NDArray[np.int32]) -> int:
    """Maximal kept aligned segments of all lines; `words` of each, `axis` entries on it."""
    full = np.zeros(len(lengths), np.uint64)
    count = 0
    for line in range(words.shape[0]):
        for w in range(words.shape[1]):
            if words[line, w]:
                count += set_bits(vector_starts(words[line, w], axis - w * 64, lengths, full))
    return count


@njit(cache=True)
def _write_vectors(
    words: Words,
    axis: int,
    lengths: NDArray[np.int32],
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    nominal: NDArray[np.int32],
) -> None:
    full = np.zeros(len(lengths), np.uint64)
    k = 0
    for line in range(words.shape[0]):
        for w in range(words.shape[1]):
            if words[line, w] == 0:
                continue
            left = vector_starts(words[line, w], axis - w * 64, lengths, full)
            has_long = len(lengths) > 1 and full[1] != 0
            while left:
                place = trailing_zeros(left)
                left &= left - np.uint64(1)
                lines[k] = line
                starts[k] = w * 64 + place
                code = 0
                if has_long:
                    # A start of a longer full segment starts all shorter ones too.
                    for i in range(1, len(lengths)):
                        code += np.int64(full[i] >> np.uint64(place) & np.uint64(1))
                nominal[k] = lengths[code]
                k += 1


@njit(cache=True)
def _segments(
    by_line: NDArray[np.bool_],
    lengths: NDArray[np.int32],
    write: bool,
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    nominal: NDArray[np.int32],
) -> int:
    # Aligned segments of nested lengths either nest or are disjoint, so the longest one that
    # fits at the first entry not yet covered is the maximal one around it.
    line_count, axis = by_line.shape
    count = 0
    for line in range(line_count):
        start = 0
        while start < axis:
            if not by_line[line, start]:
                start += 1
                continue
            end = start + 1
            while end < axis and by_line[line, end]:
                end += 1
            while start < end:
                for length in lengths:
                    # The cheap question first: most runs are too short for most lengths.
                    if min(start + length, axis) <= end and start % length == 0:
                        if write:
                            lines[count] = line
                            starts[count] = start
                            nominal[count] = length
                        count += 1
                        start = min(start + length, axis)
                        break
    return count
