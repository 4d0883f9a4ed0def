"""Arrays that start at a line of the cache.

A vector that reaches over two lines takes twice as long to read.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE = 64
"""Bytes of a line of the first cache on all processors that we know."""

AHEAD = 512
"""Weights from the one that is multiplied to the one that is asked for, where tokens are few."""


def empty(count: int, dtype: Any) -> NDArray[Any]:
    """An array like `np.empty(count, dtype)` that starts at a line of the cache."""
    dtype = np.dtype(dtype)
    space = np.empty(count * dtype.itemsize + LINE, np.uint8)
    start = -space.ctypes.data % LINE
    return space[start : start + count * dtype.itemsize].view(dtype)


def zeros(count: int, dtype: Any) -> NDArray[Any]:
    """As `empty`, filled with zeros."""
    array = empty(count, dtype)
    array[:] = 0
    return array
