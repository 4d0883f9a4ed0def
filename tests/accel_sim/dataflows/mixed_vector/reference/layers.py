"""The machine of docs/microarchitecture.md a second time: what it says of layer after layer.

Written from the contract alone, for clarity and not for speed: plain Python, one small object a
block, exact integers, every cycle stepped, nothing shared with the simulator but its tables of
energy. Every choice of mode and lane groups is run, and the best is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.reference.accounts import (
    Unit,
    cycles_by_cause,
    pe_load,
    units_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.energy import actions, energy_by_component
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div
from tests.accel_sim.dataflows.mixed_vector.reference.passes import NotZero, Pass, passes_of
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    DESCRIPTOR_BYTES,
    Choice,
    DoesNotFit,
    Matrix,
    Mode,
    Tile,
    storage_bits,
    tiles_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.timeline import LayerTime, Load, Timeline

MODES: tuple[Mode, ...] = ("row", "column")


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
    lane_groups: int
    lane_select: int
    entries: int
    mean_entry_weights: float | None
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
    last_pass_cycle: int


@dataclass(frozen=True)
class Run:
    """A matrix with a choice, before it has a place in time. inputs: (tokens, inputs)."""

    choice: Choice
    shape: tuple[int, int]
    inputs: NDArray[Any]
    tiles: Sequence[Tile]
    passes: Sequence[Pass]

    @property
    def room(self) -> int:
        """Of all tiles, with what is read into the tile memory."""
        return sum(tile.room + DESCRIPTOR_BYTES + tile.table_bytes for tile in self.tiles)

    @property
    def bytes(self) -> int:
        return sum(tile.bytes for tile in self.tiles)


def every_choice(machine: Machine) -> list[Choice]:
    """Modes, lane groups and select widths that a matrix may be given."""
    groups, widths = machine.array.lane_groups, machine.select_widths
    return [Choice(mode, n, s) for mode in MODES for n in groups for s in widths]


@dataclass(frozen=True)
class Source:
    """What is run: a pruned matrix, or, where there is none, the dense one of its shape."""

    matrix: MaskedMatrix | None
    shape: tuple[int, int]
    inputs: NDArray[Any]

    def choices(self, machine: Machine) -> list[Choice]:
        """Those that are tried: all; of a dense matrix only those with fewer entries a slot."""
        if self.matrix is not None:
            return every_choice(machine)
        every = [choice for choice in every_choice(machine) if choice.s == 1]

        def entries_a_slot(choice: Choice) -> Fraction:
            lines, length = self.shape if choice.mode == "row" else self.shape[::-1]
            return Fraction(lines * ceil_div(length, choice.lanes(machine)), choice.n)

        return [
            choice
            for choice in every
            if all(
                entries_a_slot(choice) < entries_a_slot(smaller)
                for smaller in every
                if smaller.mode == choice.mode and smaller.n < choice.n
            )
        ]

    def seen_in(self, mode: Mode, machine: Machine) -> Matrix:
        if self.matrix is None:
            return Matrix.dense(self.shape)
        return Matrix.pruned(self.matrix.keep, self.matrix.vectors, mode, machine)


def not_zero(inputs: NDArray[Any]) -> NotZero:
    found: list[list[bool]] = (inputs != 0).tolist()
    return found


def candidate(source: Source, choice: Choice, machine: Machine) -> Run:
    """The matrix alone with this choice.

    Raises:
        DoesNotFit: one of its tiles does not.
    """
    tiles = tiles_of(source.seen_in(choice.mode, machine), choice, machine)
    passes = passes_of(tiles, not_zero(source.inputs), machine)
    return Run(choice, source.shape, source.inputs, tiles, passes)


def best_run(source: Source, machine: Machine) -> Run:
    """Of all choices that are tried the one that takes the fewest cycles alone.

    Raises:
        DoesNotFit: with no choice all tiles fit.
    """
    found: list[tuple[tuple[int, ...], Run]] = []
    for choice in source.choices(machine):
        try:
            run = candidate(source, choice, machine)
        except DoesNotFit:
            continue
        timeline = Timeline(machine, machine.dram.resident)
        cycles = timeline.layer(run.tiles, run.passes, run.shape).cycles
        order = (cycles, run.bytes, choice.s, choice.n, MODES.index(choice.mode))
        found.append((order, run))
    if not found:
        raise DoesNotFit
    return min(found, key=lambda one: one[0])[1]


@dataclass(frozen=True)
class Workload:
    """The matrices with their choices, in time."""

    machine: Machine
    is_resident: bool
    runs: Sequence[Run]
    times: Sequence[LayerTime]
    loads: Sequence[Load]


def workload(sources: Sequence[Source], machine: Machine) -> Workload:
    """Choose for each matrix, then run all, with resident weights only if they fit together."""
    runs = [best_run(source, machine) for source in sources]
    resident = machine.dram.resident
    if resident and sum(run.room for run in runs) > machine.weight_buffer.bytes:
        return workload(sources, replace(machine, dram=replace(machine.dram, resident=False)))
    timeline = Timeline(machine, resident)
    times = [timeline.layer(run.tiles, run.passes, run.shape) for run in runs]
    return Workload(machine, resident, runs, times, timeline.loads)


def effectual_macs(keep: NDArray[np.bool_], inputs: NDArray[Any]) -> int:
    """Pairs of a kept weight and an input that is not zero."""
    kept = [sum(column) for column in keep.T.tolist()]
    seen = [sum(column) for column in not_zero(inputs.T)]
    return sum(weights * tokens for weights, tokens in zip(kept, seen, strict=True))


@dataclass(frozen=True)
class Reference:
    """What the contract says of the matrices one after the other, and the runs behind it."""

    pruned: Workload
    layers: Sequence[ReferenceLayer]

    @property
    def machine(self) -> Machine:
        return self.pruned.machine

    @property
    def runs(self) -> Sequence[Run]:
        return self.pruned.runs

    def energy_by_component(self, index: int, case: str) -> dict[str, float]:
        """Joule of one layer."""
        run, time = self.runs[index], self.pruned.times[index]
        of = self.pruned.is_resident
        count = actions(run.tiles, run.passes, time, run.shape[1], of, self.machine)
        return energy_by_component(count, time.cycles, self.machine, case)


def reference(
    matrices: Sequence[MaskedMatrix],
    inputs: Sequence[NDArray[Any]],
    machine: Machine,
    given: Sequence[NDArray[Any]] | None = None,
) -> Reference:
    """Run the matrices one after the other.

    inputs: each layer's operands as the multiplier sees them, (tokens, inputs). given: the same
    before they were rounded, if they were.

    Raises:
        DoesNotFit: a matrix does not fit the machine.
    """
    pairs = list(zip(matrices, inputs, strict=True))
    pruned = workload([Source(matrix, matrix.shape, x) for matrix, x in pairs], machine)
    dense = workload([Source(None, matrix.shape, x) for matrix, x in pairs], machine)
    layers = [
        layer_figures(matrix, x, run, time, dense_time, pruned)
        for matrix, x, run, time, dense_time in zip(
            matrices, given or inputs, pruned.runs, pruned.times, dense.times, strict=True
        )
    ]
    return Reference(pruned, layers)


def layer_figures(
    matrix: MaskedMatrix,
    given: NDArray[Any],
    run: Run,
    time: LayerTime,
    dense: LayerTime,
    of: Workload,
) -> ReferenceLayer:
    """Every figure of one layer."""
    machine, choice = of.machine, run.choice
    rows, cols = matrix.shape
    tokens, macs = len(run.inputs), machine.multipliers
    executed = sum(one.tally.executed for one in run.passes)
    live_pairs = sum(one.tally.live_pairs for one in run.passes)
    entries = sum(len(tile.entries) for tile in run.tiles)
    dram_bytes = sum(load.dram_bytes for load in time.loads)
    causes = cycles_by_cause(run.passes, time, choice, machine)
    load_of_rows = pe_load(run.passes, machine)
    mean_load = sum(load_of_rows) / machine.array.pe_rows
    effectual = effectual_macs(matrix.keep, given)
    if machine.zero_skip.entries_per_cycle:
        assert executed == effectual_macs(matrix.keep, run.inputs) <= effectual
    else:
        assert executed == matrix.nnz * tokens
    ideal_compute = ceil_div(executed, macs)
    ideal_dram = ceil(dram_bytes / machine.dram.rate)
    return ReferenceLayer(
        name=matrix.name,
        rows=rows,
        cols=cols,
        nnz=matrix.nnz,
        density=matrix.nnz / (rows * cols),
        tokens=tokens,
        orientation="horizontal" if choice.mode == "row" else "vertical",
        lane_groups=choice.n,
        lane_select=choice.s,
        entries=entries,
        mean_entry_weights=matrix.nnz / entries if entries else None,
        storage_bits=storage_bits(run.tiles),
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
        macs_padding=live_pairs * choice.lanes(machine) - executed,
        macs_effectual=effectual,
        dram_bytes=dram_bytes,
        cycles_by_cause=causes,
        units=units_of(run.passes, time, of.loads, choice, machine),
        pe_load=load_of_rows,
        imbalance=max(load_of_rows) / mean_load if mean_load else None,
        last_pass_cycle=sum(one.count.cycles for one in run.passes) - 1,
    )
