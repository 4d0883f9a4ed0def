"""Does direction strength say what the mask looks like?"""

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pruning.direction.strength import Coherence, DirectionStrength, band, direction_strength
from pruning.selection.weights import top_mask

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def stripes(shape: tuple[int, int], kept_rows: int) -> NDArray[np.bool_]:
    keep = np.zeros(shape, np.bool_)
    keep[:kept_rows] = True
    return keep


def numbers(value: Any) -> list[float]:
    """Every float anywhere in nested dicts and sequences."""
    if isinstance(value, dict):
        return [x for item in value.values() for x in numbers(item)]
    if isinstance(value, (list, tuple)):
        return [x for item in value for x in numbers(item)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("shape", [(4, 4), (64, 64), (768, 768), (12, 40)])
def test_full_rows_are_one_over_one_minus_the_null(shape: tuple[int, int]) -> None:
    rows, cols = shape
    found = direction_strength(stripes(shape, rows // 4))
    assert found.row_strength == pytest.approx(1)
    assert found.strength == pytest.approx(1 / (1 - (cols - 1) / (rows * cols - 1)))


def test_full_rows_cohere_perfectly_at_every_length() -> None:
    keep = np.zeros((64, 64), np.bool_)
    keep[::4] = True
    found = direction_strength(keep)
    for coherence in found.horizontal:
        assert coherence.kappa == pytest.approx(1 + 1 / (64 * 64 - 1))
    assert found.correlation_length("horizontal") == 64
    assert found.verdict == "horizontal, strong"


def test_a_solid_band_coheres_both_ways_though_it_is_striped() -> None:
    found = direction_strength(stripes((256, 64), 64))
    assert found.strength > 0.9
    assert found.verdict == "both, strong"


def test_a_checkerboard_has_no_profile_and_bits_that_avoid_each_other() -> None:
    keep = np.indices((8, 8)).sum(axis=0) % 2 == 0
    found = direction_strength(keep, (2,))
    assert found.eta_rows == 0 and found.eta_cols == 0
    assert found.coherence("horizontal", 2).kappa == pytest.approx(-1 + 1 / 63)
    assert found.coherence("vertical", 2).kappa == pytest.approx(-1 + 1 / 63)


@pytest.mark.parametrize("seed", range(4))
def test_a_random_mask_has_no_direction(seed: int) -> None:
    found = direction_strength(np.random.default_rng(seed).random((768, 512)) < 0.2)
    assert found.z is not None and abs(found.z) < 4
    assert found.verdict == "none"
    for coherence in found.horizontal + found.vertical:
        assert coherence.kappa is not None and coherence.null_sd is not None
        assert abs(coherence.kappa) < 5 * coherence.null_sd


@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (3, 3), (2, 4)])
def test_nulls_are_the_exact_means_over_all_masks(rows: int, cols: int) -> None:
    for ones in range(1, rows * cols):
        etas, kappas = [], []
        for places in itertools.combinations(range(rows * cols), ones):
            keep = np.zeros(rows * cols, np.bool_)
            keep[list(places)] = True
            found = direction_strength(keep.reshape(rows, cols), (2,))
            etas.append((found.eta_rows, found.eta_cols))
            kappas.append(found.coherence("horizontal", 2).kappa)
        assert np.mean(etas, axis=0) == pytest.approx(
            [(rows - 1) / (rows * cols - 1), (cols - 1) / (rows * cols - 1)]
        )
        assert np.mean(kappas) == pytest.approx(0, abs=1e-12)


@given(MASKS)
def test_kappa_is_the_mean_correlation_of_bits_that_share_a_vector(keep: NDArray[np.bool_]) -> None:
    found = direction_strength(keep, (2, 3))
    p = keep.mean()
    for length in (2, 3):
        pairs = [
            (float(row[a]) - p) * (float(row[b]) - p)
            for row in keep
            for start in range(0, keep.shape[1] - length + 1, length)
            for a, b in itertools.permutations(range(start, start + length), 2)
        ]
        kappa = found.coherence("horizontal", length).kappa
        if not pairs or p in (0, 1):
            assert kappa is None
            continue
        # Bits of full vectors only, so their own variance need not be p(1 − p): compare sums.
        squares = [
            (float(row[j]) - p) ** 2
            for row in keep
            for j in range(keep.shape[1] // length * length)
        ]
        excess = (np.mean(squares) / (p * (1 - p)) - 1) / (length - 1)
        expected = np.mean(pairs) / (p * (1 - p)) + excess + 1 / (keep.size - 1)
        assert kappa == pytest.approx(expected, abs=1e-9)


@given(MASKS)
def test_transposing_flips_the_direction(keep: NDArray[np.bool_]) -> None:
    found, turned = direction_strength(keep), direction_strength(np.ascontiguousarray(keep.T))
    assert turned.strength == pytest.approx(-found.strength)
    assert turned.structure == pytest.approx(found.structure)
    assert turned.variance_difference == pytest.approx(-found.variance_difference)
    assert [c.kappa for c in turned.vertical] == pytest.approx([c.kappa for c in found.horizontal])


@given(MASKS, st.randoms(use_true_random=False))
def test_moving_rows_changes_no_profile(keep: NDArray[np.bool_], random: Any) -> None:
    order = list(range(keep.shape[0]))
    random.shuffle(order)
    found, moved = direction_strength(keep), direction_strength(keep[order])
    assert (moved.eta_rows, moved.eta_cols) == pytest.approx((found.eta_rows, found.eta_cols))


@given(MASKS)
def test_nothing_is_ever_nan_or_infinite(keep: NDArray[np.bool_]) -> None:
    found = direction_strength(keep)
    assert all(math.isfinite(x) for x in numbers(asdict(found)))
    assert isinstance(found.verdict, str)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 5)])
@pytest.mark.parametrize("kept", [False, True])
def test_a_constant_mask_has_no_direction(shape: tuple[int, int], kept: bool) -> None:
    found = direction_strength(np.full(shape, kept))
    assert found.strength == 0
    assert found.eta_rows is None and found.structure is None and found.z is None
    assert all(c.kappa is None for c in found.horizontal + found.vertical)
    assert found.verdict == "none"


def test_a_single_row_has_no_direction_but_coherence_along_it() -> None:
    keep = np.zeros((1, 64), np.bool_)
    keep[0, :16] = True
    found = direction_strength(keep)
    assert found.strength == 0 and found.col_strength is None
    assert found.coherence("horizontal", 16).kappa == pytest.approx(1 + 1 / 63)
    assert found.coherence("vertical", 4).kappa is None


def test_lines_that_no_length_divides_say_how_much_was_measured() -> None:
    found = direction_strength(np.random.default_rng(0).random((128, 341)) < 0.3)
    assert found.coherence("horizontal", 64).coverage == pytest.approx(320 / 341)
    assert found.coherence("vertical", 64).coverage == 1


def correlation(share: float, density: float = 0.2) -> float:
    """Of two bits at `density` whose normal log-importances share a factor with `share` of each."""
    from scipy.stats import multivariate_normal, norm

    below = float(norm.ppf(density))
    covariance: Any = [[1, share], [share, 1]]
    both = float(multivariate_normal.cdf([below, below], cov=covariance))
    return (both - density**2) / (density * (1 - density))


def test_structure_inside_heads_is_invisible_to_whole_lines(
    planted: Callable[..., NDArray[np.float32]],
) -> None:
    scores = planted(0, (3072, 768), head=0.6)
    found = direction_strength(top_mask(scores, scores.size // 5), (4, 16, 64, 256))
    # Within 64 rows all bits of a column share a factor, within 256 only 63 of 255 others do.
    assert abs(found.strength) < 0.02
    for length in (4, 16, 64):
        assert found.coherence("vertical", length).kappa == pytest.approx(
            correlation(0.6), abs=0.02
        )
    assert found.coherence("vertical", 256).kappa == pytest.approx(
        correlation(0.6) * 63 / 255, abs=0.02
    )
    assert found.verdict == "vertical, strong"
    assert found.correlation_length("vertical") == 64


def test_row_structure_is_as_strong_as_bits_of_a_row_correlate(
    planted: Callable[..., NDArray[np.float32]],
) -> None:
    found = []
    for seed in range(8):
        scores = planted(seed, row=0.6)
        found.append(direction_strength(top_mask(scores, scores.size // 5)).strength)
    assert np.mean(found) == pytest.approx(correlation(0.6), abs=0.015)
    assert np.std(found) < 0.022


def test_two_directions_at_once_are_both_named(
    planted: Callable[..., NDArray[np.float32]],
) -> None:
    scores = planted(0, row=0.3, col=0.3)
    found = direction_strength(top_mask(scores, scores.size // 5))
    assert abs(found.strength) < 0.06
    assert found.structure == pytest.approx(2 * correlation(0.3), abs=0.05)
    assert found.verdict == "both, medium"


@pytest.mark.parametrize(
    ("kappa", "word"),
    [(0.0, "none"), (-0.019, "none"), (0.02, "weak"), (0.1, "medium"), (0.3, "medium"),
     (0.31, "strong"), (1.0, "strong")],
)  # fmt: skip
def test_bands_have_the_documented_ends(kappa: float, word: str) -> None:
    assert band(kappa) == word


def with_kappas(horizontal: dict[int, float], vertical: dict[int, float]) -> DirectionStrength:
    """A direction with these κ by length, far from chance."""
    found = direction_strength(np.eye(4, dtype=np.bool_))
    both = (
        tuple(Coherence(length, kappa, 1.0, 1e-4) for length, kappa in kappas.items())
        for kappas in (horizontal, vertical)
    )
    return replace(found, **dict(zip(("horizontal", "vertical"), both, strict=True)))


def test_the_verdict_is_read_at_length_16_or_below() -> None:
    # Short stripes lie across, long ones along: at 16 the former are seen, at 32 the latter.
    kappas = {4: 0.5, 8: 0.4, 16: 0.35, 32: 0.05, 64: 0.04}, dict.fromkeys((4, 8, 16), 0.05)
    across = with_kappas(kappas[0], {**kappas[1], 32: 0.35, 64: 0.35})
    assert (across.verdict, across.better) == ("horizontal, strong", "horizontal")
    # Where 16 was not measured, the longest below it counts; where nothing is below, the shortest.
    assert with_kappas({4: 0.2, 8: 0.05, 32: 0.2}, {4: 0.0, 8: 0.0, 32: 0.0}).verdict == (
        "horizontal, weak"
    )
    assert with_kappas({32: 0.05, 64: 0.2}, {32: 0.0, 64: 0.0}).verdict == "horizontal, weak"


def test_the_verdict_of_runs_of_16_is_of_their_own_length() -> None:
    # Bits of an aligned run of 16 share one draw with probability √0.2: they correlate by 0.2, and
    # within 32 neighbours only 15 of 31 others are of the same run: 0.2 · 15/31 < 0.1.
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.random((512, 32)) < 0.2, 16, axis=1)
    keep = np.where(rng.random((512, 512)) < 0.2**0.5, shared, rng.random((512, 512)) < 0.2)
    found = direction_strength(keep)
    assert found.coherence("horizontal", 16).kappa == pytest.approx(0.2, abs=0.02)
    assert found.coherence("horizontal", 32).kappa == pytest.approx(0.2 * 15 / 31, abs=0.02)
    assert found.verdict == "horizontal, medium"


@pytest.mark.parametrize(
    ("weaker", "words"),
    [(0.74, "horizontal"), (0.76, "both"), (0.8, "both"), (0.84, "both"), (1.0, "both")],
)
def test_both_directions_are_named_from_three_quarters_on(weaker: float, words: str) -> None:
    found = with_kappas({16: 0.25}, {16: 0.25 * weaker})
    assert found.verdict == f"{words}, medium"
    turned = with_kappas({16: 0.25 * weaker}, {16: 0.25})
    assert turned.verdict == f"{words.replace('horizontal', 'vertical')}, medium"


def test_the_correlation_length_is_where_nine_tenths_are_left() -> None:
    found = with_kappas({4: 0.5, 8: 0.46, 16: 0.44, 32: 0.3}, {4: 0.019, 8: 0.019})
    assert found.correlation_length("horizontal") == 8
    assert found.correlation_length("vertical") == 1


@pytest.mark.parametrize(("deviations", "words"), [(2.9, "none"), (3.1, "horizontal, weak")])
def test_what_three_deviations_explain_is_no_direction(deviations: float, words: str) -> None:
    by_chance = with_kappas({16: 0.05}, {16: 0.0})
    (one,) = by_chance.horizontal
    found = replace(by_chance, horizontal=(replace(one, null_sd=0.05 / deviations),))
    assert found.verdict == words
