"""Fine-grained pruning: any weight may stay, the most important ones do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.budget import Budget, kept_count, unit_mean
from pruning.patterns.ties import some_of


def fine_grained(
    scores: Sequence[NDArray[np.float32]], sparsity: float, budget: Budget = "matrix"
) -> list[NDArray[np.bool_]]:
    """Keep exactly round((1 − sparsity)·N) weights, of each matrix or of all together.

    scores: importance ≥ 0 per matrix, float32 (out, in). Returns one bool mask a matrix. Among
    equal scores the choice is pseudo-random (see `ties`). With a global budget the scores of each
    matrix are first brought to unit mean.
    """
    if budget == "matrix":
        return [top_mask(s, kept_count(s.size, sparsity)) for s in scores]
    flat = np.concatenate([unit_mean(s).ravel() for s in scores] or [np.empty(0, np.float32)])
    kept = top_mask(flat, kept_count(flat.size, sparsity))
    ends = np.cumsum([s.size for s in scores])
    return [kept[end - s.size : end].reshape(s.shape) for s, end in zip(scores, ends, strict=True)]


def top_mask(scores: NDArray[np.floating], count: int) -> NDArray[np.bool_]:
    """True at the `count` largest scores, equals chosen without bias; shape of `scores`."""
    if count >= scores.size:
        return np.ones(scores.shape, np.bool_)
    if count <= 0:
        return np.zeros(scores.shape, np.bool_)
    flat = scores.ravel()
    threshold = np.partition(flat, flat.size - count)[flat.size - count]
    kept = flat > threshold
    kept[some_of(flat == threshold, count - int(np.count_nonzero(kept)))] = True
    return kept.reshape(scores.shape)
