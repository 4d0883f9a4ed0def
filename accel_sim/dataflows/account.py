"""What the passes of a layer come to, in words that machines of every dataflow share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class Tile:
    """A tile of weights as it is laid out in time; tiles of one `strip` share their outputs.

    bytes: what DRAM delivers, once. pass_cycles: int64 (groups,), or (1,) where all take equally
    long.
    """

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    bytes: int
    storage: Storage
    pass_cycles: NDArray[np.int64]

    @property
    def outputs(self) -> int:
        return self.rows[1] - self.rows[0]


@dataclass(frozen=True, eq=False)
class Passes:
    """All passes of one layer. group_sizes: tokens of each group, int64 (groups,)."""

    name: str
    kind: str
    shape: tuple[int, int]
    nnz: int
    tiles: tuple[Tile, ...]
    group_sizes: NDArray[np.int64]
    macs_effectual: int

    @property
    def tokens(self) -> int:
        return int(self.group_sizes.sum())

    @property
    def input_ranges(self) -> int:
        """Input ranges of each strip; 1 for a matrix without entries, which has no tile."""
        return max(sum(tile.strip == 0 for tile in self.tiles), 1)

    @property
    def pass_cycles(self) -> int:
        """Cycles of all passes, one right after the other."""
        groups = len(self.group_sizes)
        return sum(
            int(tile.pass_cycles.sum()) * (groups if len(tile.pass_cycles) == 1 else 1)
            for tile in self.tiles
        )


@dataclass(frozen=True)
class Unit:
    """One kind of unit: busy + stalled + idle = count · cycles of the layer."""

    count: int
    busy: int
    stalled: Mapping[str, int]
    idle: int


@dataclass(frozen=True)
class Account:
    """What a layer's passes came to, once laid out in time.

    causes: the critical path, in the order in which ties are broken; actions: of
    `energy.prices_pj`, by component; pe_load: entries of each PE row, () where the dataflow deals
    none out; orientation: "" and vectors: 0 where the format has none.
    """

    format: str
    orientation: str
    vectors: int
    executed: int
    padding: int
    causes: Mapping[str, int]
    units: Mapping[str, Unit]
    actions: Mapping[str, Mapping[str, float]]
    pe_load: Sequence[int]
