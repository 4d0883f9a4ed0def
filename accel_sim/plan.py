"""Everything that is decided before the first cycle: tiles, entries, and who takes them."""

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
    """A tile, its entries, and the PE row of each."""

    tile: Tile
    entries: Entries
    pe: Schedule


def plan_layer(stored: Stored, machine: Accelerator, name: str) -> list[PlannedTile]:
    """Encode and schedule: everything that is decided before the first cycle."""
    plan = []
    policy = POLICIES[machine.scheduler.policy]
    for tile in cut_into_tiles(stored, machine, name):
        entries = entries_of(tile, stored.layout.orientation, machine)
        plan.append(
            PlannedTile(tile, entries, policy(entries, machine.array.pe_rows, machine.sets))
        )
    return plan


def skippable_entries(
    entries: Entries, nonzero: NDArray[np.bool_] | None, group: int, token_columns: int
) -> NDArray[np.bool_]:
    """Which entries have only zero activations in this group: bool (entries,).

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    if nonzero is None:
        return np.zeros(len(entries), np.bool_)
    wanted = nonzero[group * token_columns : (group + 1) * token_columns].any(axis=0)
    return _all_zero(entries.lo, entries.hi, entries.lanes, wanted)


@njit(cache=True, nogil=True)
def _all_zero(lo: Any, hi: Any, lanes: Any, wanted: Any) -> Any:
    skippable = np.ones(len(lo), np.bool_)
    for e in range(len(lo)):
        if hi[e] - lo[e] == 1:
            # One input, broadcast to all lanes (or a row-mode position of a single input).
            skippable[e] = not wanted[lo[e]]
            continue
        for c in range(lo[e], hi[e]):
            if (lanes[e] >> np.uint64(c - lo[e])) & np.uint64(1) and wanted[c]:
                skippable[e] = False
                break
    return skippable
