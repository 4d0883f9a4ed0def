"""Any mask as mixed-length vectors, exactly and without padding.

Two ways that give the same vectors: by 64-bit words for lengths that are powers of two up to 64
(the usual menu), entry by entry for any other menu.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.masks.bit_words import (
    Words,
    set_bits,
    trailing_zeros,
    words_by_column,
    words_by_row,
)
from sparse_formats.masks.matrix import check_mask
from sparse_formats.masks.vectors import MENU, Orientation, VectorLayout, check_menu


def decompose(keep: NDArray[np.bool_], menu: tuple[int, ...] = MENU) -> VectorLayout:
    """The fewest aligned vectors that make up `keep`, in the better orientation.

    keep: bool, (out, in). menu: lengths on offer, each dividing the next; 1 is always allowed.
    Ties go to horizontal. Linear in the number of entries.

    Raises:
        InputError: `keep` is no mask; the menu's lengths do not divide each other.
    """
    check_mask(keep, "the mask")
    lengths = _shortest_first(menu)
    cols = keep.shape[1]
    if not _fit_words(lengths):
        sides = [decompose_oriented(keep, side, menu) for side in ("horizontal", "vertical")]
        return min(sides, key=len)
    return cut(words_by_row(keep), cols, lengths).vectors


@dataclass(frozen=True, eq=False)
class Cut:
    """Vectors, and what comes to light while they are cut.

    words: those of their lines. indptr: int32 (lines + 1), where each line's vectors begin.
    offsets: int32 (vectors + 1), where each vector's kept entries begin.
    """

    vectors: VectorLayout
    words: Words
    indptr: NDArray[np.int32]
    offsets: NDArray[np.int32]


def cut(by_row: Words, cols: int, lengths: NDArray[np.int32]) -> Cut:
    """As `decompose`, from the words of the rows; lengths: powers of two up to 64, ascending."""
    rows, by_column = len(by_row), words_by_column(by_row, cols)
    on_offer = offered(lengths)
    rows_need = int(count_vectors(by_row, cols, on_offer))
    columns_need = int(count_vectors(by_column, rows, on_offer))
    if rows_need <= columns_need:
        return _cut("horizontal", by_row, cols, on_offer, rows_need)
    return _cut("vertical", by_column, rows, on_offer, columns_need)


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
        on_offer = offered(lengths)
        need = int(count_vectors(words, axis, on_offer))
        return _cut(orientation, words, axis, on_offer, need).vectors
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


def _cut(orientation: Orientation, words: Words, axis: int, on_offer: Words, count: int) -> Cut:
    lines, starts, nominal = (np.empty(count, np.int32) for _ in range(3))
    indptr, offsets = np.empty(len(words) + 1, np.int32), np.empty(count + 1, np.int32)
    _write_vectors(words, axis, on_offer, lines, starts, nominal, indptr, offsets)
    return Cut(VectorLayout(orientation, lines, starts, nominal), words, indptr, offsets)


def offered(lengths: NDArray[np.int32]) -> Words:
    """Item k: all ones if 2^k is among `lengths` (powers of two up to 64), else 0."""
    masks = np.zeros(7, np.uint64)
    masks[[int(length).bit_length() - 1 for length in lengths]] = np.uint64(0xFFFFFFFFFFFFFFFF)
    return masks


_EVERY = np.uint64(0xFFFFFFFFFFFFFFFF)
_ALIGNED = tuple(np.uint64(sum(1 << i for i in range(0, 64, 1 << k))) for k in range(7))
"""Item k: the places of a word that are multiples of 2^k."""


@njit(cache=True)
def vector_starts(word: Any, entries: int, on_offer: Words) -> tuple[Any, Any, Any, Any]:
    """Where the maximal kept aligned segments of 64 entries start, and how long they are.

    word: the kept entries, of which `entries` are on the line. Four words: a bit a start; then,
    at the same places, bits 0, 1 and 2 of the length's logarithm. No branch depends on the mask.
    """
    # What lies beyond the line does not keep a segment from being full.
    on_line = _EVERY if entries >= 64 else (np.uint64(1) << np.uint64(entries)) - np.uint64(1)
    run1 = word | ~on_line
    # Neighbours that are both full make one of twice the length, at an even place.
    run2 = run1 & run1 >> np.uint64(1) & _ALIGNED[1]
    run4 = run2 & run2 >> np.uint64(2) & _ALIGNED[2]
    run8 = run4 & run4 >> np.uint64(4) & _ALIGNED[3]
    run16 = run8 & run8 >> np.uint64(8) & _ALIGNED[4]
    run32 = run16 & run16 >> np.uint64(16) & _ALIGNED[5]
    by64 = run32 & run32 >> np.uint64(32) & _ALIGNED[6] & on_offer[6]
    # Longest first. A product that fills each segment with ones: they do not touch, so no carry.
    free = ~(by64 * _EVERY)
    by32 = run32 & on_offer[5] & free
    free &= ~(by32 * np.uint64(0xFFFFFFFF))
    by16 = run16 & on_offer[4] & free
    free &= ~(by16 * np.uint64(0xFFFF))
    by8 = run8 & on_offer[3] & free
    free &= ~(by8 * np.uint64(0xFF))
    by4 = run4 & on_offer[2] & free
    free &= ~(by4 * np.uint64(0xF))
    by2 = run2 & on_offer[1] & free
    free &= ~(by2 * np.uint64(3))
    by1 = run1 & free
    high = by16 | by32 | by64
    starts = (by1 | by2 | by4 | by8 | high) & on_line
    return starts, by2 | by8 | by32, by4 | by8 | by64, high


@njit(cache=True)
def length_at(place: int, bit0: Any, bit1: Any, bit2: Any) -> Any:
    """The length of the segment that starts at `place`, as told by `vector_starts`."""
    at, one = np.uint64(place), np.uint64(1)
    power = (bit0 >> at & one) | (bit1 >> at & one) << one | (bit2 >> at & one) << np.uint64(2)
    return np.int64(one << power)


@njit(cache=True)
def count_vectors(words: Words, axis: int, on_offer: Words) -> int:
    """Maximal kept aligned segments of all lines; `words` of each, `axis` entries on it."""
    count = 0
    for line in range(words.shape[0]):
        for w in range(words.shape[1]):
            count += set_bits(vector_starts(words[line, w], axis - w * 64, on_offer)[0])
    return count


@njit(cache=True)
def _write_vectors(
    words: Words,
    axis: int,
    on_offer: Words,
    lines: NDArray[np.int32],
    starts: NDArray[np.int32],
    nominal: NDArray[np.int32],
    indptr: NDArray[np.int32],
    offsets: NDArray[np.int32],
) -> None:
    # Line by line: first what each word with vectors in it holds, then a loop over the vectors
    # alone, which takes the next word without a branch: a loop within a loop would mispredict its
    # end at nearly every word.
    width = words.shape[1]
    # One more: behind the last vector of a line the next word is read, but not used.
    firsts, befores = np.zeros(width + 1, np.int64), np.zeros(width + 1, np.int64)
    keeps, lefts, bits0, bits1, bits2 = (
        np.zeros(width + 1, np.uint64),
        np.zeros(width + 1, np.uint64),
        np.zeros(width + 1, np.uint64),
        np.zeros(width + 1, np.uint64),
        np.zeros(width + 1, np.uint64),
    )
    one = np.uint64(1)
    begin, covered = 0, 0
    for line in range(words.shape[0]):
        indptr[line] = begin
        m, end = np.uint64(0), begin
        for w in range(width):
            word = words[line, w]
            left, bit0, bit1, bit2 = vector_starts(word, axis - w * 64, on_offer)
            keeps[m], lefts[m], bits0[m], bits1[m], bits2[m] = word, left, bit0, bit1, bit2
            firsts[m], befores[m] = w * 64, covered
            covered += set_bits(word)
            end += set_bits(left)
            m += one if left else np.uint64(0)
        m, left = np.uint64(0), lefts[0]
        for at in range(begin, end):
            j, place = np.uint64(at), trailing_zeros(left)
            lines[j] = line
            starts[j] = firsts[m] + place
            nominal[j] = length_at(place, bits0[m], bits1[m], bits2[m])
            below = (one << np.uint64(place)) - one
            offsets[j] = befores[m] + set_bits(keeps[m] & below)
            left &= left - one
            following = m + one
            m = m if left else following
            left = left if left else lefts[following]
        begin = end
    indptr[words.shape[0]] = begin
    offsets[begin] = covered


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
