"""Limits that the sizes a file claims must keep, however much memory a run may take."""

import math
from collections.abc import Sequence
from pathlib import Path

from sparse_formats.errors import InputError

MAX_DIMENSIONS = 32
"""Of one array; NumPy counts no more in all its versions."""

MAX_ARRAY_BYTES = 2**62
"""What an array may claim at all, so that NumPy can count its bytes in 64 bits."""

MAX_SIDE = 2**24
"""Rows or columns of a matrix; the largest vocabularies stay below a million."""


def bytes_of(path: Path, name: str, shape: Sequence[int], item_bytes: int) -> int:
    """Bytes of an array of `shape`, with items of so many bytes.

    Raises:
        InputError: NumPy could not count them, or the array without its empty dimensions.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise InputError(
            f"{path}: array {name} has {len(shape)} dimensions, at most {MAX_DIMENSIONS} can be "
            "read; the file is damaged"
        )
    # Also where a dimension is 0: the others are multiplied all the same.
    if math.prod(max(n, 1) for n in shape) * item_bytes > MAX_ARRAY_BYTES:
        raise InputError(
            f"{path}: array {name} claims a shape of more than {MAX_ARRAY_BYTES} bytes; "
            "the file is damaged or made to exhaust memory"
        )
    return math.prod(shape) * item_bytes


def check_shape(path: Path, name: str, rows: int, cols: int) -> None:
    """InputError for a number of rows or columns that no matrix has; none at all is fine.

    Each side is bounded by itself: a matrix without entries may claim any other side for nothing.
    """
    if max(rows, cols) > MAX_SIDE:
        raise InputError(
            f"{path}: matrix {name} has shape ({rows}, {cols}); "
            f"a side is at most {MAX_SIDE}; the file is damaged or made to exhaust memory"
        )
    if rows < 0 or cols < 0:
        raise InputError(
            f"{path}: matrix {name} has shape ({rows}, {cols}); "
            "rows and columns are counted from 0; the file is damaged"
        )
