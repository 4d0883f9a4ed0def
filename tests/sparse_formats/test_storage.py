"""How many bits does each format take? Counted on paper."""

import math

import numpy as np
import pytest

from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.mixed_vectors_tiled import MixedVectorsTiled
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.n_m_or_dense import NMOrDense
from sparse_formats.formats.registry import FORMATS
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.formats.run_length import RunLength
from sparse_formats.formats.sa_rcsc import SARCSC
from sparse_formats.formats.vector_wise import VectorWise
from sparse_formats.inspect.cost_formulas import CURVES, density_at, relative
from sparse_formats.masks.decompose import decompose
from sparse_formats.storage import Storage, bits_for
from tests.sparse_formats.test_streams import fitted


def mask(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


# 3 rows of 6 columns, 7 kept.
SMALL = mask("##..#.", "......", "####..")


@pytest.mark.parametrize(
    ("choices", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (768, 10)]
)
def test_how_many_bits_tell_things_apart(choices: int, bits: int) -> None:
    assert bits_for(choices) == bits


def test_what_does_csr_take() -> None:
    # Columns 0..5 need 3 bits; offsets 0..7 need 3; 3 rows have 4 offsets.
    csr = CSR.encode(SMALL)
    assert csr.indptr.tolist() == [0, 3, 3, 7]
    assert csr.indices.tolist() == [0, 1, 4, 0, 1, 2, 3]
    assert csr.storage(16) == Storage(values=7 * 16, indices=7 * 3, pointers=4 * 3)
    assert csr.storage(16).bits == 145


def test_what_does_csc_take() -> None:
    # Rows 0..2 need 2 bits; offsets 0..7 need 3; 6 columns have 7 offsets.
    csc = CSC.encode(SMALL)
    assert csc.indptr.tolist() == [0, 2, 4, 5, 6, 7, 7]
    assert csc.indices.tolist() == [0, 2, 0, 2, 2, 2, 0]
    assert csc.storage(8) == Storage(values=7 * 8, indices=7 * 2, pointers=7 * 3)


def test_how_many_elements_are_stored() -> None:
    # Yoo & Lee 2023: 2a + n + 1 with a = 7; n = 3 rows for CSR, 6 columns for CSC.
    for matrix, lines in ((CSR.encode(SMALL, SMALL), 3), (CSC.encode(SMALL, SMALL), 6)):
        assert matrix.data is not None
        stored = len(matrix.indptr) + len(matrix.indices) + len(matrix.data)
        assert stored == 2 * 7 + lines + 1


def test_what_do_mixed_vectors_take() -> None:
    # Row 0: "##..|#." → 1, 1, and at column 4 only the first of the cut-short pair → 1.
    # Row 2: "####" → one vector of 4. Vertically every kept entry stands alone but in no pair:
    # columns of 3 entries "#.#" → 1 + 1 each, 7 vectors. Horizontal wins with 4.
    encoded = MixedVectors.encode(SMALL)
    layout = encoded.vectors
    assert layout.orientation == "horizontal"
    assert layout.lines.tolist() == [0, 0, 0, 2]
    assert layout.starts.tolist() == [0, 1, 4, 0]
    assert layout.lengths.tolist() == [1, 1, 1, 4]
    # Index: ⌈6/1⌉ = 6 places, 3 bits. Code: lengths {1, 4}, 1 bit. Orientation: 1 bit.
    # Pointers: 3 rows + 1, each telling 0..4 apart, 3 bits.
    assert encoded.storage(16) == Storage(values=7 * 16, indices=4 * (3 + 1) + 1, pointers=4 * 3)


def test_does_a_shortest_length_above_one_shorten_the_index() -> None:
    # One row of 20: vectors of 8 at 0 and of 4 at 8 and 16. L_min 4: ⌈20/4⌉ = 5 places, 3 bits.
    keep = mask("############....####")
    # Column 16..19 is also the clipped segment of every length that divides 16: 16 wins.
    encoded = MixedVectors.encode(keep)
    assert encoded.vectors.lengths.tolist() == [8, 4, 16]
    # Three lengths present: 2 bits of code. Two pointers tell 0..3 apart, 2 bits each.
    assert encoded.storage(16) == Storage(values=16 * 16, indices=3 * (3 + 2) + 1, pointers=2 * 2)


def test_does_a_single_length_need_no_code() -> None:
    # Two rows of 8, one vector of 4 each: ⌈8/4⌉ = 2 places, 1 bit, no code; pointers 3 × 2 bits.
    encoded = MixedVectors.encode(mask("####....", "....####"))
    assert encoded.vectors.lengths.tolist() == [4, 4]
    assert encoded.storage(4) == Storage(values=8 * 4, indices=2 * 1 + 1, pointers=3 * 2)


def test_what_does_an_empty_mask_take() -> None:
    nothing = np.zeros((5, 7), np.bool_)
    assert CSR.encode(nothing).storage(16).bits == 0
    assert CSC.encode(nothing).storage(16).bits == 0
    # Of the mixed-length vectors only the orientation is left.
    assert MixedVectors.encode(nothing).storage(16) == Storage(values=0, indices=1, pointers=0)


def test_does_csr_take_5_22_bits_an_element_at_80_percent() -> None:
    # 768×768, one in five kept, 117,965 in all: 0.2·(16 + 10) + 17·769/768² = 5.222.
    keep = np.zeros((768, 768), np.bool_)
    keep.reshape(-1)[::5] = True
    assert CSR.encode(keep).storage(16).bits / keep.size == pytest.approx(5.222, abs=0.001)


@pytest.mark.parametrize(
    ("rows", "lengths", "orientation"),
    [
        (["#" * 64], [64], "horizontal"),
        (["#" * 63 + "."], [32, 16, 8, 4, 1, 1, 1], "horizontal"),
        (["." + "#" * 63], [1, 1, 1, 4, 8, 16, 32], "horizontal"),
        # A line of 5 is one cut-short 64.
        (["#####"], [64], "horizontal"),
        # Entry 4 of a line of 5 stands at a multiple of 4: a cut-short 4.
        (["....#"], [4], "horizontal"),
        # Columns are whole (each one cut-short 64), rows are not: 2 vectors instead of 8.
        (["#.#."] * 4, [64, 64], "vertical"),
        # A tie goes to horizontal.
        (["#"], [64], "horizontal"),
    ],
)
def test_how_is_a_mask_cut_into_vectors(
    rows: list[str], lengths: list[int], orientation: str
) -> None:
    layout = decompose(mask(*rows))
    assert layout.orientation == orientation
    assert layout.lengths.tolist() == lengths


def test_are_storages_added_part_by_part() -> None:
    assert Storage(1, 2, 3, 4) + Storage(10, 20, 30) == Storage(11, 22, 33, 4)


# The XOR network stores bits of weights, not weights.
@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"xor_net"}))
def test_do_value_bits_change_values_and_padding_only(format: str) -> None:
    keep = fitted(format, SMALL)
    encoded = FORMATS[format].encode(keep)
    narrow, wide = encoded.storage(4), encoded.storage(16)
    assert (narrow.indices, narrow.pointers) == (wide.indices, wide.pointers)
    assert wide.values == 4 * narrow.values == int(keep.sum()) * 16
    assert (narrow.padding == 0) == (wide.padding == 0)


# --- the other formats, by hand -------------------------------------------------------------------


def test_what_do_dense_and_bitmap_take() -> None:
    # 18 entries of which 7 are kept; a bit an entry in the bitmap.
    assert FORMATS["dense"].encode(SMALL).storage(8) == Storage(7 * 8, 0, 0, 11 * 8)
    assert FORMATS["bitmap"].encode(SMALL).storage(8) == Storage(7 * 8, 18, 0)


def test_what_do_groups_of_groups_take() -> None:
    # 2 of 3 groups of 2:4: two sets of 2 places, of which one is used; 8 slots, 2 of them used.
    keep = mask("##..............")
    given = {"groups": 2, "of_groups": 3, "count": 2, "length": 4}
    encoded = FORMATS["hierarchical_n_m"].encode(keep, None, **given)
    assert encoded.storage(8) == Storage(2 * 8, 2 + 2 * 2, 0, 3 * 2 + 6 * (8 + 2))
    # Places are full here, and so are slots: nothing but 2 · 1 bits of groups, 4 · 2 of inputs.
    keep, given = mask("....#.#.......##"), {"groups": 1, "of_groups": 2}
    encoded = FORMATS["hierarchical_n_m"].encode(keep, None, **given)
    assert encoded.storage(8) == Storage(4 * 8, 2 * 1 + 4 * 2, 0, 0)


def test_what_does_a_sum_of_two_terms_take() -> None:
    # 2:4 takes 5 weights in 12 slots of 3 bits, 2:8 two more in 6 slots of 4, and nothing is left.
    encoded = FORMATS["sum_n_m"].encode(SMALL)
    assert encoded.storage(8) == Storage(7 * 8, 5 * 3 + 2 * 4, 0, 7 * (8 + 3) + 4 * (8 + 4))
    # 1:2 takes 4 in 9 slots of 2 bits, 1:6 two more in 3 of 3; one is left, in row 2 of 3 (2 bits)
    # and column 3 of 6 (3 bits).
    given = {"count": 1, "length": 2, "further": 1, "of": 6}
    encoded = FORMATS["sum_n_m"].encode(SMALL, None, **given)
    assert encoded.storage(8) == Storage(7 * 8, 4 * 2 + 2 * 3 + 5, 0, 5 * (8 + 2) + 1 * (8 + 3))


def test_what_do_dense_blocks_beside_others_take() -> None:
    # Two rows whole, two with 3 weights in 4 slots of 2 bits, a bit for each of 2 blocks.
    encoded = NMOrDense.encode(mask("####", "####", "##..", "...#"), None, height=2)
    assert encoded.storage(8) == Storage((8 + 3) * 8, 3 * 2, 2, 1 * (8 + 2))


def test_what_does_ellpack_take() -> None:
    # Rows of 3, 0 and 4: 12 slots, 5 unused; columns 0..5 need 3 bits; lengths 0..4 need 3.
    assert FORMATS["ellpack"].encode(SMALL).storage(8) == Storage(56, 21, 3 * 3, 5 * (8 + 3))


def test_what_do_runs_take() -> None:
    # Places 0, 1, 4, 12, 13, 14, 15 row by row: gaps 0, 0, 2, 7, 0, 0, 0. Runs of 2 bits reach 3:
    # the gap of 7 takes one padding zero (4 places) and a run of 3.
    assert RunLength.encode(SMALL).storage(8) == Storage(56, 7 * 4, 0)
    short = RunLength.encode(SMALL, None, run_bits=2)
    assert short.entries.runs.tolist() == [0, 0, 2, 3, 3, 0, 0, 0]
    assert short.storage(8) == Storage(56, 7 * 2, 0, 1 * (8 + 2))


def test_what_do_rows_dealt_out_to_elements_take() -> None:
    # Rows 0 and 2 are element 0's, row 1 element 1's. Element 0's columns hold 2, 2, 1, 1, 1, 0
    # entries, 7 in all, so all 2·7 pointers have ⌈log2 8⌉ = 3 bits. Row 2 is local row 1.
    matrix = RelativeCSC.encode(SMALL, None, run_bits=4, pes=2)
    assert matrix.pointers.tolist() == [[0, 2, 4, 5, 6, 7, 7], [0] * 7]
    assert matrix.entries.runs.tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert matrix.storage(8) == Storage(56, 7 * 4, 14 * 3)


def test_what_do_groups_take() -> None:
    # 2 rows of 6 as groups of 4 and 2, 2 slots each: 8 slots of 8 + 2 bits, 5 in use.
    keep = mask("#..##.", ".##...")
    matrix = NM.encode(keep)
    # Two places; one place twice; nothing reads 1, 0.
    assert matrix.indices.tolist() == [[[0, 3], [0, 0]], [[1, 2], [1, 0]]]
    assert matrix.storage(8) == Storage(5 * 8, 5 * 2, 0, 3 * (8 + 2))
    # 3 of 8 exactly: 2 vectors of 3 slots of 8 + 3 bits.
    vectors = VectorWise.encode(mask("###.....", "#..#...#"), None, length=8)
    assert vectors.kept == 3
    assert vectors.storage(8) == Storage(6 * 8, 6 * 3, 0)


def test_what_do_blocks_take() -> None:
    # 3×5 in blocks of 2: 2 × 3 of them. Kept: (0, 1) whole, (1, 2) of which one entry is inside.
    keep = mask("..##.", "..##.", "....#")
    # Block columns 0..2 need 2 bits; 3 pointers tell 0..2 apart, 2 bits each; 3 values outside.
    assert BSR.encode(keep, None, 2).storage(8) == Storage(5 * 8, 2 * 2, 3 * 2, 3 * 8)


def test_what_does_sa_rcsc_take() -> None:
    # 4 rows with 1, 3, 0, 2 kept: order 1, 3, 0, 2. Two sets to and fro: row 1 and then row 2 are
    # set 0's, rows 3 and 0 set 1's; tags 0 and 1.
    keep = mask("#.....", "##...#", "......", ".#...#")
    matrix = SARCSC.encode(keep, None, sets=2, window=3)
    assert matrix.order.tolist() == [1, 3, 0, 2]
    assert matrix.pointers.tolist() == [[0, 2, 3], [0, 2, 3]]
    # Set 0: row 1's columns 0, 1 | 5. Set 1: row 0's 0, row 3's 1 | row 3's 5.
    assert matrix.columns.tolist() == [0, 1, 2, 0, 1, 2]
    assert matrix.tags.tolist() == [0, 0, 0, 1, 0, 0]
    # Entries: 2 bits of column in a window of 3, 1 bit of tag. 6 pointers tell 0..3 apart, 2 bits
    # each; 4 rows' numbers of 2 bits.
    assert matrix.storage(8) == Storage(6 * 8, 6 * (2 + 1), 6 * 2 + 4 * 2)


def test_are_tiles_small_matrices_of_their_own() -> None:
    rng = np.random.default_rng(5)
    keep = rng.random((150, 200)) < 0.4
    # One tile full of columns, one empty.
    keep[:64, :64] = rng.random(64) < 0.5
    keep[64:128, 64:128] = False
    tiles = [keep[r : r + 64, c : c + 64] for r in range(0, 150, 64) for c in range(0, 200, 64)]
    alone = [MixedVectors.encode(tile) for tile in tiles]
    together = MixedVectorsTiled.encode(keep)
    for bits in (4, 16):
        parts = (matrix.storage(bits) for matrix in alone)
        assert together.storage(bits) == sum(parts, Storage(0, 0, 0))
    orientations = [matrix.vectors.orientation == "vertical" for matrix in alone]
    assert together.vertical.tolist() == orientations
    assert any(orientations) and not all(orientations)


# --- the closed formulas --------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.02, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("format", ["dense", "csr", "csc", "relative_csc", "run_length", "bitmap"])
@pytest.mark.parametrize("value_bits", [4, 16])
def test_does_a_random_mask_take_what_the_formula_says(
    format: str, density: float, value_bits: int
) -> None:
    rows, cols = 600, 700
    keep = np.random.default_rng(0).random((rows, cols)) < density
    bits = FORMATS[format].encode(keep).storage(value_bits).bits / keep.size
    exact = float(keep.mean())
    # Runs depend on the gaps drawn; and a column, unlike the formula's, ends, without padding.
    tolerance = {"relative_csc": 0.08, "run_length": 0.01}.get(format, 1e-9)
    assert bits == pytest.approx(CURVES[format](exact, rows, cols, value_bits), rel=tolerance)


# From an earlier calculation by formula: densities at which formats break even (768×768).
@pytest.mark.parametrize(
    ("format", "fp16", "int8", "int4"),
    [
        ("csr", 0.614, 0.443, 0.284),
        ("bitmap", 0.9375, 0.875, 0.75),
        ("run_length", 0.80, 0.667, 0.5),
        ("mixed_vectors", 0.976, 0.953, 0.91),
    ],
)
def test_where_do_formats_break_even_with_dense(
    format: str, fp16: float, int8: float, int4: float
) -> None:
    for bits, earlier in ((16, fp16), (8, int8), (4, int4)):
        found = density_at(bits, format, 768, 768, bits)
        assert found is not None and found == pytest.approx(earlier, abs=0.005)


def test_is_a_format_that_always_or_never_breaks_even_said_so() -> None:
    assert density_at(16.0, "dense", 768, 768, 16) == 1
    assert density_at(15.9, "dense", 768, 768, 16) is None
    # A bitmap takes a bit for an element even of nothing.
    assert density_at(0.5, "bitmap", 768, 768, 16) is None


# From the same calculation: bits per element at density .2 (runs of 4 and 5 bits) and .1.
@pytest.mark.parametrize(
    ("bits", "earlier"),
    [
        (CURVES["csr"](0.2, 768, 768, 16), 5.23),
        (CURVES["bitmap"](0.2, 768, 768, 16), 4.20),
        (relative(0.2, 16, 4), 4.12),
        (relative(0.2, 16, 5), 4.20),
        (CURVES["mixed_vectors"](0.2, 768, 768, 16), 3.30),
        (CURVES["csr"](0.2, 768, 768, 8), 3.63),
        (CURVES["bitmap"](0.2, 768, 768, 8), 2.60),
        (relative(0.2, 8, 4), 2.47),
        (relative(0.1, 16, 4), 2.46),
        (relative(0.1, 16, 5), 2.18),
    ],
)
def test_do_bits_per_element_agree_with_the_table(bits: float, earlier: float) -> None:
    assert bits == pytest.approx(earlier, abs=0.02)


@pytest.mark.parametrize("length", [4, 16, 64])
def test_do_vectors_take_their_formula(length: int) -> None:
    # nnz·b + vectors·(index + code) + (lines + 1)·⌈log2(vectors + 1)⌉ + 1, one
    # length present, so no code; every other vector of each line, the others on the next line.
    keep = np.zeros((96, 64 * 8), np.bool_)
    for line in range(96):
        keep[line].reshape(-1, length)[line % 2 :: 2] = True
    vectors = 96 * 64 * 8 // length // 2
    bits = MixedVectors.encode(keep).storage(16).bits
    index = math.ceil(math.log2(64 * 8 / length))
    pointers = 97 * math.ceil(math.log2(vectors + 1))
    assert bits == vectors * (16 * length + index) + pointers + 1
