"""Slots: aligned places of several lanes, into which two levels and lane select cut a matrix.

A lane of a slot has one candidate or several, of which a kept slot keeps one (lane select). With
V lanes and k candidates a lane, a vertical slot is V consecutive outputs × k consecutive inputs,
and lane i is the i-th of its outputs. A horizontal slot is k·V consecutive inputs of one output,
and the candidates of lane i are its inputs i, i + V, …, i + (k − 1)·V. Slots are aligned; the last
ones of a matrix may have fewer lanes, and their lanes fewer candidates.

A line of slots is a row (horizontal) or k consecutive columns (vertical), a place its position
there.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks.vectors import Orientation

MOST_CHOICES = 256
"""Candidates of a lane: a select is a byte in memory."""

MOST_LANES = 1 << 16
"""No machine comes near it (chosen)."""


@dataclass(frozen=True)
class Slots:
    """How a matrix is cut into slots. choices: candidates of a lane, 1 where all may stay."""

    orientation: Orientation
    lanes: int
    choices: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= MOST_LANES:
            raise InputError(f"slots have {self.lanes} lanes; give 1..{MOST_LANES}")
        if not 1 <= self.choices <= MOST_CHOICES:
            raise InputError(f"lanes choose among {self.choices}; give 1..{MOST_CHOICES}")

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of a slot."""
        if self.orientation == "vertical":
            return self.lanes, self.choices
        return 1, self.lanes * self.choices

    def counts(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Lines, and places on a line, of a matrix (out, in)."""
        down, across = (-(-n // size) for n, size in zip(shape, self.extent, strict=True))
        return (across, down) if self.orientation == "vertical" else (down, across)

    def corner(self, line: int, place: int) -> tuple[int, int]:
        """First row and column of a slot."""
        height, width = self.extent
        down, across = (place, line) if self.orientation == "vertical" else (line, place)
        return down * height, across * width

    def grid(self, array: NDArray[Any], fill: Any) -> NDArray[Any]:
        """The slots of an array (out, in): (lines, places, lanes, choices), C-contiguous.

        fill: what stands where the matrix has ended.
        """
        filled = array
        height, width = self.extent
        below, beyond = -array.shape[0] % height, -array.shape[1] % width
        if below or beyond:
            filled = np.pad(array, ((0, below), (0, beyond)), constant_values=fill)
        lines, places = self.counts(array.shape)
        if self.orientation == "vertical":
            cut = filled.reshape(places, self.lanes, lines, self.choices).transpose(2, 0, 1, 3)
        else:
            cut = filled.reshape(lines, places, self.choices, self.lanes).swapaxes(2, 3)
        return np.ascontiguousarray(cut)

    def array(self, grid: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
        """The array (out, in) of this `shape` whose slots are `grid`, C-contiguous."""
        lines, places, lanes, choices = grid.shape
        if self.orientation == "vertical":
            filled = grid.transpose(1, 2, 0, 3).reshape(places * lanes, lines * choices)
        else:
            filled = grid.swapaxes(2, 3).reshape(lines, places * choices * lanes)
        return np.ascontiguousarray(filled[: shape[0], : shape[1]])

    def turned(self) -> Self:
        """The same slots in the other orientation."""
        other: Orientation = "horizontal" if self.orientation == "vertical" else "vertical"
        return type(self)(other, self.lanes, self.choices)

    def lanes_there(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Lanes of each slot that have a candidate, (lines, places)."""
        lines, places = self.counts(shape)
        along = shape[0] if self.orientation == "vertical" else shape[1]
        step = self.lanes if self.orientation == "vertical" else self.lanes * self.choices
        left = along - np.arange(places) * step
        return np.broadcast_to(np.minimum(left, self.lanes), (lines, places))

    def candidates(
        self,
        shape: tuple[int, ...],
        line: NDArray[np.integer[Any]],
        place: NDArray[np.integer[Any]],
    ) -> NDArray[np.int64]:
        """How many candidates each lane of some slots has, (slots, lanes)."""
        rows, cols = shape
        lane, first = np.arange(self.lanes), place.astype(np.int64)[:, None] * self.lanes
        if self.orientation == "vertical":
            across = np.minimum(cols - line.astype(np.int64) * self.choices, self.choices)
            return np.where(first + lane < rows, across[:, None], 0)
        left = cols - first * self.choices - lane
        return np.clip(-(-left // self.lanes), 0, self.choices)

    def occupied(self, keep: NDArray[np.bool_]) -> int:
        """How many slots of a mask keep anything."""
        return int(np.count_nonzero(self.grid(keep, False).any((2, 3))))

    def first_not_selected(self, keep: NDArray[np.bool_]) -> tuple[int, int, str] | None:
        """First row and column of the first slot in which not each lane keeps one, and why.

        None where all slots that keep anything are whole.
        """
        kept, there = self.grid(keep, False).sum(-1), self.lanes_there(keep.shape)
        is_whole = (kept <= 1).all(-1) & (kept.sum(-1) == there)
        broken = np.argwhere(kept.any(-1) & ~is_whole)
        if not len(broken):
            return None
        row, col, line, place = min((*self.corner(*at), *at) for at in broken.tolist())
        (height, width), (rows, cols) = self.extent, keep.shape
        lanes = kept[line, place]
        found = (
            f"a lane keeps {lanes.max()} of its {self.choices} candidates"
            if lanes.max() > 1
            else f"only {lanes.sum()} of {there[line, place]} lanes keep a candidate"
        )
        where = f"rows {row}..{min(row + height, rows) - 1}, "
        where += f"columns {col}..{min(col + width, cols) - 1}"
        return row, col, f"{where}: {found}"


def check_slots(slots: Slots, keep: NDArray[np.bool_], where: str) -> None:
    """InputError naming `where` unless each lane of the kept slots of a mask keeps one candidate.

    Slots without a choice hold any mask.
    """
    broken = None if slots.choices == 1 else slots.first_not_selected(keep)
    if broken is not None:
        raise InputError(
            f"{where}: its slots of {slots.lanes} lanes with {slots.choices} candidates each do "
            f"not make up its mask; {broken[2]}; drop the slots or repair the mask"
        )
