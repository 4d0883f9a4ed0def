"""Are generated masks what was ordered: shapes, density, pattern, and the same for one seed?"""

import math
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import kind_of, network_order
from sparse_formats.masks.orientation import stored_in_out
from sparse_formats.masks.slots import check_slots
from sparse_formats.masks.synthetic.generate import (
    PATTERNS,
    generate,
    make_drawn,
    own_density,
    said_of_density,
)
from sparse_formats.masks.synthetic.mixed_vectors import SHARE_OF_LENGTH
from sparse_formats.masks.synthetic.shapes import SHAPES, MatrixShape, parse_shapes
from sparse_formats.masks.synthetic.tiles import nearest_counts
from sparse_formats.masks.vectors import check_vectors

ODD = "1x1,1x7,7x1,13x17,64x65,5x130,3x3,67x129"


@pytest.mark.parametrize(
    ("model", "matrices", "weights"),
    [
        # 12·(3 + 1 + 4 + 4)·768² for GPT-2 and BERT; Llama: 32·(4·4096² + 3·4096·11008).
        ("gpt2-small", 12 * 4, 84_934_656),
        ("bert-base", 12 * 6, 84_934_656),
        ("llama-7b", 32 * 7, 6_476_005_376),
    ],
)
def test_has_a_known_model_its_published_size(model: str, matrices: int, weights: int) -> None:
    shapes = parse_shapes(model)
    assert len(shapes) == matrices
    assert sum(shape.rows * shape.cols for shape in shapes) == weights


@pytest.mark.parametrize("model", SHAPES)
def test_do_names_tell_the_kinds_and_the_order(model: str) -> None:
    names = [shape.name for shape in SHAPES[model]]
    assert [kind_of(name) for name in names] == [shape.kind for shape in SHAPES[model]]
    assert network_order(reversed(names)) == names
    # Written to a plain file, no reader would turn them: they are (out, in) already.
    assert not stored_in_out({s.name: (s.rows, s.cols) for s in SHAPES[model]}).names


def test_are_shapes_parsed() -> None:
    assert [(s.rows, s.cols) for s in parse_shapes("2304x768, 768X3072")] == [
        (2304, 768),
        (768, 3072),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpt2-smal", "did you mean 'gpt2-small'"),
        ("", "neither a model nor OUTxIN"),
        ("3x", "'3x', which is neither a model nor OUTxIN"),
        ("3x4,", "'', which is neither"),
        ("-3x4", "'-3x4', which is neither"),
        ("0x4", "0x4, a matrix of 0 entries"),
        ("99999999x99999999", "give between 1 and 2147483647"),
    ],
)
def test_what_do_bad_shapes_say(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_shapes(text)


@pytest.mark.parametrize(
    ("density", "pattern", "seed", "says"),
    [
        (-0.1, "mvp", 0, "density is -0.1"),
        (1.5, "mvp", 0, "density is 1.5"),
        (float("nan"), "mvp", 0, "density is nan"),
        (0.5, "mpv", 0, "pattern is 'mpv'; did you mean 'mvp'"),
        (0.5, "mvp", -1, "seed is -1"),
    ],
)
def test_what_does_a_bad_order_say(density: float, pattern: str, seed: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        generate(parse_shapes("2x2"), density, pattern, seed)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.5, 0.99, 1.0])
def test_does_random_keep_exactly_the_share_ordered(density: float) -> None:
    for matrix in generate(parse_shapes(ODD), density, "fine"):
        assert matrix.nnz == round(density * matrix.keep.size)
        assert matrix.weight is None and matrix.vectors is None


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.5, 0.99, 1.0])
def test_does_mvp_meet_it_within_one_short_vector(density: float) -> None:
    for matrix in generate(parse_shapes(ODD) * 2, density, "mvp"):
        assert 0 <= matrix.nnz - round(density * matrix.keep.size) < 4
        assert matrix.vectors is not None
        check_vectors(matrix.vectors, matrix.keep, matrix.name)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.5, 0.99, 1.0])
def test_do_two_levels_keep_the_share_ordered_in_few_slots(density: float) -> None:
    for matrix in generate(parse_shapes(ODD + ",160x256"), density, "two_level:16"):
        nnz = round(density * matrix.keep.size)
        assert matrix.nnz == nnz
        assert matrix.slots is not None and (matrix.slots.lanes, matrix.slots.choices) == (16, 1)
        # Slots of which nothing was drawn do not count: of 16 weights that is (1/3)^16.
        most = min(math.ceil(1.5 * nnz), matrix.keep.size) / 16
        across = np.pad(matrix.keep, ((0, -matrix.shape[0] % 16), (0, -matrix.shape[1] % 16)))
        if matrix.slots.orientation == "vertical":
            across = across.T
        occupied = np.count_nonzero(across.reshape(-1, 16).any(1))
        if matrix.shape == (160, 256):
            assert occupied == math.ceil(most)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.25])
def test_does_lane_select_meet_it_within_one_slot(density: float) -> None:
    for matrix in generate(parse_shapes(ODD) * 2, density, "lane_select"):
        assert 0 <= matrix.nnz - round(density * matrix.keep.size) < 16
        assert matrix.slots is not None and (matrix.slots.lanes, matrix.slots.choices) == (16, 4)
        check_slots(matrix.slots, matrix.keep, matrix.name)


def test_are_selected_candidates_drawn_evenly() -> None:
    for kind in ("QKV", "FFN2"):
        (matrix,) = generate([MatrixShape("m", kind, 1024, 1024)], 0.2, "lane_select")
        by_candidate = (
            matrix.keep.reshape(-1, 4, 16).sum((0, 2))
            if kind == "QKV"
            else matrix.keep.reshape(-1, 4).sum(0)
        )
        # 52,429 draws of one in four: sd √(.25·.75·52,429) = 99.
        assert abs(by_candidate - matrix.nnz / 4).max() < 5 * 99


def test_do_lanes_not_select_more_than_they_have() -> None:
    with pytest.raises(InputError, match=r"density is 0\.3, .* at most 0\.25; give 0\.25 or less"):
        generate(parse_shapes("64x64"), 0.3, "lane_select")


def test_has_mvp_the_chosen_mix_of_lengths_and_the_kinds_orientation() -> None:
    # No line is cut short and 20 % of 768·512 divides by all lengths: the mix is met closely.
    kinds = ("QKV", "FFN1", "gate", "attention out", "FFN2", "down")
    shapes = [MatrixShape(kind, kind, 768, 512) for kind in kinds]
    for i, matrix in enumerate(generate(shapes, 0.2, "mvp")):
        assert matrix.vectors is not None
        assert matrix.vectors.orientation == ("horizontal" if i < 3 else "vertical")
        for length, share in SHARE_OF_LENGTH.items():
            held = length * np.count_nonzero(matrix.vectors.lengths == length)
            assert held / matrix.nnz == pytest.approx(share, abs=64 / matrix.nnz)


def test_do_unknown_kinds_alternate() -> None:
    found = [m.vectors for m in generate(parse_shapes("8x8,8x8,8x8"), 0.5, "mvp")]
    orientations = [v.orientation for v in found if v is not None]
    assert orientations == ["horizontal", "vertical", "horizontal"]


def test_is_random_uniform() -> None:
    # 400 draws of 20 out of 100: each entry is kept 80 times on average, sd √(400·.2·.8) = 8.
    total = np.zeros((10, 10))
    for seed in range(400):
        total += next(generate(parse_shapes("10x10"), 0.2, "fine", seed)).keep
    assert abs(total.mean() - 80) < 1e-9
    assert abs(total - 80).max() < 5 * 8
    # Variance over entries of a uniform draw: 64, relative sd of the estimate √(2/99) = 14 %.
    assert 0.4 < total.var() / 64 < 1.7


# One of each pattern, with numbers that do not divide the matrices.
EVERY = (
    *("mvp", "mvp_tiled", "vector:4", "two_level:6", "lane_select:4:3", "fine", "2:4", "n_m:3:7"),
    *("vector_wise:5:16", "block:4", "block:6:4", "row", "column", "channel", "head", "coupled"),
    *("hybrid:5", "hierarchical_n_m:2:4:2:4", "sum_n_m:1:3:1:9", "n_m_or_dense:1:4:5"),
    "combined:4:7",
)
LAYER = (
    MatrixShape("layers.0.q_proj", "Q", 48, 40, 6, 2),
    MatrixShape("layers.0.k_proj", "K", 16, 40, 6, 2),
    MatrixShape("layers.0.v_proj", "V", 16, 40, 6, 2),
    MatrixShape("layers.0.o_proj", "attention out", 40, 48, 6, 2),
    MatrixShape("layers.0.gate_proj", "gate", 70, 40, 6, 2),
    MatrixShape("layers.0.up_proj", "up", 70, 40, 6, 2),
    MatrixShape("layers.0.down_proj", "down", 40, 70, 6, 2),
)


def test_is_there_an_example_of_every_pattern() -> None:
    assert {make_drawn(text).__class__ for text in EVERY} == set(PATTERNS.values())


@pytest.mark.parametrize("pattern", EVERY)
def test_depends_a_matrix_on_seed_and_place_only(pattern: str) -> None:
    shapes = tuple(replace(LAYER[4], name=f"layers.{i}.up_proj") for i in range(3))
    if pattern == "head":
        many = replace(LAYER[0], heads=48, kv_heads=16)
        shapes = tuple(replace(many, name=f"layers.{i}.q_proj") for i in range(3))
    density = own_density(pattern) or 0.2
    once = [m.keep.tobytes() for m in generate(shapes, density, pattern, 5)]
    again = [m.keep.tobytes() for m in generate(shapes, density, pattern, 5)]
    wider = replace(shapes[0], rows=96)
    later = list(generate((wider, *shapes[1:]), density, pattern, 5))
    other = [m.keep.tobytes() for m in generate(shapes, density, pattern, 6)]
    assert once == again
    assert once[1:] == [m.keep.tobytes() for m in later[1:]]
    assert len({*once, *other}) == 6


def test_is_one_matrix_made_at_a_time() -> None:
    # All of Llama would take minutes and gigabytes; the first needs neither.
    (first,) = islice(generate(SHAPES["llama-7b"], 0.2, "fine"), 1)
    assert first.shape == (4096, 4096)


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True),
    data=st.data(),
)
def test_are_tiles_taken_that_come_nearest(sizes: list[int], data: st.DataObject) -> None:
    counts = [data.draw(st.integers(1, 5)) for _ in sizes]
    items = data.draw(st.permutations([i for i, n in enumerate(counts) for _ in range(n)]))
    ends = np.cumsum([0, *(sizes[i] for i in items)])
    nnz = data.draw(st.integers(0, int(ends[-1])))
    first = items[: int(np.argmin(abs(ends - nnz)))]
    near = np.bincount(first, minlength=len(sizes)).astype(np.int64)
    found = nearest_counts(np.array(sizes), np.array(counts), near, nnz)
    assert all(0 <= n <= count for n, count in zip(found, counts, strict=True))
    every = product(*(range(count + 1) for count in counts))
    best = min(abs(sum(s * n for s, n in zip(sizes, taken, strict=True)) - nnz) for taken in every)
    assert abs(int(found @ np.array(sizes)) - nnz) == best


@pytest.mark.parametrize("density", [0.0, 0.03, 0.3, 0.77, 1.0])
@pytest.mark.parametrize(("pattern", "tile"), [("block:6:4", (6, 4)), ("row", (1, 2**20))])
def test_do_blocks_come_nearest(density: float, pattern: str, tile: tuple[int, int]) -> None:
    for matrix in generate(parse_shapes(ODD), density, pattern):
        rows, cols = matrix.shape
        sizes = [
            min(tile[0], rows - i) * min(tile[1], cols - j)
            for i in range(0, rows, tile[0])
            for j in range(0, cols, tile[1])
        ]
        reached = {0}  # every number of weights that whole tiles can come to
        for size in sizes:
            reached |= {other + size for other in reached}
        nnz = round(density * rows * cols)
        assert abs(matrix.nnz - nnz) == min(abs(other - nnz) for other in reached)


def test_are_groups_filled_as_their_name_says() -> None:
    for pattern, count, length in (("2:4", 2, 4), ("n_m:9:32", 9, 32), ("vector_wise:3:7", 3, 7)):
        for matrix in generate(parse_shapes(ODD), count / length, pattern):
            for first in range(0, matrix.shape[1], length):
                group = np.count_nonzero(matrix.keep[:, first : first + length], axis=1)
                assert set(group) == {min(count, length, matrix.shape[1] - first)}
    (less,) = generate(parse_shapes("64x64"), 0.3, "2:4")
    assert less.nnz == round(0.3 * 64 * 64)
    assert less.keep.reshape(-1, 4).sum(1).max() == 2


def test_is_each_way_to_fill_a_group_as_likely() -> None:
    for pattern in ("2:4", "16:32"):
        density = 0.5
        (matrix,) = generate(parse_shapes("4096x64"), density, pattern)
        # 4096 coins a column: sd √(4096)/2 = 32.
        assert abs(matrix.keep.sum(0) - 2048).max() < 5 * 32


def test_do_units_go_from_all_matrices_of_a_layer() -> None:
    q, k, v, out, gate, up, down = (m.keep for m in generate(LAYER, 0.5, "coupled"))
    neurons = np.asarray(gate.any(1))
    assert neurons.sum() == 35
    assert (gate == neurons[:, None]).all() and (up == gate).all() and (down == up.T).all()
    heads, groups = q.reshape(6, -1).any(1), k.reshape(2, -1).any(1)
    assert (q == np.repeat(heads, 8)[:, None]).all() and (out == q.T).all()
    assert (k == np.repeat(groups, 8)[:, None]).all() and (v == k).all()
    # A key-value head stays as long as one of the three heads that share it does.
    assert (groups == heads.reshape(2, 3).any(1)).all()


def test_do_other_matrices_stay_whole_and_is_that_said() -> None:
    masks = list(generate(LAYER, 0.5, "channel"))
    assert all(m.keep.all() for m in masks[:4]) and not any(m.keep.all() for m in masks[4:])
    kept = [(shape, mask.nnz) for shape, mask in zip(LAYER, masks, strict=True)]
    (said,) = said_of_density("channel", 0.5, kept)
    assert said.startswith("Pattern channel leaves 4 of 7 matrices whole: layers.0.q_proj, ")


def test_is_what_was_rounded_said() -> None:
    shapes = parse_shapes("10x10,10x10")
    kept = [(s, m.nnz) for s, m in zip(shapes, generate(shapes, 0.33, "row"), strict=True)]
    (said,) = said_of_density("row", 0.33, kept)
    assert said == (
        "Pattern row cannot keep 33 % exactly: the masks keep 60 of 200 weights, 6 fewer than "
        "asked for (30 %)."
    )
    assert not said_of_density("row", 0.3, kept)


@pytest.mark.parametrize(
    ("density", "pattern", "says"),
    [
        (0.5, "vector", "write vector:LENGTH with whole numbers"),
        (0.5, "vector:0", "has vectors of length 0"),
        (0.5, "blok:4", "did you mean 'block'"),
        (0.6, "2:4", "keeps at most 0.5; give 0.5 or less"),
        (0.5, "5:4", "the first number is how many are kept"),
        (0.3, "vector_wise:2:4", "keeps exactly 0.5; leave it out"),
        (0.5, "channel", "no matrix of matrix0 … matrix0 is known to have any"),
        (0.5, "fine:3", "fine takes no numbers"),
    ],
)
def test_what_does_a_pattern_that_cannot_be_say(density: float, pattern: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        generate(parse_shapes("8x8"), density, pattern)
