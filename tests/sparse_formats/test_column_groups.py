"""Are columns grouped, and weights kept, as column combining says?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparse_formats.masks.column_groups import group_columns, keep_largest


def grouped(keep: NDArray[np.bool_], most: int, gamma: float | None) -> list[list[int]]:
    """Columns of each group, from the paper's words alone."""
    rows = {c: {int(r) for r in np.flatnonzero(keep[:, c])} for c in range(keep.shape[1])}
    groups: list[list[int]] = []

    def union(group: list[int]) -> int:
        return len(set().union(*(rows[c] for c in group)))

    def conflicts(group: list[int]) -> int:
        return sum(len(rows[c]) for c in group) - union(group)

    for c in sorted((c for c in rows if rows[c]), key=lambda c: -len(rows[c])):
        feasible = [
            group
            for group in groups
            if len(group) < most and (gamma is None or conflicts([*group, c]) <= gamma * len(keep))
        ]
        if feasible:
            max(feasible, key=lambda group: union([*group, c])).append(c)
        else:
            groups.append([c])
    return groups


@given(
    rows=st.integers(1, 12),
    cols=st.integers(1, 20),
    density=st.sampled_from([0.0, 0.1, 0.4, 0.9]),
    most=st.integers(1, 6),
    gamma=st.sampled_from([None, 0.0, 0.25, 0.5, 2.0]),
    seed=st.integers(0, 99),
)
def test_is_each_column_where_the_rule_puts_it(
    rows: int, cols: int, density: float, most: int, gamma: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    keep, scores = rng.random((rows, cols)) < density, rng.random((rows, cols))
    groups = group_columns(keep, most, gamma)
    expected = grouped(keep, most, gamma)
    found = [np.flatnonzero(groups == g).tolist() for g in range(len(expected))]
    assert found == [sorted(group) for group in expected]
    assert (groups[~keep.any(axis=0)] == -1).all() and groups.max(initial=-1) < len(expected)
    left = keep_largest(scores, keep, groups)
    for row in range(rows):
        for group in expected:
            kept = [c for c in group if keep[row, c]]
            best = [max(kept, key=lambda c: scores[row, c])] if kept else []
            assert [c for c in group if left[row, c]] == best


def test_do_equal_weights_stay_by_their_order() -> None:
    keep = np.ones((2, 3), np.bool_)
    left = keep_largest(np.zeros((2, 3)), keep, np.array([0, 1, 0]))
    assert left.tolist() == [[True, True, False]] * 2


@pytest.mark.parametrize(("most", "density"), [(4, 0.1), (8, 0.2)])
def test_do_random_columns_pack_as_the_formula_says(most: int, density: float) -> None:
    rng = np.random.default_rng(0)
    keep = rng.random((2000, 40 * most)) < density
    groups = group_columns(keep, most)
    left = keep_largest(rng.random(keep.shape), keep, groups)
    packing = left.sum() / (2000 * (groups.max() + 1))
    assert groups.max() + 1 == 40
    assert packing == pytest.approx(1 - (1 - density) ** most, abs=0.006)
