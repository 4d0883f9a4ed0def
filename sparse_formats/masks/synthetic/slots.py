"""Drawn masks of slots: weights in some of them, or one candidate of each lane."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import MOST_CHOICES, MOST_LANES, Slots
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order, subset

ROOM = 1.5
"""Size of the slots of "two_level" in kept weights: the default of pruning (chosen)."""


@dataclass(frozen=True)
class TwoLevel(DrawnPattern):
    """Single weights in slots of `length` that have room for `ROOM` times as many."""

    length: int

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MOST_LANES:
            raise SettingError(
                "pattern",
                f"has slots of length {self.length}; give 1 to {MOST_LANES}, e.g. two_level:16",
            )

    def mask(self, order: Order) -> MaskedMatrix:
        """Exactly the number asked for."""
        slots = Slots(order.orientation, self.length)
        keep = _inside(order.size, order.nnz, slots, order.rng())
        return MaskedMatrix(order.shape.name, keep, kind=order.shape.kind, slots=slots)


@dataclass(frozen=True)
class LaneSelect(DrawnPattern):
    """Slots of `lanes` lanes, each of which keeps one of `choices` candidates, drawn."""

    lanes: int = 16
    choices: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= MOST_LANES or not 2 <= self.choices <= MOST_CHOICES:
            raise SettingError(
                "pattern",
                f"is lane_select:{self.lanes}:{self.choices}; give 1 to {MOST_LANES} lanes with 2 "
                f"to {MOST_CHOICES} candidates each, e.g. lane_select:16:4",
            )

    @property
    def densest(self) -> float:
        """One of the candidates of every lane."""
        return 1 / self.choices

    def mask(self, order: Order) -> MaskedMatrix:
        """As many slots as reach the number asked for, which they exceed by less than a slot."""
        slots = Slots(order.orientation, self.lanes, self.choices)
        keep = _selected(order.size, order.nnz, slots, order.rng())
        return MaskedMatrix(order.shape.name, keep, kind=order.shape.kind, slots=slots)


def _inside(
    shape: tuple[int, int], nnz: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask of `nnz` entries in drawn slots, of which there are as many as reach `ROOM` · nnz."""
    held = _drawn(shape, min(math.ceil(ROOM * nnz), shape[0] * shape[1]), slots, rng)
    keep = np.repeat(held, slots.lanes).reshape(*held.shape, slots.lanes, 1)
    keep = slots.array(keep, shape)
    keep[keep] = subset(int(np.count_nonzero(keep)), nnz, rng)
    return keep


def _selected(
    shape: tuple[int, int], nnz: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask of drawn slots, as many as reach `nnz`, whose lanes keep a drawn candidate each."""
    held = _drawn(shape, nnz, slots, rng)
    line, place = np.nonzero(held)
    candidates = slots.candidates(shape, line.astype(np.int32), place.astype(np.int32))
    chosen = rng.integers(0, np.maximum(candidates, 1), dtype=np.int64)
    grid = np.zeros((*held.shape, slots.lanes, slots.choices), np.bool_)
    grid[held] = (chosen[..., None] == np.arange(slots.choices)) & (candidates > 0)[..., None]
    return slots.array(grid, shape)


def _drawn(
    shape: tuple[int, int], entries: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Uniformly drawn slots, (lines, places), as many as have `entries` lanes between them."""
    lanes = slots.lanes_there(shape)
    order = rng.permutation(lanes.size)
    there = np.cumsum(lanes.ravel()[order])
    held = np.zeros(lanes.size, np.bool_)
    held[order[: np.searchsorted(there, entries) + 1 if entries else 0]] = True
    return held.reshape(lanes.shape)
