"""Everything that is decided before the first cycle: tiles, entries, and where they queue."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.schedule import POLICIES, Schedule
from accel_sim.dataflows.mixed_vector.stream import (
    EncodedTile,
    Entries,
    Stored,
    cut_into_tiles,
    entries_of,
)


@dataclass(frozen=True, eq=False)
class PlannedTile:
    """A tile, its entries, and the queue of each.

    order: int64 (entries,), the entries queue by queue, in stream order; those of queue q are
    order[first[q]] … order[first[q + 1] − 1]; first: int64 (queues + 1,).
    """

    tile: EncodedTile
    entries: Entries
    queue: Schedule
    first: NDArray[np.int64]
    order: NDArray[np.int64]

    def moved_to(self, tile: EncodedTile) -> Self:
        """The plan of a tile that holds the same and only stands elsewhere."""
        step = np.int32(tile.cols[0] - self.tile.cols[0])
        entries = replace(self.entries, lo=self.entries.lo + step, hi=self.entries.hi + step)
        return replace(self, tile=tile, entries=entries)


def plan_layer(stored: Stored, machine: Configuration, name: str) -> Iterator[PlannedTile]:
    """Encode and schedule: everything that is decided before the first cycle, tile by tile."""
    # Dense tiles of one size hold the same.
    of_size: dict[tuple[int, int], PlannedTile] = {}
    orientation = stored.layout.orientation
    policy = POLICIES[machine.scheduler.policy]
    for tile in cut_into_tiles(stored, machine, name):
        if stored.is_dense and tile.size in of_size:
            yield of_size[tile.size].moved_to(tile)
            continue
        entries = entries_of(tile, orientation, machine)
        queue = policy(entries, orientation == "horizontal", machine)
        planned = PlannedTile(tile, entries, queue, *sorted_by(queue, machine.queues))
        if stored.is_dense:
            of_size[tile.size] = planned
        yield planned


@njit(cache=True, nogil=True)
def sorted_by(bin_of_entry: Any, bins: int) -> tuple[Any, Any]:
    """Entries of each bin in stream order: first[b] … first[b + 1] index into `order`."""
    first = np.zeros(bins + 1, np.int64)
    for b in bin_of_entry:
        first[b + 1] += 1
    for b in range(bins):
        first[b + 1] += first[b]
    at = first[:-1].copy()
    order = np.empty(len(bin_of_entry), np.int64)
    for e in range(len(bin_of_entry)):
        order[at[bin_of_entry[e]]] = e
        at[bin_of_entry[e]] += 1
    return first, order
