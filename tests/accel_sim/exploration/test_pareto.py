"""Is the front what nobody beats, and is its hypervolume right?"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accel_sim.exploration.pareto import Points, front, hypervolume, knee

REFERENCES = {2: np.array([10.0, 10.0]), 3: np.array([10.0, 10.0, 10.0])}


@st.composite
def points(draw: st.DrawFn) -> Points:
    objectives = draw(st.sampled_from([2, 3]))
    few = st.integers(0, 11).map(float)
    return draw(arrays(np.float64, (draw(st.integers(1, 7)), objectives), elements=few))


def by_inclusion_and_exclusion(found: Points, reference: Points) -> float:
    """The volume of a union of boxes: those of single points, less those of pairs, and so on."""
    corners = np.minimum(found, reference)
    return sum(
        (-1) ** (size + 1) * float(np.prod(reference - corners[list(chosen)].max(axis=0)))
        for size in range(1, len(corners) + 1)
        for chosen in combinations(range(len(corners)), size)
    )


@given(points())
def test_the_front_is_what_no_other_point_beats(found: Points) -> None:
    beaten = [
        any((other <= point).all() and (other < point).any() for other in found) for point in found
    ]
    assert list(front(found)) == [not each for each in beaten]


@given(points())
def test_the_hypervolume_is_that_of_the_union_of_boxes(found: Points) -> None:
    reference = REFERENCES[found.shape[1]]
    expected = by_inclusion_and_exclusion(found, reference)
    assert hypervolume(found, reference) == pytest.approx(expected)


def test_a_staircase_on_paper() -> None:
    # Boxes up to (4, 4): 3·1 + 2·1 + 1·1 squares.
    steps = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [3.0, 3.0]])
    assert list(front(steps)) == [True, True, True, False]
    assert hypervolume(steps, np.array([4.0, 4.0])) == 6.0
    assert hypervolume(np.array([[5.0, 1.0]]), np.array([4.0, 4.0])) == 0.0


def test_the_knee_is_where_both_objectives_are_nearly_best() -> None:
    bend = np.array([[0.0, 100.0], [2.0, 10.0], [10.0, 0.0], [9.0, 9.0]])
    assert knee(bend) == 1
    assert knee(np.empty((0, 2))) is None
    assert knee(np.array([[3.0, 1.0], [3.0, 1.0]])) == 0
