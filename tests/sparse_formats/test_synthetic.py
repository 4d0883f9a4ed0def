"""Are generated masks what was ordered: shapes, density, pattern, and the same for one seed?"""

import math
from itertools import islice

import numpy as np
import pytest

from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import kind_of, network_order
from sparse_formats.masks.orientation import stored_in_out
from sparse_formats.masks.slots import check_slots
from sparse_formats.masks.synthetic import (
    PATTERNS,
    SHAPES,
    SHARE_OF_LENGTH,
    MatrixShape,
    generate,
    parse_shapes,
)
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
    for matrix in generate(parse_shapes(ODD), density, "random"):
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
    for matrix in generate(parse_shapes(ODD + ",160x256"), density, "two_level"):
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
    with pytest.raises(
        InputError, match=r"density is 0\.3, .* one of 4 weights; give 0\.25 or less"
    ):
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
        total += next(generate(parse_shapes("10x10"), 0.2, "random", seed)).keep
    assert abs(total.mean() - 80) < 1e-9
    assert abs(total - 80).max() < 5 * 8
    # Variance over entries of a uniform draw: 64, relative sd of the estimate √(2/99) = 14 %.
    assert 0.4 < total.var() / 64 < 1.7


@pytest.mark.parametrize("pattern", PATTERNS)
def test_depends_a_matrix_on_seed_and_place_only(pattern: str) -> None:
    shapes = parse_shapes("20x30,20x30,20x30")
    once = [m.keep.tobytes() for m in generate(shapes, 0.2, pattern, 5)]
    again = [m.keep.tobytes() for m in generate(shapes, 0.2, pattern, 5)]
    later = list(generate(parse_shapes("50x50,20x30,20x30"), 0.2, pattern, 5))
    other = [m.keep.tobytes() for m in generate(shapes, 0.2, pattern, 6)]
    assert once == again
    assert once[1:] == [m.keep.tobytes() for m in later[1:]]
    assert len({*once, *other}) == 6


def test_is_one_matrix_made_at_a_time() -> None:
    # All of Llama would take minutes and gigabytes; the first needs neither.
    (first,) = islice(generate(SHAPES["llama-7b"], 0.2, "random"), 1)
    assert first.shape == (4096, 4096)
