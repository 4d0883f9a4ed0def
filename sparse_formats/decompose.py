"""Any mask as mixed-length vectors, exactly and without padding."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.vectors import MENU, Orientation, VectorLayout, check_menu


def decompose(keep: NDArray[np.bool_], menu: tuple[int, ...] = MENU) -> VectorLayout:
    """The fewest aligned vectors that make up `keep`, in the better orientation.

    keep: bool, (out, in). menu: lengths on offer, each dividing the next; 1 is always allowed.
    Ties go to horizontal. Linear in the number of entries.

    Raises:
        InputError: the menu's lengths do not divide each other.
    """
    lengths = _longest_first(menu)
    by_row, by_column = _lines(keep, "horizontal"), _lines(keep, "vertical")
    rows_need = _count(by_row, lengths)
    columns_need = _count(by_column, lengths)
    if rows_need <= columns_need:
        return _layout("horizontal", by_row, lengths, rows_need)
    return _layout("vertical", by_column, lengths, columns_need)


def decompose_oriented(
    keep: NDArray[np.bool_], orientation: Orientation, menu: tuple[int, ...] = MENU
) -> VectorLayout:
    """As `decompose`, in the orientation given: the maximal kept aligned segments of each line.

    A segment that runs over the end of its line counts as kept when the part on the line is, and
    has the longest length of the menu for which that holds.
    """
    lengths, by_line = _longest_first(menu), _lines(keep, orientation)
    return _layout(orientation, by_line, lengths, _count(by_line, lengths))


def _longest_first(menu: tuple[int, ...]) -> NDArray[np.int32]:
    return np.array(check_menu((1, *menu))[::-1], np.int32)


def _lines(keep: NDArray[np.bool_], orientation: Orientation) -> NDArray[np.bool_]:
    return np.ascontiguousarray(keep if orientation == "horizontal" else keep.T)


def _count(by_line: NDArray[np.bool_], lengths: NDArray[np.int32]) -> int:
    nothing = np.empty(0, np.int32)
    return int(_segments(by_line, lengths, False, nothing, nothing, nothing))


def _layout(
    orientation: Orientation, by_line: NDArray[np.bool_], lengths: NDArray[np.int32], count: int
) -> VectorLayout:
    lines, starts, nominal = (np.empty(count, np.int32) for _ in range(3))
    _segments(by_line, lengths, True, lines, starts, nominal)
    return VectorLayout(orientation, lines, starts, nominal)


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
