"""Do equal scores leave every part of a matrix its share?"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.direction.strength import direction_strength
from pruning.patterns.budget import check_budget
from pruning.patterns.fine_grained import fine_grained, top_mask
from pruning.patterns.mixed_vectors.pattern import mixed_vectors
from pruning.patterns.ties import best_first, some_of, told_apart

SHAPE = (512, 256)


def tied_scores(ones: float, matrices: int = 2) -> list[NDArray[np.float32]]:
    """0/1 scores, each 1 with probability `ones`, so that nothing distinguishes any place."""
    rng = np.random.default_rng(0)
    return [(rng.random(SHAPE) < ones).astype(np.float32) for _ in range(matrices)]


def quarters(keep: NDArray[np.bool_]) -> list[float]:
    """Densities of the four quarters of rows, then of columns."""
    return [float(part.mean()) for axis in (0, 1) for part in np.array_split(keep, 4, axis)]


def assert_even(keep: NDArray[np.bool_], unit: float = 1.0) -> None:
    """Every quarter as dense as the whole, within five deviations of choosing `unit` at a time."""
    density = float(keep.mean())
    deviation = math.sqrt(density * (1 - density) * unit / (keep.size / 4))
    assert quarters(keep) == pytest.approx([density] * 8, abs=5 * deviation)


@pytest.mark.parametrize("budget", ["matrix", "global"])
@pytest.mark.parametrize("sparsity", [0.5, 0.72, 0.9, 0.97])
@pytest.mark.parametrize("ones", [0.3, 1.0])
def test_ties_favour_no_part_of_a_fine_grained_mask(
    ones: float, sparsity: float, budget: str
) -> None:
    for keep in fine_grained(tied_scores(ones), sparsity, check_budget(budget)):
        assert_even(keep)


SLOW_SPARSITIES = [pytest.param(sparsity, marks=pytest.mark.slow) for sparsity in (0.5, 0.97)]


@pytest.mark.parametrize("budget", ["matrix", "global"])
@pytest.mark.parametrize("sparsity", [0.72, 0.9, *SLOW_SPARSITIES])
@pytest.mark.parametrize("ones", [0.3, 1.0])
@pytest.mark.parametrize("algorithm", ["B", "C"])
def test_ties_favour_no_part_of_mixed_vectors(
    algorithm: str, ones: float, sparsity: float, budget: str
) -> None:
    scores = tied_scores(ones)
    for layout in mixed_vectors(scores, sparsity, algorithm=algorithm, budget=budget):
        covered = layout.lengths.astype(float)
        assert_even(layout.keep(SHAPE), unit=float((covered**2).sum() / covered.sum()))


def test_ties_make_no_longer_stretches_than_the_vectors_are() -> None:
    # Keeping some chunks of 64 whole and leaving others empty would cohere at length 64.
    (layout,) = mixed_vectors(tied_scores(0.3, 1), 0.75)
    keep = layout.keep(SHAPE)
    kappa = direction_strength(keep).coherence(layout.orientation, 64).kappa
    lengths = layout.lengths.astype(float)
    # Of the pairs of bits within 64, those that share a vector; other vectors only keep apart.
    assert kappa is not None
    assert kappa < (lengths * (lengths - 1)).sum() / (63 * lengths.sum())


def test_the_same_ties_are_broken_the_same_way_at_any_scale() -> None:
    (scores,) = tied_scores(0.3, 1)
    assert np.array_equal(top_mask(scores, 9999), top_mask(scores * np.float32(8), 9999))
    one, other = (mixed_vectors([s], 0.8)[0] for s in (scores, scores * np.float32(8)))
    assert np.array_equal(one.keep(SHAPE), other.keep(SHAPE))


def test_matrices_with_other_ties_keep_other_places() -> None:
    # Else the columns that Q, K and V keep by chance would be the same: a direction of the stack.
    one, other = fine_grained(tied_scores(0.3), 0.9)
    both = float((one & other).mean())
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
