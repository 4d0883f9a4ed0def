"""The most important slots, and what stays inside them (`sparse_formats.masks.slots`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.selection.tie_breaking import lot
from pruning.selection.tiles import best_units, spread
from pruning.selection.weights import top_mask
from sparse_formats.masks.slots import Slots

Scores = Sequence[NDArray[np.float32]]


def best_selects(scores: Scores, slots: Sequence[Slots], kept: int) -> list[NDArray[np.bool_]]:
    """Masks of the slots whose lanes' best candidates sum to most, of about `kept` weights in all.

    Each lane of a kept slot keeps its best candidate. See `best_units`; the slots of one matrix are
    of one place.
    """
    from pruning.selection import slot_loops

    masks = []
    for s, cut, taken in zip(scores, slots, _taken(scores, slots, kept), strict=True):
        keep = np.zeros(s.shape, np.bool_)
        slot_loops.select_best(s, *_geometry(cut), taken, lot(taken), keep)
        masks.append(keep)
    return masks


def best_in_slots(
    scores: Scores, slots: Sequence[Slots], kept: int, room: float
) -> list[NDArray[np.bool_]]:
    """Masks of the `kept` best weights inside the slots of largest sum.

    The slots hold about room·kept weights in all, and those of every matrix are filled to the same
    share. slots: without a choice.
    """
    held = _taken(scores, slots, min(round(room * kept), sum(s.size for s in scores)))
    inside = [
        spread(taken.T if cut.orientation == "vertical" else taken, s.shape, cut.extent)
        for s, cut, taken in zip(scores, slots, held, strict=True)
    ]
    sizes = [int(np.count_nonzero(places)) for places in inside]
    # Rounding the running sum instead of each share makes the counts add up to what is asked for.
    filled = np.rint(np.cumsum(sizes) * (min(kept, sum(sizes)) / max(sum(sizes), 1)))
    for s, places, count in zip(scores, inside, np.diff(filled, prepend=0), strict=True):
        places[places] = top_mask(s[places], int(count))
    return inside


def most_selected(shape: tuple[int, ...], slots: Slots) -> int:
    """Weights that stay where all slots do."""
    return int(slots.lanes_there(shape).sum())


def _taken(scores: Scores, slots: Sequence[Slots], kept: int) -> list[NDArray[np.bool_]]:
    """Which slots of each matrix stay, (lines, places)."""
    from pruning.selection import slot_loops

    sums = [np.zeros(cut.counts(s.shape)) for s, cut in zip(scores, slots, strict=True)]
    for s, cut, found in zip(scores, slots, sums, strict=True):
        slot_loops.sum_best(s, *_geometry(cut), found)
    costs = [cut.lanes_there(s.shape).ravel() for s, cut in zip(scores, slots, strict=True)]
    counts = [found.size for found in sums]
    taken = best_units(
        np.concatenate([*(found.ravel() for found in sums), np.empty(0)]),
        np.concatenate([*costs, np.empty(0, np.int64)]),
        kept,
        counts,
        is_empty=kept <= 0,
    )
    parts = np.split(taken, np.cumsum(counts)[:-1]) if counts else []
    return [part.reshape(found.shape) for part, found in zip(parts, sums, strict=True)]


def _geometry(slots: Slots) -> tuple[bool, int, int]:
    return slots.orientation == "vertical", slots.lanes, slots.choices
