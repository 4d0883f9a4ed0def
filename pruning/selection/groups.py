"""The most important weights of every group of neighbours in a row."""

import numpy as np
from numpy.typing import NDArray

from pruning.selection.tie_breaking import of_groups


def full_groups(shape: tuple[int, ...], kept: int, length: int) -> int:
    """Weights that groups of a matrix keep when full."""
    rows, cols = shape
    return rows * (cols // length * kept + min(kept, cols % length))


def best_of_groups(scores: NDArray[np.float32], kept: int, length: int) -> NDArray[np.bool_]:
    """True at the `kept` best of every `length` neighbours of a row, equals chosen without bias."""
    rows, cols = scores.shape
    groups = -(-cols // length)
    # Behind the end of a row stands what no weight loses against.
    padded = np.full((rows, groups * length), -1, np.float32)
    padded[:, :cols] = scores
    grouped = padded.reshape(rows * groups, length)
    keep = of_groups(grouped, kept).reshape(rows, groups * length)
    return np.ascontiguousarray(keep[:, :cols])


def group_counts(
    keep: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Kept entries of each group, (out, groups), and how many entries a group has (groups,)."""
    starts = np.arange(0, keep.shape[1], length)
    sizes = np.minimum(length, keep.shape[1] - starts)
    if not keep.size:
        return np.zeros((keep.shape[0], len(starts)), np.int64), sizes
    return np.add.reduceat(keep, starts, axis=1, dtype=np.int64), sizes
