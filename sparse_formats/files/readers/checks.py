"""What a file's own numbers must keep to: sizes before memory is given to them, then the values."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

FREE_BYTES = 256 * 10**6
"""Below this many bytes a file may claim what it likes."""

MAX_EXPANSION = 200
"""Above it, at most this many bytes in memory per byte on disk.

A deflated boolean mask of 99 % sparsity reaches about 100; the worst deflate bombs 1,032.
"""

MAX_SIDE = 2**24
"""Rows or columns of a matrix; the largest vocabularies stay below a million."""


def check_claim(path: Path, claimed_bytes: int, what: str) -> None:
    """InputError if `what` would need far more memory than the file at `path` can fill."""
    held = path.stat().st_size
    if claimed_bytes > FREE_BYTES and claimed_bytes > MAX_EXPANSION * held:
        raise InputError(
            f"{path}: {what} claims {claimed_bytes} bytes, the whole file has {held}; "
            "it is damaged or made to exhaust memory; write it again from its source"
        )


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


def check_finite(path: Path, name: str, values: NDArray[np.floating[Any]]) -> None:
    """InputError naming the first NaN or infinity of a 2-D array, by row, then column."""
    finite = np.isfinite(values)
    if not finite.all():
        row, col = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{path}: matrix {name} has {values[row, col]} at row {row}, column {col}; "
            "weights must be finite numbers; repair the checkpoint"
        )


def check_float(where: str, dtype: np.dtype[Any]) -> None:
    """InputError naming `where` unless `dtype` is float16, float32 or float64."""
    if dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"{where} holds {dtype}; convert it to float16, float32 or float64")
