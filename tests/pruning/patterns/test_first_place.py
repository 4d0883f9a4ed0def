"""Is the place that `conforms` names the first one? Against rules written out in plain loops."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pruning.patterns import make_pattern
from pruning.structure.couplings import Coupling
from pruning.structure.slices import Slice
from sparse_formats.masks.matrix import MaskedMatrix

Keep = NDArray[np.bool_]

MASKS = hnp.arrays(
    np.bool_,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=11),
    elements=st.sampled_from([True, True, False]),
)


def tiles(keep: Keep, height: int, width: int) -> Iterator[tuple[int, int, Keep]]:
    rows, cols = keep.shape
    for row in range(0, rows, height):
        for col in range(0, cols, width):
            yield row, col, keep[row : row + height, col : col + width]


def in_part(keep: Keep, height: int, width: int) -> tuple[int, int] | None:
    """The first tile that is kept in part."""
    found = ((r, c) for r, c, tile in tiles(keep, height, width) if tile.any() and not tile.all())
    return next(found, None)


def too_many(keep: Keep, count: int, length: int) -> tuple[int, int] | None:
    found = ((r, c) for r, c, group in tiles(keep, 1, length) if group.sum() > count)
    return next(found, None)


def not_exactly(keep: Keep, count: int, length: int) -> tuple[int, int] | None:
    """Only a last group that is shorter than the first may keep fewer."""
    usual = min(length, keep.shape[1])
    for row, col, group in tiles(keep, 1, length):
        kept, size = int(group.sum()), group.size
        if kept > count or (kept < min(count, size) and size == usual):
            return row, col
    return None


def too_many_groups(keep: Keep, groups: int, of_groups: int, length: int) -> tuple[int, int] | None:
    for row, col, of_set in tiles(keep, 1, of_groups * length):
        if sum(bool(group.any()) for _, _, group in tiles(of_set, 1, length)) > groups:
            return row, col
    return None


def beyond(keep: Keep, count: int, length: int, further: int, of: int) -> tuple[int, int] | None:
    """Where more is left than the second term can hold, once the first is full."""
    for row, col, wide in tiles(keep, 1, of):
        left = sum(max(int(group.sum()) - count, 0) for _, _, group in tiles(wide, 1, length))
        if left > further:
            return row, col
    return None


def neither_whole(keep: Keep, count: int, length: int, height: int) -> tuple[int, int] | None:
    for top, _, block in tiles(keep, height, keep.shape[1]):
        found = None if block.all() else too_many(block, count, length)
        if found is not None:
            return top + found[0], found[1]
    return None


def neither_way(keep: Keep, length: int) -> tuple[int, int] | None:
    """Where the orientation that comes further breaks."""
    places = [in_part(keep, 1, length), in_part(keep, length, 1)]
    return None if None in places else max(place for place in places if place is not None)


RULES: dict[str, Any] = {
    "1:4": lambda k: too_many(k, 1, 4),
    "2:4": lambda k: too_many(k, 2, 4),
    "n_m:3:5": lambda k: too_many(k, 3, 5),
    "vector_wise:2:4": lambda k: not_exactly(k, 2, 4),
    "hierarchical_n_m:1:2:1:2": lambda k: too_many(k, 1, 2) or too_many_groups(k, 1, 2, 2),
    "hierarchical_n_m:2:3:2:3": lambda k: too_many(k, 2, 3) or too_many_groups(k, 2, 3, 3),
    "sum_n_m:1:2:1:4": lambda k: beyond(k, 1, 2, 1, 4),
    "sum_n_m:2:3:2:9": lambda k: beyond(k, 2, 3, 2, 9),
    "n_m_or_dense:1:2:2": lambda k: neither_whole(k, 1, 2, 2),
    "n_m_or_dense:2:4:3": lambda k: neither_whole(k, 2, 4, 3),
    "block:3": lambda k: in_part(k, 3, 3),
    "block:2:4": lambda k: in_part(k, 2, 4),
    "row": lambda k: in_part(k, 1, k.shape[1]),
    "column": lambda k: in_part(k, k.shape[0], 1),
    "vector:4": lambda k: neither_way(k, 4),
    "mvp": lambda k: neither_way(k, 2),
    "mvp_tiled": lambda k: None if neither_way(k, 2) is None else (0, 0),
    "fine": lambda k: None,
}


@pytest.mark.parametrize("text", RULES)
@given(keep=MASKS)
def test_the_first_place_is_named(text: str, keep: Keep) -> None:
    wanted = make_pattern(text, {"menu": (2, 4)})
    found = wanted.conforms([MaskedMatrix("a", keep)])
    assert (None if found is None else (found.row, found.col)) == RULES[text](keep)


@given(keep=MASKS)
def test_of_several_matrices_the_first_is_named(keep: Keep) -> None:
    wanted = make_pattern("2:4", {})
    good, bad = MaskedMatrix("good", np.zeros((2, 8), np.bool_)), MaskedMatrix("bad", keep)
    last = MaskedMatrix("last", np.ones((2, 8), np.bool_))
    found = wanted.conforms([good, bad, last])
    assert found is not None
    assert found.matrix == ("last" if RULES["2:4"](keep) is None else "bad")


@given(hnp.arrays(np.bool_, (4, 3)), hnp.arrays(np.bool_, (3, 6)))
def test_the_first_unit_kept_in_part_is_named(first: Keep, last: Keep) -> None:
    """Three units: of one row of a each (the last row is nobody's), of two columns of b each."""
    parts = (Slice("a", 0, 0, 1, 1), Slice("b", 1, 0, 2, 2))
    wanted = make_pattern("channel", {"couplings": (Coupling("neuron", 3, parts),)})
    found = wanted.conforms([MaskedMatrix("a", first), MaskedMatrix("b", last)])
    units = [np.concatenate([first[u], last[:, 2 * u : 2 * u + 2].ravel()]) for u in range(3)]
    broken = [u for u, bits in enumerate(units) if bits.any() and not bits.all()]
    if not broken:
        assert found is None
        return
    assert found is not None
    unit = broken[0]
    # In the matrix where it is torn, else in the one where it is gone.
    mine, other = first[unit], last[:, 2 * unit : 2 * unit + 2]
    torn_a, torn_b = mine.any() and not mine.all(), other.any() and not other.all()
    in_a = torn_a or (not torn_b and not mine.any())
    assert (found.matrix, found.row, found.col) == (("a", unit, 0) if in_a else ("b", 0, 2 * unit))
