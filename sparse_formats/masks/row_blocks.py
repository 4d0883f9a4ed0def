"""Rows of a large matrix, some at a time."""

from collections.abc import Iterator

AT_ONCE = 1 << 22
"""Entries of a block: so few that what is computed of them takes little memory."""


def row_blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """The rows of a matrix in blocks of at most `AT_ONCE` entries, or of one row."""
    rows, cols = shape
    step = max(1, AT_ONCE // max(cols, 1))
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))
