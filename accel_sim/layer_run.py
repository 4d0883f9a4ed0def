"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.mixed_vector import COUNTS, Count, run_pass
from accel_sim.plan import PlannedTile, plan_layer, skippable_entries
from accel_sim.product import ProductCheck, check_product
from accel_sim.stream import Stored, dense
from accel_sim.workload import CHECKED_TOKENS, Activations, Layer, group_tokens
from sparse_formats.decompose import decompose
from sparse_formats.storage import Storage
from sparse_formats.vectors import Orientation


@dataclass(frozen=True, eq=False)
class TileRun:
    """A tile and what its passes counted.

    counts: int64 (groups or 1, COUNTS); one row serves all groups where no activation is zero.
    queue_bits: bits of all entries. pe_busy: issuing cycles of each PE row, summed over groups.
    """

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    bytes: int
    storage: Storage
    queue_bits: int
    counts: NDArray[np.int64]
    pe_busy: NDArray[np.int64]

    @property
    def outputs(self) -> int:
        return self.rows[1] - self.rows[0]


@dataclass(frozen=True, eq=False)
class LayerRun:
    """All passes of one layer. group_sizes: tokens of each group, int64 (groups,)."""

    name: str
    kind: str
    shape: tuple[int, int]
    nnz: int
    orientation: Orientation
    vectors: int
    tiles: tuple[TileRun, ...]
    group_sizes: NDArray[np.int64]
    macs_effectual: int
    product: ProductCheck | None = None

    @property
    def tokens(self) -> int:
        return int(self.group_sizes.sum())

    @property
    def input_ranges(self) -> int:
        """Input ranges of each strip; 1 for a matrix without entries, which has no tile."""
        return max(sum(tile.strip == 0 for tile in self.tiles), 1)

    def summed(self, count: Count) -> int:
        """`count` over all passes."""
        groups = len(self.group_sizes)
        return sum(
            int(tile.counts[:, count].sum()) * (groups if len(tile.counts) == 1 else 1)
            for tile in self.tiles
        )

    def summed_by_token(self, count: Count) -> int:
        """`count` × tokens of the pass's group, over all passes."""
        return sum(
            int(tile.counts[0, count]) * self.tokens
            if len(tile.counts) == 1
            else int(tile.counts[:, count] @ self.group_sizes)
            for tile in self.tiles
        )


def run_layer(
    layer: Layer, machine: Accelerator, activations: Activations, is_checked: bool
) -> LayerRun:
    """Encode, schedule and step one layer; multiply it too where weights are known.

    Raises:
        InputError: the matrix does not fit the machine.
    """
    matrix = layer.matrix
    layout = matrix.vectors if matrix.vectors is not None else decompose(matrix.keep)
    stored = Stored(layout, matrix.shape)
    x = _inputs(layer, activations, is_checked)
    nonzero = None if activations.is_dense or x is None else x != 0
    plan = plan_layer(stored, machine, matrix.name)
    sizes = group_tokens(activations.tokens, machine.array.token_columns)
    nnz = matrix.nnz
    effectual = nnz * activations.tokens
    if nonzero is not None:
        kept_per_input = np.count_nonzero(matrix.keep, axis=0)
        effectual = int(kept_per_input @ np.count_nonzero(nonzero, axis=0))
    product = None
    if is_checked and matrix.weight is not None and x is not None:
        checked = x[:CHECKED_TOKENS]
        product = check_product(plan, stored, matrix.keep, matrix.weight, checked, machine)
    return LayerRun(
        name=matrix.name,
        kind=matrix.kind,
        shape=matrix.shape,
        nnz=nnz,
        orientation=layout.orientation,
        vectors=len(layout),
        tiles=tuple(_run_tile(item, stored, machine, sizes, nonzero) for item in plan),
        group_sizes=sizes,
        macs_effectual=effectual,
        product=product,
    )


def run_dense(
    layer: Layer, machine: Accelerator, activations: Activations, orientation: Orientation
) -> LayerRun:
    """The same layer with nothing pruned, as values without an index."""
    rows, cols = shape = layer.matrix.shape
    stored = dense(shape, orientation)
    x = _inputs(layer, activations, is_checked=False)
    nonzero = None if x is None else x != 0
    sizes = group_tokens(activations.tokens, machine.array.token_columns)
    effectual = rows * (cols * activations.tokens if nonzero is None else int(nonzero.sum()))
    plan = plan_layer(stored, machine, layer.matrix.name)
    return LayerRun(
        name=layer.matrix.name,
        kind=layer.matrix.kind,
        shape=shape,
        nnz=rows * cols,
        orientation=orientation,
        vectors=len(stored.layout),
        tiles=tuple(_run_tile(item, stored, machine, sizes, nonzero) for item in plan),
        group_sizes=sizes,
        macs_effectual=effectual,
    )


def _inputs(layer: Layer, activations: Activations, is_checked: bool) -> NDArray[np.float16] | None:
    """The layer's activations, where anything depends on them."""
    is_multiplied = is_checked and layer.matrix.weight is not None
    is_needed = layer.matrix.keep.size > 0 and (is_multiplied or not activations.is_dense)
    return activations.draw(layer.matrix.shape[1], layer.index) if is_needed else None


def _run_tile(
    planned: PlannedTile,
    stored: Stored,
    machine: Accelerator,
    group_sizes: NDArray[np.int64],
    nonzero: NDArray[np.bool_] | None,
) -> TileRun:
    tile, entries, pe = planned.tile, planned.entries, planned.pe
    groups = 1 if nonzero is None else len(group_sizes)
    counts = np.zeros((groups, COUNTS), np.int64)
    pe_busy = np.zeros(machine.array.pe_rows, np.int64)
    for group in range(groups):
        skippable = skippable_entries(entries, nonzero, group, machine.array.token_columns)
        counts[group], busy = run_pass(entries, pe, skippable, tile, machine)
        pe_busy += busy
    if nonzero is None:
        pe_busy *= len(group_sizes)
    storage = Storage(
        values=tile.nnz * machine.value_bits,
        indices=len(tile.lines) * tile.vector_bits + (not stored.is_dense),
        pointers=max(tile.header_bits - 1, 0),
    )
    return TileRun(
        strip=tile.strip,
        rows=tile.rows,
        cols=tile.cols,
        bytes=tile.bytes,
        storage=storage,
        queue_bits=int(entries.bits.sum(dtype=np.int64)),
        counts=counts,
        pe_busy=pe_busy,
    )
