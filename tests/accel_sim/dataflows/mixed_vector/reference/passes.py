"""The passes of a matrix: which entries are live for whom, and what was executed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine
from tests.accel_sim.dataflows.mixed_vector.reference.one_pass import Live, PassCount, run_pass
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Tile, parts_of

NotZero = Sequence[Sequence[bool]]
"""Of each token, of each input: whether the multiplier sees something else than 0."""


@dataclass(frozen=True)
class Tally:
    """Pairs (issued entry, token) of a pass, and what is multiplied in them."""

    issued_pairs: int
    live_pairs: int
    executed: int
    """Live weights of live pairs."""


@dataclass(frozen=True)
class Pass:
    """One tile × one group."""

    tile: Tile
    tokens: range
    live: Live
    count: PassCount
    tally: Tally


def live_entries(tile: Tile, group: range, not_zero: NotZero, machine: Machine) -> Live:
    """For each token of the group, of each entry: its weights with an input not zero."""
    if machine.zero_skip.entries_per_cycle == 0:
        return (tuple(entry.weights for entry in tile.entries),) * len(group)
    return tuple(
        tuple(entry.multiplied(not_zero[token]) for entry in tile.entries) for token in group
    )


def tally(live: Live, count: PassCount) -> Tally:
    """What was issued, entry by entry and token by token."""
    issued_pairs = live_pairs = executed = 0
    for taker in count.takers:
        for token in taker.columns:
            issued_pairs += len(taker.issued)
            for number in taker.issued:
                live_pairs += live[token][number] > 0
                executed += live[token][number]
    return Tally(issued_pairs, live_pairs, executed)


def passes_of(tiles: Iterable[Tile], not_zero: NotZero, machine: Machine) -> list[Pass]:
    """Every pass of a layer, in execution order."""
    found: list[Pass] = []
    for tile in tiles:

        @cache  # Groups for which the same entries are live run alike.
        def run(live: Live, tile: Tile = tile) -> tuple[PassCount, Tally]:
            count = run_pass(tile, live, machine)
            return count, tally(live, count)

        for group in parts_of(len(not_zero), machine.array.token_columns):
            live = live_entries(tile, group, not_zero, machine)
            found.append(Pass(tile, group, live, *run(live)))
    return found
