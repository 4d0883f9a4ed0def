"""Which queue an entry of a tile waits in; decided offline (docs/microarchitecture.md §4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.stream import Entries

Schedule = NDArray[np.int32]
"""Queue of each entry: the PE row that will take it; its set, where that is decided online."""


def interleaved(entries: Entries, is_row_mode: bool, machine: Configuration) -> Schedule:
    """Unit u goes to PE row u mod P, whatever its load."""
    return entries.unit % np.int32(machine.array.pe_rows)


def snake(entries: Entries, is_row_mode: bool, machine: Configuration) -> Schedule:
    """Units sorted by load and dealt out to and fro. Source: RCSC, TCAD 39(9) 2020 (abstract)."""
    return _dealt_to_and_fro(entries, machine.array.pe_rows)[entries.unit]


def lpt(entries: Entries, is_row_mode: bool, machine: Configuration) -> Schedule:
    """Units by descending load, each to the PE row with the least so far that has room.

    Source: Graham 1969, Bounds on multiprocessing timing anomalies.
    """
    words, lanes = machine.array.accumulators_per_pe, machine.array.lanes
    units_per_pe = words if is_row_mode else words // lanes
    load = _loads(entries)
    order = np.argsort(-load, kind="stable")
    return _longest_first(load, order, units_per_pe, machine.array.pe_rows)[entries.unit]


def set_associative(entries: Entries, is_row_mode: bool, machine: Configuration) -> Schedule:
    """Units dealt to sets; each entry to the least-loaded PE row of its set.

    Source: SA-RCSC, OPTIMUS (MLSys 2020, abstract) and a public behavioural model of it.
    """
    set_of_unit = _dealt_to_and_fro(entries, machine.sets)
    pe_rows = machine.array.pe_rows
    return least_loaded(set_of_unit[entries.unit], pe_rows // machine.sets, pe_rows)


def online(entries: Entries, is_row_mode: bool, machine: Configuration) -> Schedule:
    """Units dealt to sets; the PE rows of a set serve its one queue as they become free."""
    return _dealt_to_and_fro(entries, machine.sets)[entries.unit]


POLICIES: dict[str, Callable[[Entries, bool, Configuration], Schedule]] = {
    "interleaved": interleaved,
    "snake": snake,
    "lpt": lpt,
    "set_associative": set_associative,
    "online": online,
}


def _loads(entries: Entries) -> NDArray[np.int64]:
    """Entries of each unit."""
    return np.bincount(entries.unit, minlength=entries.unit_count)


def _dealt_to_and_fro(entries: Entries, bins: int) -> NDArray[np.int32]:
    """Bin of each unit: descending load, ties by index; every second run of `bins` reversed."""
    order = np.argsort(-_loads(entries), kind="stable")
    run, place = np.divmod(np.arange(entries.unit_count), bins)
    bin_of_unit = np.empty(entries.unit_count, np.int32)
    bin_of_unit[order] = np.where(run % 2 == 0, place, bins - 1 - place)
    return bin_of_unit


@njit(cache=True, nogil=True)
def _longest_first(load: Any, order: Any, units_per_pe: int, pe_rows: int) -> Any:
    total = np.zeros(pe_rows, np.int64)
    units = np.zeros(pe_rows, np.int64)
    pe_of_unit = np.empty(len(load), np.int32)
    for unit in order:
        best = -1
        for p in range(pe_rows):
            if units[p] < units_per_pe and (best < 0 or total[p] < total[best]):
                best = p
        total[best] += load[unit]
        units[best] += 1
        pe_of_unit[unit] = best
    return pe_of_unit


@njit(cache=True, nogil=True)
def least_loaded(set_of_entry: Any, set_size: int, pe_rows: int) -> Any:
    """PE row of each entry: of its set, the one with the fewest entries before it."""
    # Entries weigh the same: the row with the fewest, ties to the lowest, is the next in turn.
    turn = np.zeros(pe_rows // set_size, np.int32)
    pe = np.empty(len(set_of_entry), np.int32)
    for e in range(len(set_of_entry)):
        s = np.uint32(set_of_entry[e])
        pe[e] = set_of_entry[e] * set_size + turn[s]
        turn[s] += 1
        if turn[s] == set_size:
            turn[s] = 0
    return pe
