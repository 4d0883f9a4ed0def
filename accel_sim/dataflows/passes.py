"""What a dataflow hands back: tiles of weights, and what the passes over each of them counted.

A pass is one tile × one group of tokens. Names of causes, units and actions are the dataflow's
own; sums hold for all of them (docs/rivals.md §1), so whoever lays the passes out in time and
charges energy needs to know no dataflow.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.storage import Storage

Counted = NDArray[np.int64]
"""int64 (groups,), or (1,) where every group counts the same."""

ACTIONS = (
    "weight_bits_read",
    "activation_bits_read",
    "activation_bits_written",
    "decoded_bits",
    "register_bits",
    "compares",
    "macs",
    "gated_lanes",
    "accumulator_bits",
    "adds",
)
"""Actions with an energy each. Bits of the two buffers; bits that pass an expander; bits of queues,
windows and operand registers, written or read; bits of accumulators, written or read."""


@dataclass(frozen=True, eq=False)
class Unit:
    """A kind of unit: how many there are, and in which state they spent count · cycles."""

    count: int
    states: Mapping[str, Counted]


@dataclass(frozen=True, eq=False)
class TilePasses:
    """One tile of outputs `rows` × inputs `cols`; tiles of one `strip` share their outputs.

    storage: of the encoded tile. cycles: of each pass, `causes` sum to it. macs: executed;
    weights of the tile × tokens that were not executed are `skipped`; `padding` is what lanes
    did besides. units: busy, stalled by cause and idle cycles, which sum to count · cycles.
    actions: of `ACTIONS`.
    """

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    storage: Storage
    cycles: Counted
    causes: Mapping[str, Counted]
    executed: Counted
    skipped: Counted
    padding: Counted
    units: Mapping[str, Unit]
    actions: Mapping[str, Counted]

    @property
    def stored_bits(self) -> int:
        return self.storage.bits


def total(tiles: tuple[TilePasses, ...], groups: int) -> int:
    """Cycles of all passes, one after the other."""
    return sum(summed(tile.cycles, groups) for tile in tiles)


def summed(counted: Counted, groups: int) -> int:
    """A count over all groups."""
    return int(counted.sum()) * (groups if len(counted) == 1 else 1)


def ranges(length: int, part: int) -> list[tuple[int, int]]:
    """[0, length) cut into parts of `part`, the last one shorter; [] if length is 0."""
    return [(first, min(first + part, length)) for first in range(0, length, part)]
