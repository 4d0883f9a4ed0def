"""Which PE row takes which entry of a tile; decided offline (docs/microarchitecture.md §4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.stream import Entries

Schedule = NDArray[np.int32]
"""PE row of each entry."""


def interleaved(entries: Entries, pe_rows: int, sets: int) -> Schedule:
    """Unit u goes to PE row u mod P, whatever its load."""
    return entries.unit % np.int32(pe_rows)


def snake(entries: Entries, pe_rows: int, sets: int) -> Schedule:
    """Units sorted by load and dealt out to and fro. Source: RCSC, TCAD 39(9) 2020 (abstract)."""
    return _dealt_to_and_fro(entries, pe_rows)[entries.unit]


def set_associative(entries: Entries, pe_rows: int, sets: int) -> Schedule:
    """Units dealt to sets; each entry to the least-loaded PE row of its set.

    Source: SA-RCSC, OPTIMUS (MLSys 2020, abstract) and a public behavioural model of it.
    """
    set_of_unit = _dealt_to_and_fro(entries, sets)
    return _least_loaded(set_of_unit[entries.unit], pe_rows // sets, pe_rows)


POLICIES: dict[str, Callable[[Entries, int, int], Schedule]] = {
    "interleaved": interleaved,
    "snake": snake,
    "set_associative": set_associative,
}


def _dealt_to_and_fro(entries: Entries, bins: int) -> NDArray[np.int32]:
    """Bin of each unit: descending load, ties by index; every second run of `bins` reversed."""
    load = np.bincount(entries.unit, minlength=entries.unit_count)
    order = np.argsort(-load, kind="stable")
    run, place = np.divmod(np.arange(entries.unit_count), bins)
    bin_of_unit = np.empty(entries.unit_count, np.int32)
    bin_of_unit[order] = np.where(run % 2 == 0, place, bins - 1 - place)
    return bin_of_unit


@njit(cache=True, nogil=True)
def _least_loaded(set_of_entry: Any, set_size: int, pe_rows: int) -> Any:
    load = np.zeros(pe_rows, np.int64)
    pe = np.empty(len(set_of_entry), np.int32)
    for e in range(len(set_of_entry)):
        first = set_of_entry[e] * set_size
        best = first
        for p in range(first + 1, first + set_size):
            if load[p] < load[best]:
                best = p
        load[best] += 1
        pe[e] = best
    return pe
