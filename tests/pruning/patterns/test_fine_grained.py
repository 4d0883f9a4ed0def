"""Does fine-grained pruning keep exactly the most important weights?"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pruning.selection.weights import top_mask
from sparse_formats.masks.matrix import MaskedMatrix

Masks = Callable[..., list[MaskedMatrix]]

SCORES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]),
)


@given(SCORES, st.floats(0, 1))
def test_the_count_is_exact_and_nothing_dropped_is_better(
    masks_of_scores: Masks, scores: NDArray[np.float32], sparsity: float
) -> None:
    keep = masks_of_scores([scores], "fine", sparsity)[0].keep
    assert np.count_nonzero(keep) == round((1 - sparsity) * scores.size)
    if keep.any() and not keep.all():
        assert scores[~keep].max() <= scores[keep].min()


def test_what_is_better_than_the_ties_is_kept_and_what_is_worse_is_not() -> None:
    scores = np.array([[1, 2, 0], [1, 1, 0]], np.float32)
    keep = top_mask(scores, 3)
    assert keep[0, 1] and not keep[:, 2].any() and np.count_nonzero(keep) == 3


def test_a_global_budget_is_blind_to_the_scale_of_a_matrix(masks_of_scores: Masks) -> None:
    rng = np.random.default_rng(0)
    small, large = (rng.random((16, 16)).astype(np.float32) for _ in range(2))
    plain = masks_of_scores([small, large], "fine", 0.7, budget="global")
    scaled = masks_of_scores([small, large * np.float32(64)], "fine", 0.7, budget="global")
    for a, b in zip(plain, scaled, strict=True):
        assert np.array_equal(a.keep, b.keep)
    assert sum(mask.nnz for mask in plain) == round(0.3 * 512)


def test_a_global_budget_gives_more_to_the_matrix_with_heavier_tails(
    masks_of_scores: Masks,
) -> None:
    rng = np.random.default_rng(0)
    light = rng.random((64, 64)).astype(np.float32)
    heavy = np.exp(2 * rng.standard_normal((64, 64))).astype(np.float32)
    of_light, of_heavy = masks_of_scores([light, heavy], "fine", 0.9, budget="global")
    assert of_heavy.nnz > of_light.nnz


@pytest.mark.parametrize(("sparsity", "kept"), [(0, 12), (1, 0)])
def test_the_ends_keep_all_and_nothing(masks_of_scores: Masks, sparsity: float, kept: int) -> None:
    assert masks_of_scores([np.zeros((3, 4), np.float32)], "fine", sparsity)[0].nnz == kept
