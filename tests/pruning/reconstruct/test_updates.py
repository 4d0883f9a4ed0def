"""Do updates leave the least output error, and does OBS remove what costs least?"""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.patterns import make_pattern
from pruning.patterns.pattern import Target
from pruning.patterns.tile_pattern import broken_tile, tile_choice
from pruning.reconstruct import UPDATES, output_error
from pruning.reconstruct.obs import obs, remove_tiles, traced
from pruning.reconstruct.sparsegpt import sparsegpt
from pruning.selection.weights import top_mask
from pruning.statistics.hessian import inverse
from sparse_formats.masks.matrix import MaskedMatrix

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


def layer(rows: int, cols: int, tokens: int, seed: int = 0) -> Layer:
    """A weight and correlated inputs."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((cols, cols)) + 2 * np.eye(cols)
    return rng.standard_normal((rows, cols)), mixing @ rng.standard_normal((cols, tokens))


def error(weight: NDArray[np.float64], rebuilt: NDArray[np.float64], x: NDArray) -> float:
    return float(np.square((weight - rebuilt) @ x).sum())


def best_error(weight: NDArray[np.float64], keep: NDArray[np.bool_], x: NDArray) -> float:
    """By an independent least-squares solver, row by row."""
    total = 0.0
    for w, k in zip(weight, keep, strict=True):
        target = w @ x
        found = np.linalg.lstsq(x[k].T, target, rcond=None)[0] if k.any() else np.empty(0)
        total += float(np.square(target - found @ x[k]).sum())
    return total


@pytest.mark.parametrize("update", UPDATES)
def test_with_a_given_mask_nothing_dropped_comes_back_and_the_error_falls(update: str) -> None:
    weight, x = layer(6, 12, 60)
    keep = np.random.default_rng(1).random(weight.shape) < 0.6
    found, rebuilt = UPDATES[update](weight, x @ x.T, keep, None)
    assert np.array_equal(found, keep) and not rebuilt[~keep].any()
    plain, least = error(weight, weight * keep, x), best_error(weight, keep, x)
    assert least * (1 - 1e-9) <= error(weight, rebuilt, x) < plain


@pytest.mark.parametrize("update", ["least_squares", "obs"])
def test_least_squares_is_the_least_there_is(update: str) -> None:
    weight, x = layer(6, 12, 60)
    keep = np.random.default_rng(1).random(weight.shape) < 0.6
    keep[2] = keep[4]  # rows that share a factorisation
    keep[5] = False
    _, rebuilt = UPDATES[update](weight, x @ x.T, keep, None)
    assert error(weight, rebuilt, x) == pytest.approx(best_error(weight, keep, x))


def test_sparsegpt_makes_up_for_a_column_in_those_behind_it_alone() -> None:
    weight, x = layer(3, 8, 60)
    keep = np.ones(weight.shape, np.bool_)
    keep[:, 3] = False
    _, rebuilt = sparsegpt(weight, x @ x.T, keep)
    assert np.array_equal(rebuilt[:, :3], weight[:, :3])
    # With the damping as further tokens, it is the best update of the columns behind.
    size = np.sqrt(0.01 * np.square(x).sum(1).mean())
    seen = np.hstack([x, size * np.eye(8)])
    for w, r in zip(weight, rebuilt, strict=True):
        update = np.linalg.lstsq(seen[4:].T, w[3] * seen[3], rcond=None)[0]
        np.testing.assert_allclose(r[4:] - w[4:], update, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("cols", [40, 300])
@pytest.mark.parametrize("text", ["fine", "2:4", "1:4", "vector_wise:2:8", "block:4", "vector:4"])
def test_sparsegpt_chooses_within_the_pattern_and_beats_magnitude(text: str, cols: int) -> None:
    weight, x = layer(16, cols, 4 * cols)
    wanted = make_pattern(text, {})

    target = [Target("a", "other", np.abs(weight).astype(np.float32))]
    kept = wanted.kept(target, 0.5 if wanted.density is None else 1 - wanted.density)
    (given,) = wanted.masks(target, kept)
    local = wanted.local(given.keep, given.layout)
    keep, rebuilt = sparsegpt(weight, x @ x.T, given.keep, local)
    assert wanted.conforms([MaskedMatrix("a", keep)]) is None
    assert not rebuilt[~keep].any()
    assert kept - 64 <= keep.sum() <= kept
    assert error(weight, rebuilt, x) < 0.9 * error(weight, weight * given.keep, x)


def test_sparsegpt_keeps_fewer_than_n_of_m_where_the_mask_does() -> None:
    weight, x = layer(16, 40, 160)
    wanted = make_pattern("2:4", {})
    target = [Target("a", "other", np.abs(weight).astype(np.float32))]
    (given,) = wanted.masks(target, 16 * 40 // 4)
    keep, _ = sparsegpt(weight, x @ x.T, given.keep, wanted.local(given.keep, None))
    assert wanted.conforms([MaskedMatrix("a", keep)]) is None
    assert keep.sum() == 16 * 40 // 4


def test_sparsegpt_is_published_algorithm_1_written_out() -> None:
    """With blocks of one group, in plain loops and an explicit inverse."""
    weight, x = layer(4, 8, 50)
    gram = x @ x.T
    h = gram + 0.01 * np.diag(gram).mean() * np.eye(8)
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    w = weight.copy()
    mask = np.zeros(w.shape, np.bool_)
    for i in range(8):
        if i % 4 == 0:
            price = w[:, i : i + 4] ** 2 / np.diag(upper)[i : i + 4] ** 2
            order = np.argsort(-price, axis=1)[:, :2]
            np.put_along_axis(mask[:, i : i + 4], order, True, axis=1)
        for r in range(4):
            e = 0.0 if mask[r, i] else w[r, i] / upper[i, i]
            w[r, i:] -= e * upper[i, i:]
    wanted = make_pattern("2:4", {})
    found, rebuilt = sparsegpt(weight, gram, mask, wanted.local(mask, None))
    assert np.array_equal(found, mask)
    np.testing.assert_allclose(rebuilt, w * mask, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_step_of_obs_is_the_cheapest_and_costs_what_it_says(rows: int, width: int) -> None:
    """A strip of rows, tiles of `rows` × `width` (the last one shorter), against least squares."""
    weight, x = layer(rows, 8, 40)
    (order,), (losses,) = traced(weight, inverse(x @ x.T), rows, width)
    keep = np.ones(weight.shape, np.bool_)
    before, left = 0.0, set(range(-(-8 // width)))
    for unit, loss in zip(order, losses, strict=True):
        errors = {}
        for candidate in left:
            tried = keep.copy()
            tried[:, candidate * width : (candidate + 1) * width] = False
            errors[candidate] = best_error(weight, tried, x)
        assert min(errors, key=lambda c: errors[c]) == unit
        assert loss == pytest.approx(errors[unit] - before, rel=1e-6)
        before = errors[unit]
        keep[:, unit * width : (unit + 1) * width] = False
        left.remove(int(unit))


def test_strips_are_merged_by_cost() -> None:
    weight, x = layer(2, 6, 40)
    weight[0] *= 100  # nothing of this row is cheaper than all of the other
    keep = remove_tiles(weight, x @ x.T, (1, 2), 6)
    assert keep[0].all() and not keep[1].any()


def remade(row: NDArray[np.float64], gone: list[int], fixed: int, x: NDArray) -> NDArray:
    """`row` without the inputs `gone`, made up for by those from `fixed` on alone."""
    free = [i for i in range(len(row)) if i >= fixed and i not in gone]
    kept = np.where(np.arange(len(row)) < fixed, row, 0)
    kept[free] = np.linalg.lstsq(x[free].T, row[gone] @ x[gone] + row[free] @ x[free], rcond=None)[
        0
    ]
    return kept


def test_a_block_is_greedy_and_is_made_up_for_by_it_and_those_behind() -> None:
    """One row, two blocks of eight inputs, against an independent solver at every step."""
    weight, x = layer(1, 16, 80)
    keep = remove_tiles(weight, x @ x.T, (1, 1), 9, block=8)[0]
    assert keep.sum() == 16 - 9
    row = weight[0]
    for start in (0, 8):
        taken: list[int] = []
        for _ in range(int((~keep[start : start + 8]).sum())):
            left = [i for i in range(start, start + 8) if i not in taken]
            costs = [error(row, remade(row, [*taken, i], start, x), x) for i in left]
            taken.append(left[int(np.argmin(costs))])
        assert sorted(taken) == [int(i) for i in start + np.flatnonzero(~keep[start : start + 8])]
        row = remade(row, taken, start, x)


@pytest.mark.parametrize("tile", [(1, 1), (1, 4), (4, 1), (1, 3)])
def test_blocks_choose_better_than_weights_alone_and_nearly_as_well_as_whole_rows(
    tile: tuple[int, int],
) -> None:
    # As in a network: inputs share a few causes, and some are far larger than others.
    rng = np.random.default_rng(0)
    weight, scales = rng.standard_normal((8, 100)), np.exp(rng.standard_normal((100, 1)))
    shared = rng.standard_normal((100, 10)) @ rng.standard_normal((10, 400))
    x = scales * (shared + rng.standard_normal((100, 400)))
    count = weight.size // 2
    whole, blocks = (remove_tiles(weight, x @ x.T, tile, count, b) for b in (100, 32))
    assert broken_tile(MaskedMatrix("a", blocks), tile) is None
    assert 0 <= count - (~blocks).sum() < tile[0] * tile[1] * 4
    plain = tile_choice(tile, 8).choose(np.square(weight).astype(np.float32), int(blocks.sum()))
    found = {name: best_error(weight, m, x) for name, m in (("whole", whole), ("blocks", blocks))}
    assert found["blocks"] < 1.2 * found["whole"]
    assert found["blocks"] < 0.8 * best_error(weight, plain, x)


def test_greedy_obs_is_near_the_best_of_all_masks() -> None:
    weight, x = layer(1, 8, 40)
    found, rebuilt = obs(weight, x @ x.T, top_mask(np.abs(weight), 5), tile_choice((1, 1), 1))
    best = min(
        best_error(weight, np.isin(np.arange(8), places)[None], x)
        for places in combinations(range(8), 5)
    )
    magnitude = best_error(weight, top_mask(np.abs(weight), 5), x)
    assert found.sum() == 5
    assert best * (1 - 1e-9) <= error(weight, rebuilt, x) <= min(1.5 * best, magnitude)


@pytest.mark.parametrize("tile", [(1, 4), (4, 1), (4, 4), (12, 1), (1, 16)])
def test_obs_leaves_whole_tiles(tile: tuple[int, int]) -> None:
    weight, x = layer(12, 16, 80)
    keep = np.zeros(weight.shape, np.bool_)
    keep.ravel()[:96] = True
    found, rebuilt = obs(weight, x @ x.T, keep, tile_choice(tile, 12))
    assert broken_tile(MaskedMatrix("a", found), tile) is None
    assert found.sum() == 96 and not rebuilt[~found].any()


def test_obs_tiles_lose_less_than_the_largest_tiles() -> None:
    weight, x = layer(12, 16, 80)
    magnitude = tile_choice((4, 1), 12).choose(np.square(weight).astype(np.float32), 96)
    _, rebuilt = obs(weight, x @ x.T, magnitude, tile_choice((4, 1), 12))
    assert error(weight, rebuilt, x) < best_error(weight, magnitude, x)


@pytest.mark.parametrize("update", UPDATES)
def test_fewer_tokens_than_inputs_and_dead_inputs_are_survived(update: str) -> None:
    weight, x = layer(5, 12, 4)
    x[7] = 0
    keep = np.random.default_rng(1).random(weight.shape) < 0.5
    _, rebuilt = UPDATES[update](weight, x @ x.T, keep, tile_choice((1, 1), 5))
    assert np.isfinite(rebuilt).all()
    assert error(weight, rebuilt, x) < error(weight, weight * keep, x)


def test_sparsegpt_drops_weights_of_dead_inputs_to_zero() -> None:
    weight, x = layer(5, 12, 60)
    x[7] = 0
    keep = np.ones(weight.shape, np.bool_)
    _, rebuilt = sparsegpt(weight, x @ x.T, keep)
    assert not rebuilt[:, 7].any()
    # No output needs them.
    assert error(weight, rebuilt, x) == pytest.approx(0)


def test_output_error_is_a_share_of_the_output() -> None:
    weight, x = layer(3, 8, 40)
    rebuilt = weight * 0.9
    assert output_error(weight, rebuilt, x @ x.T) == pytest.approx(0.01)
    assert output_error(np.zeros((2, 2)), np.ones((2, 2)), np.eye(2)) is None
