"""Are vectors horizontal or vertical where it was asked, and do they stay so?"""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.patterns import PATTERNS, make_pattern
from pruning.patterns.pattern import Pattern, Target
from pruning.patterns.tile_pattern import broken_vector
from pruning.patterns.vector_pattern import BY_KIND, RULES, VectorPattern
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import KINDS
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation

ORIENTED = [
    name + (":4" if kind.numbers else "")
    for name, kind in PATTERNS.items()
    if issubclass(kind, VectorPattern)
]
STREAM, HEADS, NEURONS = "the residual stream", "the lines of heads", "the hidden neurons"
AXES = {
    **dict.fromkeys(("Q", "K", "V", "QKV"), (HEADS, STREAM)),
    "attention out": (STREAM, HEADS),
    **dict.fromkeys(("FFN1", "gate", "up"), (NEURONS, STREAM)),
    **dict.fromkeys(("FFN2", "down"), (STREAM, NEURONS)),
}
"""What the outputs and the inputs of a matrix are, by its kind: y = Wx in a transformer layer."""


def pattern(text: str, **knobs: Any) -> Any:
    """The pattern with vectors of 4 (where there is a menu), so that orientations can be told."""
    return make_pattern(text, {"menu": (4,), **knobs})


def striped(orientation: Orientation, kind: str = "other", seed: int = 0) -> Target:
    """Scores of 64 × 64 that vectors in one orientation keep better."""
    rng = np.random.default_rng(seed)
    scores = np.exp(0.3 * rng.standard_normal((64, 64)) + rng.standard_normal((64, 1)))
    upright = scores if orientation == "horizontal" else scores.T
    return Target("a", kind, np.ascontiguousarray(upright.astype(np.float32)))


def orientation_of(keep: NDArray[np.bool_]) -> Orientation:
    """In which of the two orientations the mask is made of vectors of 4."""
    fits: list[Orientation] = [
        o for o in ORIENTATIONS if broken_vector(MaskedMatrix("a", keep), 4, (o,)) is None
    ]
    assert len(fits) == 1
    return fits[0]


def found(wanted: Pattern, target: Target, kept: int = 800) -> Orientation:
    (pruned,) = wanted.masks([target], kept)
    if pruned.slots is not None:
        return pruned.slots.orientation
    if pruned.layout is not None:
        assert pruned.layout.orientation == orientation_of(pruned.keep)
    return orientation_of(pruned.keep)


def test_vectors_of_every_pattern_are_looked_at() -> None:
    assert {"mvp", "vector:4", "two_level:4", "lane_select:4"} <= set(ORIENTED)


@pytest.mark.parametrize(
    ("rule", "axes"),
    [("kind", {STREAM, NEURONS}), ("stream", {STREAM}), ("units", {HEADS, NEURONS})],
)
def test_a_rule_lays_the_vectors_of_a_layer_along_its_axes(rule: str, axes: set[str]) -> None:
    assert BY_KIND[rule].keys() == AXES.keys() == set(KINDS) - {"embedding", "head", "other"}
    along = {
        kind: AXES[kind][1 if orientation == "horizontal" else 0]
        for kind, orientation in BY_KIND[rule].items()
    }
    assert set(along.values()) == axes
    if rule == "kind":
        assert {kind for kind, axis in along.items() if axis == NEURONS} == {
            "FFN1", "gate", "up", "FFN2", "down",
        }  # fmt: skip


@pytest.mark.parametrize("text", ORIENTED)
@pytest.mark.parametrize("stripes", ORIENTATIONS)
def test_the_rule_decides_and_else_the_importance(text: str, stripes: Orientation) -> None:
    assert found(pattern(text), striped(stripes)) == stripes
    for kind in ("V", "attention out", "up", "down"):
        target = striped(stripes, kind)
        for rule, table in BY_KIND.items():
            assert found(pattern(text, orientation=rule), target) == table[kind]
    for orientation in ORIENTATIONS:
        assert found(pattern(text, orientation=orientation), striped(stripes)) == orientation
    # Kinds that no table names.
    for rule in BY_KIND:
        assert found(pattern(text, orientation=rule), striped(stripes, "head")) == stripes


@pytest.mark.parametrize("algorithm", ["A", "B", "C"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_algorithm_keeps_to_the_orientation(algorithm: str, orientation: Orientation) -> None:
    wanted = pattern("mvp", menu=(4, 8), algorithm=algorithm, orientation=orientation)
    for stripes in ORIENTATIONS:
        assert found(wanted, striped(stripes)) == orientation


@pytest.mark.parametrize("text", ORIENTED)
def test_a_mask_in_the_other_orientation_is_not_of_the_pattern(text: str) -> None:
    (pruned,) = pattern(text).masks([striped("horizontal")], 800)
    matrix = MaskedMatrix("a", pruned.keep, None, "attention out")
    assert pattern(text).conforms([matrix]) is None
    assert pattern(text, orientation="units").conforms([matrix]) is None
    assert pattern(text, orientation="kind").conforms([matrix]) is not None


@pytest.mark.parametrize("text", ORIENTED)
def test_what_is_settled_stays_whatever_the_scores_become(text: str) -> None:
    free = pattern(text)
    settled = free.settle([([striped("horizontal")], 800)])
    assert found(free, striped("vertical")) == "vertical"
    assert found(settled, striped("vertical")) == "horizontal"
    assert found(settled, striped("vertical"), int(settled.densest * 2000)) == "horizontal"
    # A matrix that was not there is not settled.
    other = striped("vertical")
    assert found(settled, Target("b", other.kind, other.scores)) == "vertical"


def test_one_length_is_settled_with_the_orientation() -> None:
    free = pattern("mvp", menu=(1, 8), algorithm="B")
    even = striped("horizontal")
    rough = Target("a", "other", np.random.default_rng(0).lognormal(0, 3, (64, 64)).astype("f4"))
    lengths = {
        name: set(chosen.masks([rough], 800)[0].layout.lengths.tolist())
        for name, chosen in (("free", free), ("settled", free.settle([([even], 800)])))
    }
    assert lengths == {"free": {1}, "settled": {8}}


def test_the_tiles_of_a_matrix_are_settled_too() -> None:
    free = pattern("mvp_tiled")
    targets = [striped("horizontal"), striped("vertical", seed=1)]
    both = Target("a", "other", np.hstack([t.scores for t in targets]))
    turned = Target("a", "other", np.hstack([t.scores for t in targets[::-1]]))
    settled = free.settle([([both], 1600)])

    def tiles(wanted: Pattern, target: Target) -> list[Orientation]:
        (pruned,) = wanted.masks([target], 1600)
        return [orientation_of(half) for half in np.hsplit(pruned.keep, 2)]

    assert tiles(free, both) == tiles(settled, both) == ["horizontal", "vertical"]
    assert tiles(free, turned) == ["vertical", "horizontal"]
    assert tiles(settled, turned) == ["horizontal", "vertical"]


@pytest.mark.parametrize("text", ORIENTED)
def test_an_unknown_rule_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(InputError, match="orientation is 'kinds'; did you mean 'kind'"):
        pattern(text, orientation="kinds")
    assert all(pattern(text, orientation=rule) for rule in RULES)
    assert "orientation" in {f.name for f in fields(pattern(text))}
