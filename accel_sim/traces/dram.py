"""What a run asks of the DRAM, burst by burst: where, when, and whether it reads or writes.

docs/timeline.md says how addresses are laid out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun, Tile
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import Part, tile_loads, transfer_cycles
from accel_sim.pipeline import Runs
from accel_sim.traces.record import Place, places_of
from sparse_formats.errors import InputError

MOST_BURSTS = 100_000_000
"""A trace has a line for each; that many are two gigabytes of text."""


class Bursts(NamedTuple):
    """Bursts of one load, in order; int64 arrays: address in bytes, cycle in which it is asked."""

    address: NDArray[np.int64]
    cycle: NDArray[np.int64]
    is_write: bool


@dataclass(frozen=True)
class Area:
    """Where a layer lies: the first byte of each tile's weights, of its inputs, of its outputs."""

    weights: Sequence[int]
    inputs: int
    outputs: int


@dataclass(frozen=True, eq=False)
class DramTrace:
    """All bursts of a run. activations: the address behind all weights; end: behind everything."""

    runs: Runs
    places: Sequence[Place]
    areas: Sequence[Area]
    activations: int
    end: int

    @property
    def burst_bytes(self) -> int:
        return self.runs.machine.dram.burst_bytes

    @property
    def bursts(self) -> int:
        """How many there are."""
        times = [place.time for place in self.places]
        moved = sum(time.dram_read_bytes + time.dram_write_bytes for time in times)
        return moved // self.burst_bytes

    def __iter__(self) -> Iterator[Bursts]:
        for number, place in zip(self.runs.order, self.places, strict=True):
            yield from _bursts(place, self.areas[number], self.runs.machine)


def dram_trace(runs: Runs) -> DramTrace:
    """The trace, of which nothing is computed before it is read.

    Raises:
        InputError: it would have more than `MOST_BURSTS` lines.
    """
    machine, at = runs.machine, 0
    loads = [tile_loads(run, machine) for run in runs.layers]
    weights: list[list[int]] = []
    for of_layer in loads:
        weights.append([])
        for load in of_layer:
            weights[-1].append(at)
            at += load.weights.bytes
    behind_weights, areas = at, []
    for run, of_layer, where in zip(runs.layers, loads, weights, strict=True):
        pairs = list(zip(of_layer, run.tiles, strict=True))
        read = [_reach(load.inputs, tile, run, machine, "inputs") for load, tile in pairs]
        written = [_reach(load.outputs, tile, run, machine, "outputs") for load, tile in pairs]
        inputs, outputs = max(read, default=0), max(written, default=0)
        areas.append(Area(where, at, at + inputs))
        at += inputs + outputs
    found = DramTrace(runs, places_of(runs), areas, behind_weights, at)
    if found.bursts > MOST_BURSTS:
        raise InputError(
            f"the trace of the DRAM would have {found.bursts:,} lines, more than {MOST_BURSTS:,}; "
            "choose fewer matrices with --include or --exclude"
        )
    return found


def _offsets(
    part: Part, tile: Tile, run: LayerRun, machine: Machine, kind: str
) -> NDArray[np.int64]:
    """The first byte of each run of activations, from the first of them: int64 (runs,).

    They lie token by token, each with all its values; a run begins with a whole burst.
    """
    if part.runs <= 1:
        return np.zeros(part.runs, np.int64)
    held, first = (
        (max(run.inputs_held, run.shape[1]), tile.cols[0])
        if kind == "inputs"
        else (run.shape[0], tile.rows[0])
    )
    size, burst = machine.operand_bytes, machine.dram.burst_bytes
    at = np.arange(part.runs, dtype=np.int64) * held * size + first * size
    return at // burst * burst


def _reach(part: Part, tile: Tile, run: LayerRun, machine: Machine, kind: str) -> int:
    """Bytes from the first activation to the end of the last run."""
    if not part.bytes:
        return 0
    return int(_offsets(part, tile, run, machine, kind)[-1]) + part.run_bytes


def _bursts(place: Place, area: Area, machine: Machine) -> Iterator[Bursts]:
    """The loads of a layer at one of its places; each part of a load takes its own cycles."""
    loads, burst = tile_loads(place.run, machine), machine.dram.burst_bytes
    for i, (tile, load) in enumerate(zip(place.run.tiles, loads, strict=True)):
        cycle = int(place.loads[i, 0])
        inputs = _offsets(load.inputs, tile, place.run, machine, "inputs")
        outputs = _offsets(load.outputs, tile, place.run, machine, "outputs")
        for part, runs, is_write in (
            (load.weights, np.array([area.weights[i]]), False),
            (load.inputs, area.inputs + inputs, False),
            (load.outputs, area.outputs + outputs, True),
        ):
            if part.bytes:
                address = (runs[:, None] + np.arange(0, part.run_bytes, burst)).ravel()
                cycles = transfer_cycles(part, machine)
                # Spread evenly; in floats, because cycles times bursts may pass 64 bits.
                after = (np.arange(len(address)) * (cycles / len(address))).astype(np.int64)
                yield Bursts(address, cycle + np.minimum(after, cycles - 1), is_write)
                cycle += cycles
