"""How many bits does each format take? Counted on paper."""

import numpy as np
import pytest

from sparse_formats.csc import CSC
from sparse_formats.csr import CSR
from sparse_formats.decompose import decompose
from sparse_formats.formats import FORMATS
from sparse_formats.mixed_vectors import MixedVectors
from sparse_formats.storage import Storage, bits_for


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
    # The seed's 2a + n + 1 with a = 7: n = 3 rows for CSR, 6 columns for CSC.
    assert CSR.encode(SMALL).elements() == 2 * 7 + 3 + 1
    assert CSC.encode(SMALL).elements() == 2 * 7 + 6 + 1


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
    # Of the mixed vectors only the orientation is left.
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


@pytest.mark.parametrize("format", set(FORMATS) - {"n_m", "vector_wise", "bsr"})
def test_do_value_bits_change_values_and_padding_only(format: str) -> None:
    encoded = FORMATS[format].encode(SMALL)
    narrow, wide = encoded.storage(4), encoded.storage(16)
    assert (narrow.indices, narrow.pointers) == (wide.indices, wide.pointers)
    assert wide.values == 4 * narrow.values == 7 * 16
    assert (narrow.padding == 0) == (wide.padding == 0)
