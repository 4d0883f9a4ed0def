"""The machine of docs/microarchitecture.md a second time: what it says of layer after layer.

Written from the contract alone, for clarity and not for speed: plain Python, one small object a
unit, exact integers, every cycle stepped, nothing shared with the simulator but its configuration,
its inputs, its tables of energy and the layout of a mask that came without one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.accounts import (
    Unit,
    cycles_by_cause,
    pe_load,
    units_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.clockwork import (
    Clockwork,
    LayerTime,
    Load,
    dram_rate,
)
from tests.accel_sim.dataflows.mixed_vector.reference.energy import actions, energy_by_component
from tests.accel_sim.dataflows.mixed_vector.reference.passes import NotZero, Pass, passes_of
from tests.accel_sim.dataflows.mixed_vector.reference.stream import (
    Mode,
    Tile,
    ceil_div,
    tiles_of,
    vectors_of,
)


@dataclass(frozen=True)
class ReferenceLayer:
    """Figures of one layer, under the names of `accel_sim.reports.report.LayerResult`."""

    name: str
    rows: int
    cols: int
    nnz: int
    density: float
    tokens: int
    orientation: str
    vectors: int
    mean_vector_length: float | None
    storage_bits: Mapping[str, int]
    tiles: int
    cycles: int
    latency_s: float
    ideal_cycles: int
    ideal_compute_cycles: int
    ideal_dram_cycles: int
    dense_cycles: int
    speedup_vs_dense: float
    utilization: float
    bound_by: str
    macs_dense: int
    macs_executed: int
    macs_skipped: int
    macs_padding: int
    macs_effectual: int
    dram_bytes: int
    cycles_by_cause: Mapping[str, int]
    units: Mapping[str, Unit]
    pe_load: Sequence[int]
    imbalance: float | None


@dataclass(frozen=True)
class Run:
    """A layer before it has a place in time. inputs: operands, (tokens, inputs)."""

    shape: tuple[int, int]
    inputs: NDArray[Any]
    tiles: Sequence[Tile]
    passes: Sequence[Pass]


def sparse_run(
    layout: VectorLayout, shape: tuple[int, int], inputs: NDArray[Any], machine: MixedVector
) -> Run:
    mode: Mode = "row" if layout.orientation == "horizontal" else "column"
    tiles = tiles_of(vectors_of(layout, shape), shape, mode, machine)
    return Run(shape, inputs, tiles, passes_of(tiles, not_zero(inputs), machine))


def dense_run(shape: tuple[int, int], inputs: NDArray[Any], machine: MixedVector) -> Run:
    """All true, dense stream, in the mode whose passes take fewer cycles; ties: row mode."""
    runs: list[Run] = []
    modes: tuple[Mode, ...] = ("row", "column")
    for mode in modes:
        tiles = tiles_of(None, shape, mode, machine)
        runs.append(Run(shape, inputs, tiles, passes_of(tiles, not_zero(inputs), machine)))
    return min(runs, key=lambda run: sum(one.count.cycles for one in run.passes))


def not_zero(inputs: NDArray[Any]) -> NotZero:
    found: list[list[bool]] = (inputs != 0).tolist()
    return found


def on_one_clock(runs: Iterable[Run], machine: MixedVector) -> tuple[list[LayerTime], list[Load]]:
    """The layers in time, and all their loads."""
    clock = Clockwork(machine)
    times = [clock.layer(run.tiles, run.passes, run.shape) for run in runs]
    return times, clock.loads


def effectual_macs(keep: NDArray[np.bool_], inputs: NDArray[Any]) -> int:
    """Pairs of a kept weight and an input that is not zero."""
    kept = [sum(column) for column in keep.T.tolist()]
    seen = [sum(column) for column in not_zero(inputs.T)]
    return sum(weights * tokens for weights, tokens in zip(kept, seen, strict=True))


@dataclass(frozen=True)
class Reference:
    """What the contract says of the matrices one after the other, and the runs behind it."""

    machine: MixedVector
    layers: Sequence[ReferenceLayer]
    runs: Sequence[Run]
    times: Sequence[LayerTime]

    def energy_by_component(self, index: int, case: str) -> dict[str, float]:
        """Joule of one layer."""
        run, time = self.runs[index], self.times[index]
        count = actions(run.tiles, run.passes, time, run.shape[1], self.machine)
        return energy_by_component(count, time.cycles, self.machine, case)


def reference(
    matrices: Sequence[MaskedMatrix], inputs: Sequence[NDArray[Any]], machine: MixedVector
) -> Reference:
    """Run the matrices one after the other.

    inputs: each layer's operands as the multiplier sees them, (tokens, inputs).

    Raises:
        DoesNotFit: a tile does not fit the machine.
    """
    layouts = [
        decompose(matrix.keep) if matrix.vectors is None else matrix.vectors for matrix in matrices
    ]
    shapes = [matrix.shape for matrix in matrices]
    runs = [sparse_run(*of, machine) for of in zip(layouts, shapes, inputs, strict=True)]
    dense_runs = [dense_run(*of, machine) for of in zip(shapes, inputs, strict=True)]
    times, loads = on_one_clock(runs, machine)
    dense_times, _ = on_one_clock(dense_runs, machine)
    layers = [
        layer_figures(*of, loads, machine)
        for of in zip(matrices, layouts, runs, times, dense_times, strict=True)
    ]
    return Reference(machine, layers, runs, times)


def layer_figures(
    matrix: MaskedMatrix,
    layout: VectorLayout,
    run: Run,
    time: LayerTime,
    dense: LayerTime,
    loads: Sequence[Load],
    machine: MixedVector,
) -> ReferenceLayer:
    """Every figure of one layer."""
    rows, cols = matrix.shape
    tokens, array = len(run.inputs), machine.array
    macs = array.pe_rows * array.token_columns * array.lanes
    executed = sum(one.tally.executed for one in run.passes)
    live_pairs = sum(one.tally.live_pairs for one in run.passes)
    dram_bytes = sum(load.dram_bytes for load in time.loads)
    causes = cycles_by_cause(run.passes, time, machine)
    load_of_rows = pe_load(run.passes, machine)
    mean_load = sum(load_of_rows) / array.pe_rows
    effectual = effectual_macs(matrix.keep, run.inputs)
    needed = effectual if machine.zero_skip.entries_per_cycle else matrix.nnz * tokens
    ideal_compute = ceil_div(needed, macs)
    ideal_dram = ceil(dram_bytes / dram_rate(machine))
    return ReferenceLayer(
        name=matrix.name,
        rows=rows,
        cols=cols,
        nnz=matrix.nnz,
        density=matrix.nnz / (rows * cols),
        tokens=tokens,
        orientation=layout.orientation,
        vectors=len(layout),
        mean_vector_length=matrix.nnz / len(layout) if len(layout) else None,
        # The one bit that says which orientation counts as index, as in MixedVectors.
        storage_bits={
            "values": sum(tile.value_bits for tile in run.tiles),
            "indices": sum(tile.index_bits + 1 for tile in run.tiles),
            "pointers": sum(tile.header_bits - 1 for tile in run.tiles),
            "padding": 0,
        },
        tiles=len(run.tiles),
        cycles=time.cycles,
        latency_s=time.cycles / machine.clock.clock_hz,
        ideal_cycles=max(ideal_compute, ideal_dram),
        ideal_compute_cycles=ideal_compute,
        ideal_dram_cycles=ideal_dram,
        dense_cycles=dense.cycles,
        speedup_vs_dense=dense.cycles / time.cycles,
        utilization=executed / (macs * time.cycles),
        bound_by=max(causes, key=lambda cause: causes[cause]),
        macs_dense=rows * cols * tokens,
        macs_executed=executed,
        macs_skipped=matrix.nnz * tokens - executed,
        macs_padding=live_pairs * array.lanes - executed,
        macs_effectual=effectual,
        dram_bytes=dram_bytes,
        cycles_by_cause=causes,
        units=units_of(run.passes, time, loads, machine),
        pe_load=load_of_rows,
        imbalance=max(load_of_rows) / mean_load if mean_load else None,
    )
