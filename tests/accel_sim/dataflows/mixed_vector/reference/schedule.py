"""§4: which queue each entry goes to, and who takes from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from tests.accel_sim.dataflows.mixed_vector.reference.stream import Tile, set_count, units_per_set


@dataclass(frozen=True)
class Plan:
    """Queues of one column, or of all columns in lock-step."""

    queue_of: Sequence[int]
    """Of each entry."""
    rows_of: Sequence[range]
    """The PE rows that each queue serves."""
    depth: int
    """Entries that each queue holds."""


def snake(loads: Sequence[int], bins: int) -> list[int]:
    """Bin of each item: descending load, back and forth over the bins."""
    chosen = [0] * len(loads)
    for j, item in enumerate(by_load(loads)):
        run, step = divmod(j, bins)
        chosen[item] = step if run % 2 == 0 else bins - 1 - step
    return chosen


def by_load(loads: Sequence[int]) -> list[int]:
    """Items by descending load, ties by lower index."""
    return sorted(range(len(loads)), key=lambda item: (-loads[item], item))


def longest_first(loads: Sequence[int], bins: int, most_items: int) -> list[int]:
    """Bin of each item: the one with the least load so far that may hold one more."""
    chosen = [0] * len(loads)
    load, held = [0] * bins, [0] * bins
    for item in by_load(loads):
        least = min((load[b], b) for b in range(bins) if held[b] < most_items)[1]
        chosen[item] = least
        load[least] += loads[item]
        held[least] += 1
    return chosen


def plan(tile: Tile, machine: MixedVector) -> Plan:
    """The schedule of one tile."""
    policy, rows, depth = (
        machine.scheduler.policy,
        machine.array.pe_rows,
        machine.queue.depth_entries,
    )
    units = [entry.unit for entry in tile.entries]
    loads = [0] * tile.units
    for unit in units:
        loads[unit] += 1
    every_row = [range(row, row + 1) for row in range(rows)]
    sets = set_count(machine)
    size = rows // sets
    if policy == "interleaved":
        return Plan([unit % rows for unit in units], every_row, depth)
    if policy == "lpt":
        row_of = longest_first(loads, rows, units_per_set(machine, tile.mode))
        return Plan([row_of[unit] for unit in units], every_row, depth)
    if policy == "snake":
        row_of = snake(loads, rows)
        return Plan([row_of[unit] for unit in units], every_row, depth)
    set_of = snake(loads, sets)
    rows_of_set = [range(s * size, (s + 1) * size) for s in range(sets)]
    if policy == "online":
        return Plan([set_of[unit] for unit in units], rows_of_set, depth * size)
    assert policy == "set_associative"
    given = [0] * rows
    chosen: list[int] = []
    for unit in units:
        row = min(rows_of_set[set_of[unit]], key=lambda row: (given[row], row))
        given[row] += 1
        chosen.append(row)
    return Plan(chosen, every_row, depth)
