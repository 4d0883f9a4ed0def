"""An array of a file before it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file says of one array, and how the array is read.

    kind: as of a NumPy dtype, "f" floating point, "i" and "u" integers, "b" booleans; "F" is
    floating point that NumPy has no type for and `read` refuses; others are no numbers.
    read: a fresh array that the caller may write to. item_bytes: of an entry of it. read_keep: the
    mask that the file states beside the values, None where what is not zero is kept.
    """

    kind: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]]
    item_bytes: int
    read_keep: Callable[[], NDArray[np.bool_]] | None = None

    @property
    def axes(self) -> int:
        return len(self.shape)
