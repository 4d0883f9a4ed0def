"""What the DRAM moves for each tile, in whole bursts, and how long that takes.

docs/microarchitecture.md §6.
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun, Tile
from accel_sim.dataflows.abstract.dataflow import Machine


@dataclass(frozen=True)
class Part:
    """Part of a DRAM load: `runs` stretches of consecutive bytes, each of whole bursts."""

    runs: int
    run_bytes: int

    @property
    def bytes(self) -> int:
        return self.runs * self.run_bytes


@dataclass(frozen=True)
class Load:
    """What the DRAM moves for one tile: its weights, inputs and outputs that are off the chip."""

    weights: Part
    inputs: Part
    outputs: Part

    @property
    def has_activations(self) -> bool:
        return self.inputs.bytes + self.outputs.bytes > 0

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        return self.weights, self.inputs, self.outputs


def tokens_off_chip(run: LayerRun, machine: Machine) -> int:
    """Of how many tokens the inputs and outputs find no room in the activation buffer.

    Partial sums have room before them; docs/microarchitecture.md §6, "Activations".
    """
    room = machine.activation_buffer.bytes
    if run.input_ranges > 1:
        room -= machine.accumulator_bytes * run.tokens * max(tile.outputs for tile in run.tiles)
    of_a_token = machine.operand_bytes * max(run.shape[0] + run.inputs_held, 1)
    return max(run.tokens - max(room, 0) // of_a_token, 0)


def tile_loads(run: LayerRun, machine: Machine) -> list[Load]:
    """What the DRAM moves for each tile of the layer, every run rounded up to bursts."""
    rows, off_chip = run.shape[0], tokens_off_chip(run, machine)

    def part(runs: int, bytes_: int) -> Part:
        return part_of(runs, bytes_, machine)

    nothing = Part(0, 0)

    def of_tokens(count: int, whole: int) -> Part:
        """`count` of the `whole` values of each token off chip: one run where it is all."""
        if not off_chip:
            return nothing
        if count == whole:
            return part(1, machine.operand_bytes * off_chip * count)
        return part(off_chip, machine.operand_bytes * count)

    loads = []
    for i, tile in enumerate(run.tiles):
        is_last = i + 1 == len(run.tiles) or run.tiles[i + 1].strip != tile.strip
        # A tile that reads all inputs reads what is held of them.
        span = tile.cols[1] - tile.cols[0]
        read = run.inputs_held if span == run.shape[1] else span
        inputs = of_tokens(read, run.inputs_held)
        outputs = of_tokens(tile.outputs, rows) if is_last else nothing
        count = tile.bytes if tile.delivery is None else tile.delivery.bytes
        weights = nothing if machine.dram.resident else part(1, count)
        loads.append(Load(weights, inputs, outputs))
    return loads


def room_of(tile: Tile, machine: Machine) -> int:
    """Bytes of the weight buffer that the load of a tile must find free."""
    if machine.dram.resident:
        return 0
    return tile.bytes if tile.room is None else tile.room


def resident_bytes(run: LayerRun) -> int:
    """Bytes of the weight buffer that the weights of a layer take if they stay there."""
    return sum(
        (tile.bytes if tile.room is None else tile.room) + tile.head_bytes for tile in run.tiles
    )


def lead_of(tile: Tile, load: Load, whole: int, machine: Machine) -> int:
    """Cycles from the first byte of a load until the first pass over its tile may start.

    whole: cycles of all of the load.
    """
    if (
        tile.lines is None
        or tile.delivery is not None
        or load.has_activations
        or not load.weights.bytes
    ):
        return whole
    read, written = tile.lines
    moved = np.minimum(-(-1_000_000 * read // _rate(load.weights, machine)), whole)
    return int((np.maximum(moved, written) - np.arange(len(read))).max())


def transfer_cycles(part: Part, machine: Machine) -> int:
    """Cycles the DRAM needs for one part of a load, latency apart: exact, rounded up once."""
    if not part.bytes:
        return 0
    return -(-1_000_000 * part.bytes // _rate(part, machine))


def least_weight_cycles(count: int, machine: Machine) -> int:
    """Cycles that `count` bytes of weights take at least, in tiles of whatever size."""
    dram = machine.dram
    if dram.resident:
        return 0
    return -(-1_000_000 * count // (dram.bytes_per_1000_cycles * max(dram.efficiency_permille)))


def _rate(part: Part, machine: Machine) -> int:
    """Millionths of a byte a cycle with runs of this length."""
    dram = machine.dram
    reached = max(bisect_right(dram.efficiency_run_bytes, part.run_bytes) - 1, 0)
    return dram.bytes_per_1000_cycles * dram.efficiency_permille[reached]


def write_back_cycles(outputs: int, tokens: int, machine: Machine) -> int:
    """Cycles of the write-back port for one pass, if words come as fast as it takes them."""
    return -(-outputs * tokens // machine.output.words_per_cycle)


def part_of(runs: int, count: int, machine: Machine) -> Part:
    """`runs` stretches of `count` bytes each, rounded up to bursts."""
    burst = machine.dram.burst_bytes
    return Part(runs, -(-count // burst) * burst)


def row_activations(part: Part, machine: Machine) -> int:
    """Rows of the DRAM that a part of a load opens."""
    return part.runs * -(-part.run_bytes // machine.dram.row_bytes)
