"""The most important weights, wherever they are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.selection.tie_breaking import some_of

FEW = 64
SAMPLE = 1 << 12
"""Less than one in so many are looked for among the best of a sample so large (chosen)."""


def best_weights(scores: Sequence[NDArray[np.float32]], kept: int) -> list[NDArray[np.bool_]]:
    """The `kept` largest of all scores together, one mask a matrix."""
    if len(scores) == 1:
        return [top_mask(scores[0], kept)]
    flat = np.concatenate([s.ravel() for s in scores] or [np.empty(0, np.float32)])
    mask = top_mask(flat, kept)
    ends = np.cumsum([s.size for s in scores])
    return [mask[end - s.size : end].reshape(s.shape) for s, end in zip(scores, ends, strict=True)]


def top_mask(scores: NDArray[np.floating], count: int) -> NDArray[np.bool_]:
    """True at the `count` largest scores, equals chosen without bias; shape of `scores`."""
    if count >= scores.size:
        return np.ones(scores.shape, np.bool_)
    if count <= 0:
        return np.zeros(scores.shape, np.bool_)
    flat = scores.ravel()
    threshold = _largest(flat, count)
    kept = flat > threshold
    kept[some_of(flat == threshold, count - int(np.count_nonzero(kept)))] = True
    return kept.reshape(scores.shape)


def _largest(flat: NDArray[np.floating], count: int) -> np.floating:
    """The `count`-th largest, by a sample that tells which are in question where it is of few."""
    near = flat
    if count * FEW <= flat.size and flat.size > SAMPLE:
        sample = flat[:: flat.size // SAMPLE]
        near = flat[flat >= np.partition(sample, -SAMPLE // FEW)[-SAMPLE // FEW]]
    if len(near) < count:
        near = flat
    return np.partition(near, len(near) - count)[len(near) - count]
