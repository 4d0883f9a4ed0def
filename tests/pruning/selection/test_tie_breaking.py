"""Do equal scores leave every part of a matrix its share?"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.direction.strength import direction_strength
from pruning.selection.tie_breaking import best_first, some_of, told_apart
from pruning.selection.weights import top_mask
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from tests.tiers import slow

Masks = Callable[..., list[MaskedMatrix]]

SHAPE = (512, 256)


def tied_scores(ones: float, matrices: int = 2) -> list[NDArray[np.float32]]:
    """0/1 scores, each 1 with probability `ones`, so that nothing distinguishes any place."""
    rng = np.random.default_rng(0)
    return [(rng.random(SHAPE) < ones).astype(np.float32) for _ in range(matrices)]


def quarters(keep: NDArray[np.bool_]) -> list[float]:
    """Densities of the four quarters of rows, then of columns."""
    return [float(part.mean()) for axis in (0, 1) for part in np.array_split(keep, 4, axis)]


def vectors_of(mask: MaskedMatrix) -> VectorLayout:
    assert mask.vectors is not None
    return mask.vectors


def assert_even(keep: NDArray[np.bool_], unit: float = 1.0) -> None:
    """Every quarter as dense as the whole, within five deviations of choosing `unit` at a time."""
    density = float(keep.mean())
    deviation = math.sqrt(density * (1 - density) * unit / (keep.size / 4))
    assert quarters(keep) == pytest.approx([density] * 8, abs=5 * deviation)


@pytest.mark.parametrize("budget", ["matrix", "global"])
@pytest.mark.parametrize("sparsity", [0.9, *slow(0.5, 0.72, 0.97)])
@pytest.mark.parametrize("ones", [0.3, 1.0])
def test_ties_favour_no_part_of_a_fine_grained_mask(
    masks_of_scores: Masks, ones: float, sparsity: float, budget: str
) -> None:
    for mask in masks_of_scores(tied_scores(ones), "fine", sparsity, budget=budget):
        assert_even(mask.keep)


@pytest.mark.parametrize("budget", ["matrix", "global"])
@pytest.mark.parametrize("sparsity", [0.9, *slow(0.5, 0.72, 0.97)])
@pytest.mark.parametrize("ones", [0.3, 1.0])
@pytest.mark.parametrize("algorithm", ["B", "C"])
def test_ties_favour_no_part_of_mixed_vectors(
    masks_of_scores: Masks, algorithm: str, ones: float, sparsity: float, budget: str
) -> None:
    knobs = {"algorithm": algorithm, "budget": budget}
    for mask in masks_of_scores(tied_scores(ones), "mvp", sparsity, **knobs):
        covered = vectors_of(mask).lengths.astype(float)
        assert_even(mask.keep, unit=float((covered**2).sum() / covered.sum()))


def test_ties_make_no_longer_stretches_than_the_vectors_are(masks_of_scores: Masks) -> None:
    # Keeping some chunks of 64 whole and leaving others empty would cohere at length 64.
    (mask,) = masks_of_scores(tied_scores(0.3, 1), "mvp", 0.75)
    layout = vectors_of(mask)
    kappa = direction_strength(mask.keep).coherence(layout.orientation, 64).kappa
    lengths = layout.lengths.astype(float)
    # Of the pairs of bits within 64, those that share a vector; other vectors only keep apart.
    assert kappa is not None
    assert kappa < (lengths * (lengths - 1)).sum() / (63 * lengths.sum())


def test_the_same_ties_are_broken_the_same_way_at_any_scale(masks_of_scores: Masks) -> None:
    (scores,) = tied_scores(0.3, 1)
    assert np.array_equal(top_mask(scores, 9999), top_mask(scores * np.float32(8), 9999))
    both = (scores, scores * np.float32(8))
    one, other = (masks_of_scores([s], "mvp", 0.8)[0].keep for s in both)
    assert np.array_equal(one, other)


def test_matrices_with_other_ties_keep_other_places(masks_of_scores: Masks) -> None:
    # Else the columns that Q, K and V keep by chance would be the same: a direction of the stack.
    one, other = masks_of_scores(tied_scores(0.3), "fine", 0.9)
    both = float((one.keep & other.keep).mean())
    assert both == pytest.approx(0.01, abs=0.002)


def test_unequal_values_keep_their_order() -> None:
    values = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
    order = best_first(values)
    assert values[order].tolist() == [3, 3, 2, 1, 0]
    assert sorted(order.tolist()) == list(range(5))


def test_noise_is_small_and_leaves_zeros() -> None:
    scores = np.array([[0.0, 1.0, 1.0, 2.0]], np.float32)
    noisy = told_apart(scores)
    assert noisy[0, 0] == 0 and noisy[0, 1] != noisy[0, 2]
    assert noisy == pytest.approx(scores, rel=1e-3)


def test_some_of_the_tied_are_all_different() -> None:
    tied = np.array([True, False, True, True, True])
    chosen = some_of(tied, 3)
    assert len(set(chosen.tolist())) == 3 and tied[chosen].all()


def test_ties_beside_distinct_scores_are_broken_one_by_one(masks_of_scores: Masks) -> None:
    # Where vectors cost nothing every weight stands for itself. Above the ties' price all of the
    # distinct scores stay, below it the ties too: a quarter of the target more, too much to
    # exchange line by line, which would keep some lines' ties whole and leave others' out.
    rng = np.random.default_rng(0)
    tied = rng.random((128, 64)) < 0.3
    scores = np.vstack([rng.uniform(2, 3, (64, 128)), np.hstack([tied, np.zeros((128, 64))])])
    target = 64 * 128 + int(tied.sum()) // 2
    settings = {"vector_cost": 0.0}
    (mask,) = masks_of_scores(
        [scores.astype(np.float32)], "mvp", 1 - target / scores.size, **settings
    )
    kept = mask.keep[64:, :64]
    assert mask.keep[:64].all() and not np.any(kept & ~tied)
    shares = (kept.sum(1) / np.maximum(tied.sum(1), 1))[tied.sum(1) >= 8]
    assert len(shares) > 120 and kept.sum() == int(tied.sum()) // 2
    assert np.all((shares > 0) & (shares < 1))
