"""Fine-grained pruning: any weight may stay, the most important ones do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.budget import kept_count, unit_mean
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.patterns.ties import some_of
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout

FEW = 64
SAMPLE = 1 << 12
"""Less than one in so many are looked for among the best of a sample so large (chosen)."""


@dataclass(frozen=True)
class FineGrained(Pattern):
    """Any mask at all."""

    fits_rows: ClassVar = True

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Exactly `kept` weights."""
        return [Pruned(keep) for keep in best_weights([t.scores for t in targets], kept)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """None."""
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best weights of any columns."""
        return Local(1, top_mask, (1, 1))


def fine_grained(
    scores: Sequence[NDArray[np.float32]], sparsity: float, budget: str = "matrix"
) -> list[NDArray[np.bool_]]:
    """Keep exactly round((1 − sparsity)·N) weights, of each matrix or of all together.

    scores: importance ≥ 0 per matrix, float32 (out, in). Returns one bool mask a matrix. Among
    equal scores the choice is pseudo-random (see `ties`). With a global budget the scores of each
    matrix are first brought to unit mean.
    """
    if budget == "matrix":
        return [top_mask(s, kept_count(s.size, sparsity)) for s in scores]
    kept = kept_count(sum(s.size for s in scores), sparsity)
    return best_weights([unit_mean(s) for s in scores], kept)


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
