"""Which slot issues an entry of a tile; decided offline (docs/microarchitecture.md §4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Slots

Loads = NDArray[np.int64]
"""Entries of each unit of a tile."""
Sets = NDArray[np.int32]
"""The set of each unit."""


def interleaved(loads: Loads, slots: Slots, units_per_set: int) -> Sets:
    """Unit u goes to slot u mod P·n, whatever its load."""
    return np.arange(len(loads), dtype=np.int32) % np.int32(slots.sets)


def snake(loads: Loads, slots: Slots, units_per_set: int) -> Sets:
    """Units sorted by load and dealt to sets to and fro.

    Sources: RCSC, TCAD 39(9) 2020 (abstract), where every PE is a set; SA-RCSC, OPTIMUS (MLSys
    2020, abstract), and a public behavioural model of it.
    """
    order = np.argsort(-loads, kind="stable")
    run, place = np.divmod(np.arange(len(loads)), slots.sets)
    set_of_unit = np.empty(len(loads), np.int32)
    set_of_unit[order] = np.where(run % 2 == 0, place, slots.sets - 1 - place)
    return set_of_unit


def lpt(loads: Loads, slots: Slots, units_per_set: int) -> Sets:
    """Units by descending load, each to the slot with the least so far that has room.

    Source: Graham 1969, Bounds on multiprocessing timing anomalies.
    """
    order = np.argsort(-loads, kind="stable")
    return _longest_first(loads, order, units_per_set, slots.sets)


POLICIES: dict[str, Callable[[Loads, Slots, int], Sets]] = {
    "interleaved": interleaved,
    "snake": snake,
    "lpt": lpt,
    "set_associative": snake,
}
"""Which set a unit belongs to. The slots of a set then take its entries in turn (`entries.dealt`);
under all policies but `set_associative` a set has one slot."""


@njit(cache=True, nogil=True)
def _longest_first(loads: Any, order: Any, units_per_set: int, sets: int) -> Any:
    total = np.zeros(sets, np.int64)
    units = np.zeros(sets, np.int64)
    set_of_unit = np.empty(len(loads), np.int32)
    for unit in order:
        best = -1
        for s in range(sets):
            if units[s] < units_per_set and (best < 0 or total[s] < total[best]):
                best = s
        total[best] += loads[unit]
        units[best] += 1
        set_of_unit[unit] = best
    return set_of_unit
