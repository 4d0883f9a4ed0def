"""Slots line by line: what the formats of two levels and of lane select share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.pointers import check_ascending, read_pointers
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.slots import Slots
from sparse_formats.storage import bits_for


@dataclass(frozen=True, eq=False)
class SlotLines(SparseMatrix):
    """The slots that keep anything, line by line, ascending places (`masks.slots`).

    slots: how the matrix is cut. indptr: int32 (lines + 1): line i holds the slots indptr[i] …
    indptr[i + 1] − 1. indices: int32 (slots): their places.
    data: the weights slot by slot, lane by lane (nnz), None if encoded without.
    """

    shape: tuple[int, int]
    slots: Slots
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[Any] | None

    @abstractmethod
    def held(self) -> NDArray[np.bool_]:
        """What each slot keeps, (slots, lanes, choices)."""

    @property
    def lines(self) -> NDArray[np.int32]:
        """The line of each slot."""
        return lines_of(self.indptr)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        held, at = self.held(), (self.lines, self.indices)
        size = (*self.slots.counts(self.shape), self.slots.lanes, self.slots.choices)
        grid = np.zeros(size, np.bool_)
        grid[at] = held
        keep = self.slots.array(grid, self.shape)
        if self.data is None:
            return keep, None
        inside = np.zeros(held.shape, self.data.dtype)
        inside[held] = self.data
        weights = np.zeros(size, self.data.dtype)
        weights[at] = inside
        return keep, self.slots.array(weights, self.shape)

    @property
    def _index_bits(self) -> int:
        return bits_for(max(self.slots.counts(self.shape)[1], 1))

    @property
    def _pointer_bits(self) -> int:
        return bits_for(len(self.indices) + 1)

    def _places(self) -> list[Section]:
        """Orientation, pointers and indices, the beginning of the stream."""
        return [
            Section(np.array([self.slots.orientation == "vertical"]), 1),
            Section(self.indptr, self._pointer_bits),
            Section(self.indices, self._index_bits),
        ]


class Cut(NamedTuple):
    """A mask cut into slots, see `SlotLines`. held: (slots, lanes, choices)."""

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    held: NDArray[np.bool_]
    data: NDArray[Any] | None


def cut(keep: NDArray[np.bool_], weight: NDArray[Any] | None, slots: Slots) -> Cut:
    """The slots of a mask that keep anything."""
    grid = slots.grid(keep, False)
    occupied: NDArray[np.bool_] = np.any(grid, axis=(2, 3))
    held = grid[occupied]
    indptr = np.zeros(grid.shape[0] + 1, np.int32)
    np.cumsum(np.count_nonzero(occupied, axis=1), out=indptr[1:])
    indices = np.nonzero(occupied)[1].astype(np.int32)
    data = None if weight is None else slots.grid(weight, 0)[occupied][held]
    return Cut(indptr, indices, held, data)


class Places(NamedTuple):
    """Where the slots of a stream are, see `SlotLines`."""

    slots: Slots
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]


def read_places(reader: BitReader, descriptor: Descriptor, lanes: int, choices: int) -> Places:
    """Orientation, pointers and indices, the beginning of a stream.

    Raises:
        InputError: the pointers do not rise to the number of slots, or the places of a line do not
            ascend.
    """
    rows, cols = descriptor.shape
    count = descriptor.number("slots", 0, min(rows * cols, MOST_LINES))
    is_vertical = reader.read("orientation", 1, 1, np.uint8)[0]
    slots = Slots("vertical" if is_vertical else "horizontal", lanes, choices)
    lines, places = slots.counts(descriptor.shape)
    indptr = read_pointers(reader, lines, count)
    start, width = reader.at, bits_for(max(places, 1))
    indices = reader.read("indices", count, width, np.int32)
    check_ascending(reader, indices, indptr, places, start, width)
    return Places(slots, indptr, indices)


def lines_of(indptr: NDArray[np.int32]) -> NDArray[np.int32]:
    """The line of each slot."""
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
