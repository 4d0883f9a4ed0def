"""Everything that is decided before the first cycle: tiles, entries, and where they queue."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.schedule import POLICIES, Schedule
from accel_sim.stream import Entries, Stored, Tile, cut_into_tiles, entries_of


@dataclass(frozen=True, eq=False)
class PlannedTile:
    """A tile, its entries, and the queue of each.

    order: int64 (entries,), the entries queue by queue, in stream order; those of queue q are
    order[first[q]] … order[first[q + 1] − 1]; first: int64 (queues + 1,).
    """

    tile: Tile
    entries: Entries
    queue: Schedule
    first: NDArray[np.int64]
    order: NDArray[np.int64]


def plan_layer(stored: Stored, machine: Accelerator, name: str) -> list[PlannedTile]:
    """Encode and schedule: everything that is decided before the first cycle."""
    plan = []
    orientation = stored.layout.orientation
    policy = POLICIES[machine.scheduler.policy]
    for tile in cut_into_tiles(stored, machine, name):
        entries = entries_of(tile, orientation, machine)
        queue = policy(entries, orientation == "horizontal", machine)
        plan.append(PlannedTile(tile, entries, queue, *sorted_by(queue, machine.queues)))
    return plan


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
