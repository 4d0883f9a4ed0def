"""Is the retention predicted from a mask the measured one, and that of an earlier calculation?"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pruning.direction.retention import (
    kappa_of_share,
    measured_retention,
    predicted_retention,
    retention_of_share,
    share_of_kappa,
    vector_sum,
)
from pruning.direction.strength import direction_strength
from pruning.selection.weights import top_mask
from sparse_formats.masks.vectors import Orientation

LENGTHS = (4, 8, 16, 32, 64)

# From an earlier, separate calculation at density 0.2: line share s → κ and ρ(L) for L = 4, 8, 16,
# 32, 64.
EARLIER = {
    0.0: (0.0, (0.708, 0.607, 0.532, 0.480, 0.443)),
    0.2: (0.105, (0.773, 0.704, 0.664, 0.642, 0.631)),
    0.4: (0.226, (0.835, 0.791, 0.767, 0.755, 0.749)),
    0.6: (0.370, (0.893, 0.867, 0.855, 0.848, 0.845)),
    0.8: (0.556, (0.948, 0.937, 0.932, 0.929, 0.928)),
    0.9: (0.687, (0.975, 0.969, 0.967, 0.966, 0.965)),
}


@pytest.mark.parametrize("share", EARLIER)
def test_the_earlier_table_comes_out(share: float) -> None:
    kappa, retention = EARLIER[share]
    assert kappa_of_share(share, 0.2) == pytest.approx(kappa, abs=6e-4)
    for length, expected in zip(LENGTHS, retention, strict=True):
        assert retention_of_share(share, 0.2, length) == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize(
    ("share", "kappa"), [(0.1, 0.051), (0.3, 0.163), (0.5, 0.295), (0.7, 0.456), (0.9, 0.687)]
)
def test_kappa_of_the_model_is_the_earlier_one(share: float, kappa: float) -> None:
    assert kappa_of_share(share, 0.2) == pytest.approx(kappa, abs=6e-4)


@given(st.floats(0.001, 0.999), st.floats(0.02, 0.98))
def test_share_inverts_kappa(share: float, density: float) -> None:
    assert share_of_kappa(kappa_of_share(share, density), density) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 0.9])
def test_perfect_coherence_is_a_kappa_of_one(density: float) -> None:
    assert kappa_of_share(1, density) == pytest.approx(1, abs=1e-3)
    assert predicted_retention(1.0, density, 16) == pytest.approx(1, abs=1e-3)


def test_at_half_density_kappa_is_sheppards_arcsine() -> None:
    for share in (0.1, 0.5, 0.9):
        assert kappa_of_share(share, 0.5) == pytest.approx(2 / np.pi * np.arcsin(share))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_mask_alone_predicts_what_is_measured(
    planted: Callable[..., NDArray[np.float32]], share: float, seed: int
) -> None:
    scores = planted(seed, row=share)
    found = direction_strength(top_mask(scores, scores.size // 5))
    for length in (4, 16, 64):
        predicted = predicted_retention(found.coherence("horizontal", length).kappa, 0.2, length)
        measured = measured_retention(scores, 0.2, "horizontal", length)
        assert predicted == pytest.approx(measured, abs=0.012)


def test_row_structure_keeps_what_was_calculated(
    planted: Callable[..., NDArray[np.float32]],
) -> None:
    for length, expected, sd in ((4, 0.892, 0.003), (16, 0.856, 0.005), (64, 0.846, 0.005)):
        kept = [
            measured_retention(planted(seed, row=0.6), 0.2, "horizontal", length)
            for seed in range(6)
        ]
        assert np.mean([k for k in kept if k is not None]) == pytest.approx(expected, abs=sd)


@pytest.mark.parametrize(("share", "margin"), [(0.1, 0.1), (0.3, 0.2), (0.6, 0.2), (0.9, 0.2)])
def test_the_right_vector_beats_a_block_of_as_many_weights_and_the_wrong_direction(
    planted: Callable[..., NDArray[np.float32]], share: float, margin: float
) -> None:
    scores = planted(1, row=share)
    right = measured_retention(scores, 0.2, "horizontal", 64)
    wrong = measured_retention(scores, 0.2, "vertical", 64)
    assert right is not None and wrong is not None
    assert right - block_retention(scores, 0.2, 8) > margin - 0.01
    assert right - wrong > margin - 0.01
    # No structure at all keeps .443; a few row factors drawn large move it by some hundredths.
    assert wrong < 0.5


def block_retention(scores: NDArray[np.float32], density: float, side: int) -> float:
    """Importance in the best side × side blocks ÷ in the best weights."""
    rows, cols = scores.shape
    blocks = scores.reshape(rows // side, side, cols // side, side).sum(axis=(1, 3)).ravel()
    kept = np.sort(blocks)[::-1][: int(density * scores.size) // side**2].sum()
    return float(kept / np.sort(scores.ravel())[::-1][: int(density * scores.size)].sum())


def test_vectors_that_fit_a_head_keep_what_longer_ones_lose(
    planted: Callable[..., NDArray[np.float32]],
) -> None:
    scores = planted(0, head=0.6)
    kept = [measured_retention(scores, 0.2, "vertical", n) for n in (4, 16, 64, 256)]
    assert kept == pytest.approx([0.892, 0.855, 0.844, 0.608], abs=0.015)


SCORES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
    elements=st.floats(0, 100, width=32),
)


@given(SCORES, st.floats(0, 1), st.sampled_from(["horizontal", "vertical"]))
def test_vectors_of_one_weight_lose_nothing(
    scores: NDArray[np.float32], density: float, orientation: Orientation
) -> None:
    kept = measured_retention(scores, density, orientation, 1)
    assert kept is None or kept == pytest.approx(1)


@given(
    hnp.arrays(np.float32, (8, 16), elements=st.floats(0, 100, width=32)),
    st.sampled_from([0.125, 0.25, 0.5, 1.0]),
)
def test_longer_nested_vectors_never_keep_more(scores: NDArray[np.float32], density: float) -> None:
    # 128 entries: each density is a whole number of vectors of every length, so budgets are equal.
    kept = [measured_retention(scores, density, "horizontal", n) for n in (1, 2, 4, 8, 16)]
    for short, long in pairwise(kept):
        assert short is None or long is None or long <= short + 1e-9


@pytest.mark.parametrize("length", [4, 7, 64])
def test_lines_that_no_length_divides_stay_within_the_budget(length: int) -> None:
    scores = np.random.default_rng(0).random((30, 341)).astype(np.float32)
    kept = measured_retention(scores, 0.2, "horizontal", length)
    assert kept is not None and 0.2 < kept < 1


def test_what_is_undefined_is_none() -> None:
    nothing = np.zeros((4, 4), np.float32)
    assert measured_retention(nothing, 0.5, "horizontal", 4) is None
    assert measured_retention(nothing + 1, 0.0, "horizontal", 4) is None
    assert predicted_retention(None, 0.2, 4) is None
    assert predicted_retention(0.3, 0.0, 4) is None
    assert predicted_retention(None, 1.0, 4) == 1
    assert predicted_retention(-0.2, 0.2, 4) == pytest.approx(0.708, abs=0.003)


@pytest.mark.parametrize(("budget", "kept"), [(1, 0), (2, 5.0), (5, 5.0), (6, 9.0), (7, 9.0)])
def test_vectors_stay_that_just_fit(budget: int, kept: float) -> None:
    # A line of 6 in vectors of 4: the short one at its end is worth more a weight.
    scores = np.array([[1.0, 1.0, 1.0, 1.0, 2.5, 2.5]])
    assert vector_sum(scores, budget, "horizontal", 4) == kept
    assert vector_sum(scores.T, budget, "vertical", 4) == kept
