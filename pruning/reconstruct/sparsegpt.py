"""SparseGPT: columns from left to right, each error handed on to the columns behind."""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Local
from pruning.statistics.hessian import damped, inverse_factor

BLOCK = 128
"""Columns updated, and chosen from, at once. Source: SparseGPT's blocksize."""


def sparsegpt(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    keep: NDArray[np.bool_],
    local: Local | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Weights dropped in column i are made up for by those of all columns behind it.

    With `local` the mask is chosen anew, by w²/U_ii² of the weights as they are when their turn
    comes: in blocks of 128 columns with an equal share of the budget each, or in the groups of
    N:M. Without, it stays.

    Source: SparseGPT (Frantar & Alistarh 2023), algorithm 1; H damped by 1 %, dead inputs dropped
    to 0.
    """
    return handed_on(weight, gram, inverse_factor(damped(gram)), keep, local)


def handed_on(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    u: NDArray[np.float64],
    keep: NDArray[np.bool_],
    local: Local | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """As `sparsegpt`; u: the `inverse_factor` of the damped `gram`, for whoever prunes twice."""
    rows, cols = weight.shape
    curvature = 1 / np.square(np.diag(u))
    left = weight.astype(np.float64)
    left[:, np.diag(gram) <= 0] = 0
    found = np.array(keep)
    span, block = _spans(cols, local)
    kept = int(np.count_nonzero(keep))
    for start in range(0, cols, block):
        end = min(start + block, cols)
        errors = np.zeros((rows, end - start))
        for i in range(start, end):
            if local is not None and i % span == 0:
                to = min(i + span, cols)
                share = round(kept * to / cols) - round(kept * i / cols)
                scores = np.square(left[:, i:to]) * curvature[i:to]
                found[:, i:to] = local.choose(scores.astype(np.float32), share)
            errors[:, i - start] = np.where(found[:, i], 0, left[:, i]) / u[i, i]
            left[:, i:end] -= np.multiply.outer(errors[:, i - start], u[i, i:end])
        left[:, end:] -= errors @ u[start:end, end:]
    return found, np.where(found, left, 0)


def _spans(cols: int, local: Local | None) -> tuple[int, int]:
    """Columns of one choice, and columns updated at once: a multiple of it."""
    if local is None:
        return BLOCK, BLOCK
    span = local.columns
    if local.tile is not None:
        span *= max(1, BLOCK // span)
    return span, span * max(1, BLOCK // span)
