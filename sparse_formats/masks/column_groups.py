"""Column combining: columns that share one column of cells, where each row keeps one of a group.

Source: Kung, McDanel, Zhang, ASPLOS 2019: columns, densest first, each go to the group that gets
densest, among those of fewer than α columns whose conflicts stay below γ in a row on average.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def group_columns(
    keep: NDArray[np.bool_], most: int, conflicts: float | None = None
) -> NDArray[np.int64]:
    """The group of each column of a bool mask (rows, cols), int64 (cols,); −1 for an empty one.

    most: columns of a group, α. conflicts: γ, mean weights of a row of a group that are one too
    many; None for any number. Ties go to the lower column and the older group.
    """
    rows, cols = keep.shape
    kept = np.count_nonzero(keep, axis=0)
    order = np.argsort(-kept, kind="stable")[: np.count_nonzero(kept)]
    groups = np.full(cols, -1, np.int64)
    limit = rows * cols if conflicts is None else int(conflicts * rows)
    _group(np.ascontiguousarray(keep.T), order, most, limit, groups)
    return groups


def keep_largest(
    scores: NDArray[Any], keep: NDArray[np.bool_], groups: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Of the kept weights of each row and group the one with the largest score; ties: the first."""
    row, col = np.nonzero(keep)
    order = np.lexsort((col, -scores[row, col], groups[col], row))
    row, col = row[order], col[order]
    is_first = np.ones(len(row), np.bool_)
    is_first[1:] = (row[1:] != row[:-1]) | (groups[col[1:]] != groups[col[:-1]])
    found = np.zeros_like(keep)
    found[row[is_first], col[is_first]] = True
    return found


@njit(cache=True, nogil=True)
def _group(by_column: Any, order: Any, most: int, limit: int, groups: Any) -> None:
    count, rows = len(order), by_column.shape[1]
    taken = np.zeros((count, rows), np.bool_)
    filled, conflicts = np.zeros(count, np.int64), np.zeros(count, np.int64)
    members = np.zeros(count, np.int64)
    opened = 0
    for column in order:
        best, best_filled, best_meets = opened, -1, 0
        for group in range(opened):
            if members[group] == most:
                continue
            fresh = meets = 0
            for row in range(rows):
                if by_column[column, row]:
                    if taken[group, row]:
                        meets += 1
                    else:
                        fresh += 1
            allowed = conflicts[group] + meets <= limit
            if allowed and filled[group] + fresh > best_filled:
                best, best_filled, best_meets = group, filled[group] + fresh, meets
        if best == opened:
            opened += 1
        groups[column] = best
        members[best] += 1
        conflicts[best] += best_meets
        for row in range(rows):
            if by_column[column, row] and not taken[best, row]:
                taken[best, row] = True
                filled[best] += 1
