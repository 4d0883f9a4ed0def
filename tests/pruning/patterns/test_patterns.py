"""Does every pattern keep the best mask of its kind, and know one when it sees it?"""

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.patterns import forms, make_pattern
from pruning.patterns.coupled import Coupled
from pruning.patterns.hybrid import Hybrid
from pruning.patterns.lane_select import LaneSelect
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.patterns.pattern import Pattern, Target
from pruning.patterns.tile_pattern import TilePattern
from pruning.structure.couplings import couplings_of
from pruning.structure.heads import Heads
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import kind_of
from tests.tiers import slow

LAYER = {
    "model.layers.0.self_attn.q_proj.weight": (32, 40),
    "model.layers.0.self_attn.k_proj.weight": (16, 40),
    "model.layers.0.self_attn.v_proj.weight": (16, 40),
    "model.layers.0.self_attn.o_proj.weight": (40, 32),
    "model.layers.0.mlp.gate_proj.weight": (72, 40),
    "model.layers.0.mlp.up_proj.weight": (72, 40),
    "model.layers.0.mlp.down_proj.weight": (40, 72),
}
COUPLINGS = couplings_of(LAYER, Heads(4, 2))

TEXTS = (
    "fine", "mvp", "mvp_tiled", "vector:4", "vector:16", "2:4", "1:4", "n_m:3:7",
    "vector_wise:4:16", "hierarchical_n_m:2:4:2:4", "sum_n_m:2:4:1:8", "n_m_or_dense:2:4:8",
    "two_level:8", "lane_select", "lane_select:4:2",
    "block:8", "block:16:4", "row", "column", "channel", "head", "coupled", "hybrid:8",
)  # fmt: skip
WHOLE_UNITS = (TilePattern, OrientedVectors, LaneSelect, Coupled, Hybrid)
EVERY_MASK = ("fine", "mvp", "mvp_tiled")
NAMED = {text.split(":")[0] if not text[0].isdigit() else "n_m" for text in TEXTS}
# Patterns that are not named above are tested with 4 for each number that they must be given.
TEXTS += tuple(
    re.sub(r"(:[A-Z_]+)", ":4", text.partition("[")[0])
    for text in forms()
    if text.split(":")[0].partition("[")[0] not in NAMED
)


def pattern(text: str, **knobs: Any) -> Pattern:
    return make_pattern(text, {"couplings": COUPLINGS, **knobs})


def layer(seed: int = 0) -> list[Target]:
    rng = np.random.default_rng(seed)
    return [
        Target(name, kind_of(name), rng.lognormal(size=shape).astype(np.float32))
        for name, shape in LAYER.items()
    ]


def masked(targets: list[Target], keeps: list[NDArray[np.bool_]]) -> list[MaskedMatrix]:
    return [MaskedMatrix(t.name, k, None, t.kind) for t, k in zip(targets, keeps, strict=True)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("sparsity", [None, 0.0, 0.55, 0.8, 1.0])
def test_masks_conform_and_fill_their_amount(text: str, sparsity: float | None) -> None:
    wanted, targets = pattern(text), layer()
    density = wanted.density
    if sparsity is None:
        sparsity = max(0.7, 1 - wanted.densest) if density is None else 1 - density
    elif sparsity < 1 - wanted.densest or text.startswith("vector_wise"):
        return
    for pool in wanted.pools(targets):
        mine = [targets[i] for i in pool]
        kept = wanted.kept(mine, sparsity)
        keeps = [p.keep for p in wanted.masks(mine, kept)]
        matrices = masked(mine, keeps)
        assert wanted.conforms(matrices) is None
        nnz = sum(m.nnz for m in matrices)
        # A head of 8 rows of Q and columns of the output, with the K and V of its group.
        largest = {"row": 72, "column": 72, "channel": 120, "head": 1280, "coupled": 1280}
        unit = largest.get(text, 128)
        if isinstance(wanted, WHOLE_UNITS):
            # The last unit stays, unless nothing may be kept.
            assert abs(nnz - kept) <= unit / 2 or (0 < kept < nnz <= unit)
        else:
            assert kept - unit < nnz <= kept
        for matrix, found in zip(matrices, wanted.masks(mine, kept), strict=True):
            if found.layout is not None:
                assert np.array_equal(found.layout.keep(matrix.shape), matrix.keep)
            # A group of 1:4 that keeps nothing has no place in its format.
            if text != "1:4" or nnz == kept == wanted.kept(mine, 0.75):
                assert wanted.storage(matrix, 16).bits >= 16 * matrix.nnz


@pytest.mark.parametrize(
    ("text", "name", "units"),
    [
        ("channel", "mlp.up_proj", 72),
        ("head", "self_attn.q_proj", 4),
        ("head", "self_attn.k_proj", 2),
        ("coupled", "mlp.down_proj", 72),
    ],
)
def test_what_is_left_is_stored_dense_with_a_bit_a_unit(text: str, name: str, units: int) -> None:
    wanted = pattern(text)
    full = f"model.layers.0.{name}.weight"
    matrix = MaskedMatrix(full, np.ones(LAYER[full], np.bool_))
    stored = wanted.storage(matrix, 16)
    assert (stored.values, stored.bits) == (16 * matrix.nnz, 16 * matrix.nnz + units)


# Two levels are a rule about how many slots there are, not about a place.
@pytest.mark.parametrize("text", [t for t in TEXTS if t not in (*EVERY_MASK, "two_level:8")])
def test_one_bit_too_many_is_found_where_it_is(text: str) -> None:
    wanted, targets = pattern(text), layer()
    sparsity = max(0.7, 1 - wanted.densest) if wanted.density is None else 1 - wanted.density
    pool = wanted.pools(targets)[0]
    mine = [targets[i] for i in pool]
    keeps = [p.keep for p in wanted.masks(mine, wanted.kept(mine, sparsity))]
    last = keeps[-1]
    row, col = (int(i) for i in np.argwhere(~last)[-1])
    last[row, col] = True
    found = wanted.conforms(masked(mine, keeps))
    assert found is not None and found.matrix == mine[-1].name
    # The place named starts the unit that holds the bit.
    assert found.row <= row and found.col <= col
    assert mine[-1].name in str(found) and "keep" in str(found)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2:4", 8), ("2:4", 5), ("1:4", 4), ("vector_wise:1:2", 8), ("vector_wise:3:4", 12),
        ("hierarchical_n_m:1:2:1:2", 4), ("hierarchical_n_m:1:2:2:2", 8), ("sum_n_m:1:2:1:4", 12),
        ("sum_n_m:1:4:1:4", 8), ("sum_n_m:1:2:1:4", 5), ("n_m_or_dense:1:2:2", 12),
        ("block:2", 8), ("block:1:2", 6), ("block:2:4", 8), ("row", 8), ("column", 8),
        ("vector:2", 6), ("vector:4", 8), ("fine", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, *slow(1)])
def test_no_mask_of_the_pattern_keeps_more_importance(text: str, kept: int, seed: int) -> None:
    wanted = pattern(text)
    scores = np.random.default_rng(seed).lognormal(size=(4, 4)).astype(np.float32)
    if text.startswith("vector:"):
        # The orientation follows the direction, not the best sum: give it one.
        scores[1:3] *= 10
    (found,) = wanted.masks([Target("a", "other", scores)], kept)
    best = 0.0
    for places in combinations(range(16), kept):
        keep = np.zeros(16, np.bool_)
        keep[list(places)] = True
        value = float(scores.ravel()[keep].sum())
        if value > best and not wanted.conforms([MaskedMatrix("a", keep.reshape(4, 4))]):
            best = value
    assert found.keep.sum() == kept
    assert scores[found.keep].sum() == pytest.approx(best)


def test_a_unit_is_worth_what_it_sums_to_in_all_its_matrices() -> None:
    targets = layer()
    wanted = pattern("channel")
    (pool,) = wanted.pools(targets)
    gate, up, down = (targets[i] for i in pool)
    worth = gate.scores.sum(1) + up.scores.sum(1) + down.scores.sum(0)
    keeps = [p.keep for p in wanted.masks([gate, up, down], 20 * 120)]
    assert set(np.flatnonzero(keeps[0].all(1))) == set(np.argsort(-worth)[:20])
    assert np.array_equal(keeps[0], keeps[1])
    assert np.array_equal(keeps[2].all(0), keeps[0].all(1))


def attention(scores: list[float]) -> list[Target]:
    """Q, K, V, O of four query heads of 8 lanes in two groups; `scores` by query head."""
    by_row = np.repeat(np.array(scores, np.float32), 8)
    return [
        Target(name, kind_of(name), np.ascontiguousarray(found.astype(np.float32)))
        for name, found in zip(
            list(LAYER)[:4],
            (
                np.repeat(by_row[:, None], 40, 1),
                np.ones((16, 40)),
                np.ones((16, 40)),
                np.repeat(by_row[None], 40, 0),
            ),
            strict=True,
        )
    ]


def kept_heads(keeps: list[NDArray[np.bool_]]) -> tuple[list[int], list[int]]:
    """The query heads and the key-value heads that are kept; each is whole or gone everywhere."""
    found = []
    for lines, other, count in (
        (keeps[0].all(1), keeps[3].all(0), 4),
        (keeps[1].all(1), keeps[2].all(1), 2),
    ):
        assert np.array_equal(lines, other)
        by_unit = lines.reshape(count, 8)
        assert np.array_equal(by_unit.any(1), by_unit.all(1))
        found.append(np.flatnonzero(by_unit.all(1)).tolist())
    assert sum(int(keep.sum()) for keep in keeps) == (len(found[0]) + len(found[1])) * 2 * 8 * 40
    return found[0], found[1]


@pytest.mark.parametrize(
    ("scores", "sparsity", "queries", "keys"),
    [
        # Two of Q and O, 2/6 of all weights, go while both groups have a head left.
        ([4, 1, 2, 5], 1 / 3, [0, 3], [0, 1]),
        # Of 6 equal parts 3 are asked for: two heads and the keys and values of their group.
        ([5, 4, 1, 2], 0.5, [0, 1], [0]),
        # The second best is of the other group: two thirds or one third, the smaller of the two.
        ([5, 1, 3, 2], 0.5, [0], [0]),
        ([5, 4, 3, 2], 0.05, [0, 1, 2, 3], [0, 1]),
        ([5, 4, 3, 2], 0.1, [0, 1, 2], [0, 1]),
        ([5, 4, 3, 6], 0.99, [3], [1]),
        ([5, 4, 3, 6], 1.0, [], []),
    ],
)
def test_query_heads_go_one_by_one_and_keys_and_values_with_the_last_of_a_group(
    scores: list[float], sparsity: float, queries: list[int], keys: list[int]
) -> None:
    targets, wanted = attention(scores), pattern("head")
    keeps = [p.keep for p in wanted.masks(targets, wanted.kept(targets, sparsity))]
    assert kept_heads(keeps) == (queries, keys)
    assert wanted.conforms(masked(targets, keeps)) is None


def test_what_a_sparsity_drops_a_higher_one_drops_too() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        targets = attention(rng.permutation(4).astype(float).tolist())
        wanted, before = pattern("head"), [np.ones(t.scores.shape, np.bool_) for t in targets]
        for kept in range(wanted.size(targets), -1, -100):
            keeps = [p.keep for p in wanted.masks(targets, kept)]
            assert all((now <= old).all() for now, old in zip(keeps, before, strict=True))
            before = keeps


def test_keys_gone_while_a_head_needs_them_are_found() -> None:
    wanted, targets = pattern("head"), attention([1, 1, 1, 1])
    keeps = [np.ones(t.scores.shape, np.bool_) for t in targets]
    keeps[1][8:] = False
    found = wanted.conforms(masked(targets, keeps))
    assert found is not None
    assert str(found) == (
        "matrix model.layers.0.self_attn.k_proj.weight: what the heads of group 1 share, rows "
        "8..15, keeps 0 of 320"
    )
    keeps[1][8:] = True
    keeps[1][3, 5] = False
    found = wanted.conforms(masked(targets, keeps))
    assert found is not None and "group 0 share, rows 0..7, keeps 319 of 320" in str(found)


@pytest.mark.parametrize("budget_of", [1, 2])
def test_one_key_value_head_never_costs_all_attention(budget_of: int) -> None:
    # As in Gemma 2B, on a smaller scale: 8 heads, one of keys and values.
    shapes: dict[str, tuple[int, int]] = {}
    for number in range(budget_of):
        place = f"model.layers.{number}.self_attn"
        shapes |= {f"{place}.{part}_proj.weight": (64, 64) for part in ("q", "o")}
        shapes |= {f"{place}.{part}_proj.weight": (8, 64) for part in ("k", "v")}
    rng = np.random.default_rng(0)
    targets = [Target(n, kind_of(n), rng.random(shape, np.float32)) for n, shape in shapes.items()]
    wanted = make_pattern("head", {"couplings": couplings_of(shapes, Heads(8, 1))})
    for sparsity in (0.05, 0.5, 0.95):
        keeps = [p.keep for p in wanted.masks(targets, wanted.kept(targets, sparsity))]
        asked = wanted.kept(targets, sparsity)
        # In 16 lines of 64 columns each: a head has 16, keys and values of a layer 16.
        least = budget_of * 2 * 16 * 64
        assert all(keep.any() for keep in keeps)
        assert abs(sum(int(k.sum()) for k in keeps) - max(asked, least)) <= 16 * 64 / 2


@pytest.mark.parametrize(
    ("text", "shape", "sparsity", "kept"),
    [
        ("row", (1, 8), 0.6, 8),
        ("row", (4, 8), 0.4, 16),  # 2.4 rows
        ("row", (4, 8), 0.35, 24),  # 2.6 rows
        ("row", (4, 8), 0.375, 16),  # 2.5 rows: no more than asked for
        ("block:32", (7, 3), 0.6, 21),
        ("block:32", (7, 3), 1.0, 0),
        ("column", (8, 3), 0.9, 8),
        ("block:2", (3, 3), 0.5, 4),  # blocks of 4, 2, 2 and 1
    ],
)
def test_the_nearest_number_of_units_stays_and_never_none(
    text: str, shape: tuple[int, int], sparsity: float, kept: int
) -> None:
    scores = np.ones(shape, np.float32)
    scores[:2, :2] = 2  # the best block
    targets = [Target("a", "other", scores)]
    wanted = pattern(text)
    (found,) = wanted.masks(targets, wanted.kept(targets, sparsity))
    assert int(found.keep.sum()) == kept


def test_a_matrix_keeps_its_best_row_though_others_are_worth_more() -> None:
    poor, rich = np.array([[1.0, 1], [2, 2], [1, 1]]), np.full((3, 2), 9.0)
    targets = [
        Target(name, "other", scores.astype(np.float32))
        for name, scores in (("a", poor), ("b", rich))
    ]
    first, second = (p.keep for p in pattern("row").masks(targets, 6))
    assert first.tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert np.count_nonzero(second) == 4


def test_what_attention_costs_is_counted_where_multiplications_are() -> None:
    targets = layer()
    bare, counted = pattern("head"), pattern("head", tokens=100)
    (pool,) = bare.pools(targets)
    mine = [targets[i] for i in pool]
    # Four heads of 8 lanes: each token meets 100 keys and 100 values in each head.
    assert counted.size(mine) - bare.size(mine) == 4 * 8 * 100 * 2


def test_hybrid_ranks_blocks_and_neurons_together() -> None:
    wanted, targets = pattern("hybrid:8"), layer()
    # Attention is worth a tenth per weight: all of it goes first.
    low = [
        Target(t.name, t.kind, t.scores * np.float32(0.01) if "attn" in t.name else t.scores)
        for t in targets
    ]
    size = sum(t.scores.size for t in low if "mlp" in t.name)
    keeps = [p.keep for p in wanted.masks(low, size + 4 * 64)]
    assert [k.all() for k in keeps] == [False] * 4 + [True] * 3
    # But for the last block of each matrix.
    assert [int(k.sum()) for k in keeps[:4]] == [64] * 4


def test_tiles_take_the_direction_that_is_theirs() -> None:
    rng = np.random.default_rng(0)
    noise = rng.lognormal(sigma=0.2, size=(128, 192))
    planted = np.array([[True, False, True], [False, False, True]])
    scores = noise.copy()
    for i in range(2):
        for j in range(3):
            tile = scores[64 * i :][:64, 64 * j :][:, :64]
            lines = np.exp(2 * rng.standard_normal(64))
            tile *= lines[:, None] if planted[i, j] else lines[None, :]
    target = Target("a", "other", scores.astype(np.float32))
    kept = round(0.2 * scores.size)

    def value(text: str) -> float:
        (found,) = pattern(text, menu=(16,), vector_cost=0.0).masks([target], kept)
        return float(scores[found.keep].sum())

    assert value("mvp_tiled") > 1.15 * value("mvp")


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (65, 130), (3, 200), (64, 64)])
@pytest.mark.parametrize("text", [t for t in TEXTS if t not in ("channel", "head", "coupled")])
def test_odd_shapes(text: str, shape: tuple[int, int]) -> None:
    wanted = pattern(text)
    sparsity = max(0.5, 1 - wanted.densest)
    targets = [Target("a", "other", np.ones(shape, np.float32))]
    kept = wanted.kept(targets, sparsity)
    (found,) = wanted.masks(targets, kept)
    assert found.keep.shape == shape
    if isinstance(wanted, WHOLE_UNITS):
        assert abs(int(found.keep.sum()) - kept) <= max(128, *shape) / 2
    else:
        assert found.keep.sum() <= kept
    assert wanted.conforms(masked(targets, [found.keep])) is None


@pytest.mark.parametrize(
    "text",
    [
        "2:4", "vector_wise:4:16", "block:4", "vector:8", "two_level:8", "lane_select:16:2", "row",
        "column",
    ],
)  # fmt: skip
def test_equal_scores_favour_no_place(text: str) -> None:
    wanted = pattern(text)
    targets = [Target("a", "other", np.ones((256, 256), np.float32))]
    sparsity = max(0.5, 1 - wanted.densest)
    (found,) = wanted.masks(targets, wanted.kept(targets, sparsity))
    halves = [h.mean() for half in np.split(found.keep, 2) for h in np.split(half, 2, axis=1)]
    # Rows and columns are few, so their spread is: six deviations of 128 draws of a half.
    assert max(halves) - min(halves) < (0.3 if text in ("row", "column") else 0.1)
    # Inside a group no place is better than another.
    by_place = found.keep.reshape(-1, 4).mean(0)
    assert max(by_place) - min(by_place) < (0.3 if text == "column" else 0.05)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blok:4", "did you mean 'block'"),
        ("block", r"write block:HEIGHT\[:WIDTH\]"),
        ("block:0", "1 or more"),
        ("block:4:4:4", "write block"),
        ("block:x", "write block"),
        ("block:99999999999999999999", "its numbers go up to"),
        ("row:3", "takes no numbers"),
        ("4:2", "the first number is how many are kept"),
        ("0:4", "the first number is how many are kept"),
        ("2:4:8", "write n_m:COUNT:LENGTH"),
        ("vector:0", "1 or more"),
    ],
)
def test_a_pattern_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        pattern(text)


def test_n_m_cannot_hold_more_than_its_groups() -> None:
    targets = [Target("a", "other", np.ones((4, 8), np.float32))]
    with pytest.raises(
        InputError, match=r"asks for 17 of 32 weights, but 2:4 keeps at most 16; give 0\.5"
    ):
        pattern("2:4").masks(targets, 17)


def test_heads_that_nobody_told_of_are_asked_for() -> None:
    wanted = make_pattern("head", {"couplings": ()})
    with pytest.raises(InputError, match="heads is 0"):
        wanted.pools(layer())
