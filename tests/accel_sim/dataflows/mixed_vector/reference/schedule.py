"""§4: which set each unit goes to, and which slot each entry goes to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    units_of_set: Sequence[Sequence[int]]
    """Ascending; the place of a unit is its number."""
    slot_of_entry: Sequence[int]

    @property
    def most_units(self) -> int:
        return max(len(units) for units in self.units_of_set)

    def number_of(self, unit: int) -> int:
        """The place of a unit among those of its set."""
        return next(units.index(unit) for units in self.units_of_set if unit in units)


def by_load(loads: Sequence[int]) -> list[int]:
    """Items by descending load, ties by lower index."""
    return sorted(range(len(loads)), key=lambda item: (-loads[item], item))


def snake(loads: Sequence[int], bins: int) -> list[int]:
    """Bin of each item: descending load, back and forth over the bins."""
    chosen = [0] * len(loads)
    for j, item in enumerate(by_load(loads)):
        run, step = divmod(j, bins)
        chosen[item] = step if run % 2 == 0 else bins - 1 - step
    return chosen


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


def plan(
    entry_units: Sequence[int],
    units: int,
    sets: Sequence[Sequence[int]],
    most_units: int,
    policy: str,
) -> Plan:
    """The schedule of a tile.

    entry_units: of each entry in stream order. units: of the tile. sets: the slots of each.
    most_units: that a set can hold.
    """
    loads = [0] * units
    for unit in entry_units:
        loads[unit] += 1
    if policy == "interleaved":
        set_of = [unit % len(sets) for unit in range(units)]
    elif policy == "lpt":
        set_of = longest_first(loads, len(sets), most_units)
    else:
        assert policy in ("snake", "set_associative")
        set_of = snake(loads, len(sets))
    given = [0] * sum(len(slots) for slots in sets)
    slot_of_entry: list[int] = []
    for unit in entry_units:
        # Under every policy but set_associative there is one slot to choose from.
        slot = min(sets[set_of[unit]], key=lambda slot: (given[slot], slot))
        given[slot] += 1
        slot_of_entry.append(slot)
    units_of_set = [[u for u in range(units) if set_of[u] == s] for s in range(len(sets))]
    assert all(len(held) <= most_units for held in units_of_set)
    return Plan(units_of_set, slot_of_entry)
