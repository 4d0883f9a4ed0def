"""How many weights stay, and how the scores of different matrices are made comparable."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest

BUDGETS = ("row", "matrix", "kind", "global")
COUNTS = ("weights", "flops", "bits")


def check_sparsity(sparsity: float) -> float:
    """`sparsity`; InputError unless it lies in [0, 1]."""
    if not 0 <= sparsity <= 1:
        raise InputError(
            f"sparsity {sparsity:g}: give the fraction to remove, from 0 to 1, e.g. 0.8"
        )
    return sparsity


def check_budget(
    word: str, known: Sequence[str] = ("matrix", "global"), what: str = "budget"
) -> str:
    """`word`; InputError unless it is one of `known`."""
    if word not in known:
        raise InputError(f"unknown {what} {word!r}{nearest(word, known)}")
    return word


def kept_count(size: int, sparsity: float) -> int:
    """round((1 − sparsity)·size)."""
    return round((1 - sparsity) * size)


def unit_mean(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """`scores` scaled to mean 1 (unchanged if all zero), so that matrices compete on equal terms.

    Source: the normalisation of this project's recipe for scores such as |w|, whose scale differs
    from matrix to matrix for reasons that have nothing to do with importance.
    """
    mean = float(scores.mean(dtype=np.float64)) if scores.size else 0.0
    return scores / np.float32(mean) if mean > 0 else scores
