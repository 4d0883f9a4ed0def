"""Do two levels and lane select keep what their definitions say?"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.patterns import make_pattern
from pruning.patterns.pattern import Pattern, Target
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.sparse_formats.slot_masks import lanes_of


def pattern(text: str, **knobs: Any) -> Pattern:
    return make_pattern(text, knobs)


def directed(shape: tuple[int, int], is_vertical: bool, seed: int = 0) -> NDArray[np.float32]:
    """Scores whose columns, or rows, differ much."""
    rng = np.random.default_rng(seed)
    scores = rng.lognormal(size=shape)
    lines = rng.lognormal(sigma=2, size=shape[1] if is_vertical else shape[0])
    return (scores * (lines if is_vertical else lines[:, None])).astype(np.float32)


@pytest.mark.parametrize("is_vertical", [False, True])
@pytest.mark.parametrize("shape", [(24, 64), (26, 70), (9, 130), (35, 7)])
@pytest.mark.parametrize(("lanes", "choices"), [(8, 4), (4, 2), (3, 3)])
def test_the_slots_of_largest_sum_stay_and_each_lane_keeps_its_best(
    shape: tuple[int, int], lanes: int, choices: int, is_vertical: bool
) -> None:
    scores = directed(shape, is_vertical)
    kept = round(0.2 * scores.size)
    (found,) = pattern(f"lane_select:{lanes}:{choices}").masks([Target("a", "o", scores)], kept)
    assert found.slots is not None
    taken = found.slots.orientation == "vertical"
    # The same, lane by lane: what a slot is worth, and which of its candidates stay.
    slots = [
        [max(lane, key=lambda at: scores[at]) for lane in slot]
        for slot in lanes_of(shape, lanes, choices, taken)
    ]
    whole = [slot for slot in slots if len(slot) == lanes]
    worth = sorted((sum(float(scores[at]) for at in slot) for slot in whole), reverse=True)
    stayed = [slot for slot in slots if any(found.keep[at] for at in slot)]
    assert sorted(at for slot in stayed for at in slot) == [
        tuple(at) for at in np.argwhere(found.keep).tolist()
    ]
    of_whole = [slot for slot in stayed if len(slot) == lanes]
    kept_worth = sorted((sum(float(scores[at]) for at in slot) for slot in of_whole), reverse=True)
    assert kept_worth == pytest.approx(worth[: len(of_whole)])
    assert abs(int(found.keep.sum()) - kept) <= lanes / 2


@pytest.mark.parametrize("text", ["lane_select:8:4", "two_level:8"])
@pytest.mark.parametrize("is_vertical", [False, True])
def test_slots_lie_along_the_direction_of_the_scores(text: str, is_vertical: bool) -> None:
    scores = directed((64, 96), is_vertical)
    (found,) = pattern(text).masks([Target("a", "o", scores)], round(0.2 * scores.size))
    assert found.slots is not None
    assert (found.slots.orientation == "vertical") == is_vertical


@pytest.mark.parametrize("room", [1.0, 1.5, 2.0])
def test_two_levels_take_the_best_slots_then_the_best_weights_in_them(room: float) -> None:
    scores = directed((40, 64), False)
    kept = 500
    (found,) = pattern("two_level:8", slot_room=room).masks([Target("a", "o", scores)], kept)
    sums = scores.reshape(40, 8, 8).sum(-1)
    held = round(room * kept / 8)
    best = sums >= np.sort(sums.ravel())[-held]
    inside = np.where(np.repeat(best, 8, 1), scores, -1)
    weights = inside >= np.sort(inside.ravel())[-min(kept, 8 * held)]
    assert np.array_equal(found.keep, weights)


def test_every_matrix_of_a_budget_fills_its_slots_to_the_same_share() -> None:
    targets = [
        Target(str(i), "o", directed((32, 64), False, i) * np.float32(1 + i)) for i in range(3)
    ]
    wanted = pattern("two_level:8")
    found = wanted.masks(targets, 1200)
    assert sum(int(p.keep.sum()) for p in found) == 1200
    for target, pruned in zip(targets, found, strict=True):
        assert pruned.slots is not None and pruned.slots.orientation == "horizontal"
        room = 8 * np.count_nonzero(pruned.keep.reshape(32, 8, 8).any(-1))
        # Slots of which nothing stays have no room.
        assert room <= 1.5 * pruned.keep.sum() + 8
        assert wanted.conforms([MaskedMatrix(target.name, pruned.keep)]) is None
    scattered = np.zeros((32, 64), np.bool_)
    scattered[::8, ::8] = True
    broken = wanted.conforms([MaskedMatrix("s", scattered)])
    assert str(broken) == (
        "matrix s: the 8×1 slots of the 32 weights that it keeps have room for 256, more than 1.5 "
        "times as many"
    )


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([(0, 0), (1, 1), (2, 2), (3, 3)], None),  # vertical
        ([(0, 0), (0, 5), (0, 10), (0, 15)], None),  # horizontal: lanes 0 to 3
        ([(0, 0), (1, 1), (2, 2)], "rows 0..3, columns 0..3: only 3 of 4 lanes keep a candidate"),
        (
            [(0, 0), (1, 1), (2, 2), (3, 3), (0, 4), (0, 5)],
            "rows 0..3, columns 4..7: a lane keeps 2 of its 4 candidates",
        ),
    ],
)
def test_a_lane_that_keeps_none_or_two_is_found(
    places: list[tuple[int, int]], said: str | None
) -> None:
    keep = np.zeros((8, 16), np.bool_)
    keep[tuple(zip(*places, strict=True))] = True
    found = pattern("lane_select:4:4").conforms([MaskedMatrix("m", keep)])
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    ("text", "knobs", "said"),
    [
        ("lane_select:0:4", {}, "2 to 256 candidates each, e.g. lane_select:16:4"),
        ("lane_select:16:1", {}, "e.g. lane_select:16:4"),
        ("lane_select:16:257", {}, "e.g. lane_select:16:4"),
        ("lane_select:16:4:1", {}, r"write lane_select\[:LANES\]\[:CHOICES\]"),
        ("two_level", {}, "write two_level:LENGTH"),
        ("two_level:0", {}, "has slots of length 0"),
        ("two_level:16", {"slot_room": 0.5}, r"slot_room is 0\.5; give a number from 1 up"),
        ("two_level:16", {"slot_room": float("nan")}, "slot_room is nan"),
    ],
)
def test_slots_that_cannot_be_are_refused(text: str, knobs: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pattern(text, **knobs)


def test_lanes_cannot_keep_more_than_one_candidate_each() -> None:
    targets = [Target("a", "o", np.ones((16, 64), np.float32))]
    wanted = pattern("lane_select:16:4")
    assert int(wanted.masks(targets, wanted.kept(targets, 0.75))[0].keep.sum()) == 256
    with pytest.raises(
        InputError,
        match=r"asks for 257 of 1024 weights, but lane_select:16:4 keeps at most 256; give 0\.75",
    ):
        wanted.masks(targets, 257)


@pytest.mark.parametrize("text", ["lane_select:4:4", "two_level:4"])
@pytest.mark.parametrize("is_vertical", [False, True])
def test_choices_in_a_few_columns_keep_to_the_pattern(text: str, is_vertical: bool) -> None:
    wanted, scores = pattern(text), directed((32, 300), is_vertical)
    (found,) = wanted.masks([Target("a", "o", scores)], round(0.2 * scores.size))
    local = wanted.local(found.keep, None)
    assert local is not None and local.tile is None
    again = np.zeros_like(found.keep)
    for first in range(0, 300, local.columns):
        part = scores[:, first : first + local.columns]
        again[:, first : first + local.columns] = local.choose(part, round(0.2 * part.size))
    assert wanted.conforms([MaskedMatrix("a", again)]) is None
    assert again.sum() == pytest.approx(found.keep.sum(), rel=0.02)
