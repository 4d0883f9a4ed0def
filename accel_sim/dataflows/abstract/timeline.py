"""Layers in time: passes, weight loads ahead of them, write-backs behind them.

docs/microarchitecture.md §6. Start and end of everything follow from three recurrences, so no
cycle has to be stepped here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import (
    MOST_CYCLES,
    LayerRun,
    LayerTime,
    Tile,
    too_many_cycles,
)
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


def lay_out(runs: Sequence[LayerRun], machine: Machine) -> list[LayerTime]:
    """When each layer of the workload starts and ends.

    Raises:
        InputError: the machine's values are so large that cycles cannot be counted in 64 bits.
    """
    loads = [tile_loads(run, machine) for run in runs]
    tiles = [tile for run in runs for tile in run.tiles]
    of_tile = [load for of_run in loads for load in of_run]
    layer_of_tile = [index for index, run in enumerate(runs) for _ in run.tiles]
    dram_cycles = [sum(transfer_cycles(part, machine) for part in load.parts) for load in of_tile]
    # Spilled activations exist only once the layer before has ended.
    is_bound = [load.has_activations or not machine.dram.prefetch_across_layers for load in of_tile]
    waits = sum(dram_cycles) + machine.dram.first_latency_cycles * len(dram_cycles)
    if waits > MOST_CYCLES:
        raise too_many_cycles("the DRAM")
    groups = np.array([len(run.group_sizes) for run in runs], np.int64)
    pass_cycles, write_cycles = _per_pass(runs, machine)
    layers, moments = len(runs), np.zeros((len(tiles), 3), np.int64)
    times = np.zeros((layers, 6), np.int64)
    _recur(
        np.array(layer_of_tile, np.int64),
        np.array([_room(tile, machine) for tile in tiles], np.int64),
        np.array(dram_cycles, np.int64),
        np.array(
            [_lead(*each, machine) for each in zip(tiles, of_tile, dram_cycles, strict=True)],
            np.int64,
        ),
        np.array(is_bound, np.bool_),
        pass_cycles,
        write_cycles,
        groups,
        _places(tiles, machine),
        machine.weight_buffer.bytes,
        machine.dram.first_latency_cycles,
        times,
        moments,
    )
    # A matrix without entries has no tile: it starts and ends where the layer before it ended.
    ends = np.maximum.accumulate(times[:, 1])
    empty = np.array([not run.tiles for run in runs], np.bool_)
    times[empty, 0] = times[empty, 1] = ends[empty]
    edges = np.concatenate([times[:, 0], ends[-1:]])
    latency = _overlap(moments[:, 0], moments[:, 1], edges)
    busy = _overlap(moments[:, 1], moments[:, 2], edges)
    return [
        LayerTime(
            *(int(value) for value in times[i]),
            dram_busy=int(busy[i]),
            dram_latency=int(latency[i]),
            dram_read_bytes=sum(load.weights.bytes + load.inputs.bytes for load in loads[i]),
            dram_write_bytes=sum(load.outputs.bytes for load in loads[i]),
            dram_activations=sum(
                part.runs * -(-part.run_bytes // machine.dram.row_bytes)
                for load in loads[i]
                for part in load.parts
            ),
        )
        for i in range(layers)
    ]


def lay_out_in(
    order: Sequence[int], runs: Sequence[LayerRun], machine: Machine
) -> list[list[LayerTime]]:
    """When each layer starts and ends each time it runs; `order`: numbers of `runs`, one a time.

    Raises:
        InputError: as `lay_out`.
    """
    times: list[list[LayerTime]] = [[] for _ in runs]
    for number, time in zip(order, lay_out([runs[i] for i in order], machine), strict=True):
        times[number].append(time)
    return times


def tokens_off_chip(run: LayerRun, machine: Machine) -> int:
    """Of how many tokens the inputs and outputs find no room in the activation buffer.

    Partial sums have room before them; docs/microarchitecture.md §6, "Activations".
    """
    room = machine.activation_buffer.bytes
    if run.input_ranges > 1:
        room -= machine.accumulator_bytes * run.tokens * max(tile.outputs for tile in run.tiles)
    of_a_token = machine.operand_bytes * max(sum(run.shape), 1)
    return max(run.tokens - max(room, 0) // of_a_token, 0)


def tile_loads(run: LayerRun, machine: Machine) -> list[Load]:
    """What the DRAM moves for each tile of the layer, every run rounded up to bursts."""
    (rows, cols), off_chip = run.shape, tokens_off_chip(run, machine)

    def part(runs: int, bytes_: int) -> Part:
        return Part(runs, -(-bytes_ // machine.dram.burst_bytes) * machine.dram.burst_bytes)

    def of_tokens(count: int, whole: int) -> Part:
        """`count` of the `whole` values of each token off chip: one run where it is all."""
        if not off_chip:
            return Part(0, 0)
        if count == whole:
            return part(1, machine.operand_bytes * off_chip * count)
        return part(off_chip, machine.operand_bytes * count)

    loads = []
    for i, tile in enumerate(run.tiles):
        is_last = i + 1 == len(run.tiles) or run.tiles[i + 1].strip != tile.strip
        inputs = of_tokens(tile.cols[1] - tile.cols[0], cols)
        outputs = of_tokens(tile.outputs, rows) if is_last else Part(0, 0)
        weights = Part(0, 0) if machine.dram.resident else part(1, tile.bytes)
        loads.append(Load(weights, inputs, outputs))
    return loads


def _room(tile: Tile, machine: Machine) -> int:
    """Bytes of the weight buffer that the load of a tile must find free."""
    if machine.dram.resident:
        return 0
    return tile.bytes if tile.room is None else tile.room


def _places(tiles: Sequence[Tile], machine: Machine) -> int:
    """Tiles that may be loaded and not yet written back."""
    places = [tile.places for tile in tiles if tile.places is not None]
    return len(tiles) + 1 if machine.dram.resident or not places else min(places)


def resident_bytes(run: LayerRun) -> int:
    """Bytes of the weight buffer that the weights of a layer take if they stay there."""
    return sum(
        (tile.bytes if tile.room is None else tile.room) + tile.head_bytes for tile in run.tiles
    )


def _lead(tile: Tile, load: Load, whole: int, machine: Machine) -> int:
    """Cycles from the first byte of a load until the first pass over its tile may start.

    whole: cycles of all of the load.
    """
    if tile.lines is None or load.has_activations or not load.weights.bytes:
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
    pairs = zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True)
    reached = [permille for run, permille in pairs if run <= part.run_bytes]
    return dram.bytes_per_1000_cycles * (reached[-1] if reached else dram.efficiency_permille[0])


def write_back_cycles(outputs: int, tokens: int, machine: Machine) -> int:
    """Cycles of the write-back port for one pass, if words come as fast as it takes them."""
    return -(-outputs * tokens // machine.output.words_per_cycle)


def _per_pass(
    runs: Sequence[LayerRun], machine: Machine
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cycles of each pass (tiles, groups or 1) and of each write-back (tiles, 2: full, last).

    Of a tile with fewer groups than another the first are filled.
    """
    tiles = [(run, tile) for run in runs for tile in run.tiles]
    kinds = max((len(tile.cycles) for _, tile in tiles), default=1)
    pass_cycles = np.empty((len(tiles), kinds), np.int64)
    write_cycles = np.empty((len(tiles), 2), np.int64)
    for i, (run, tile) in enumerate(tiles):
        if len(tile.cycles) == 1:
            pass_cycles[i] = tile.cycles
        else:
            pass_cycles[i, : len(tile.cycles)] = tile.cycles
        for j, group in enumerate((0, len(run.group_sizes) - 1)):
            tokens = int(run.group_sizes[group])
            through_port = write_back_cycles(tile.outputs, tokens, machine)
            write_cycles[i, j] = max(through_port, tile.least_write_cycles)
    return pass_cycles, write_cycles


@njit(cache=True, nogil=True)
def _recur(
    layer_of_tile: Any,
    room: Any,
    dram_cycles: Any,
    lead: Any,
    is_bound: Any,
    pass_cycles: Any,
    write_cycles: Any,
    groups: Any,
    places: int,
    buffer_bytes: int,
    first_latency: int,
    times: Any,
    moments: Any,
) -> None:
    """Fill times[layer] = start, end, wait for DRAM, for write-back, tail, port busy,
    and moments[tile] = start, first byte, end of its load."""
    kinds = pass_cycles.shape[1]
    tiles = len(room)
    release = np.zeros(tiles, np.int64)
    written = np.zeros(tiles, np.int64)
    held = 0  # bytes of loaded tiles from `oldest` on
    oldest = 0
    load_end = 0
    has_loaded = False
    layer = -1
    pass_end = 0
    write_end = 0
    write_end_before = 0
    for i in range(tiles):
        if layer_of_tile[i] != layer:
            layer = layer_of_tile[i]
            # A layer ends with its last write-back; the next one depends on it.
            pass_end = write_end
            write_end_before = write_end
            times[layer, 0] = write_end
        start = load_end
        first_byte = start
        ready = 0
        if dram_cycles[i] > 0:
            if is_bound[i]:
                start = max(start, times[layer, 0])
            if i >= places:
                start = max(start, written[i - places])
            while held + room[i] > buffer_bytes:
                start = max(start, release[oldest])
                held -= room[oldest]
                oldest += 1
            held += room[i]
            first_byte = start
            if not has_loaded or start > load_end:
                first_byte += first_latency
            has_loaded = True
            load_end = first_byte + dram_cycles[i]
            ready = first_byte + lead[i]
        moments[i, 0] = start
        moments[i, 1] = first_byte
        moments[i, 2] = load_end
        passes = groups[layer]
        for g in range(passes):
            begin = max(pass_end, ready, write_end_before)
            if begin > pass_end:
                if ready == begin:
                    times[layer, 2] += begin - pass_end
                else:
                    times[layer, 3] += begin - pass_end
            pass_end = begin + pass_cycles[i, g if kinds > 1 else 0]
            cycles = write_cycles[i, 1 if g == passes - 1 else 0]
            write_end_before = write_end
            write_end = max(pass_end, write_end) + cycles
            times[layer, 5] += cycles
        release[i] = pass_end
        written[i] = write_end
        times[layer, 1] = write_end
        times[layer, 4] = write_end - pass_end


def _overlap(
    starts: NDArray[np.int64], ends: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Cycles of the intervals [starts, ends) that fall between consecutive edges."""
    done = np.zeros(len(edges), np.int64)
    lengths = ends - starts
    before = np.concatenate([[0], np.cumsum(lengths)])
    # The intervals are in order and disjoint: those that start before an edge count whole, but for
    # the part of the last one that reaches beyond it.
    count = np.searchsorted(starts, edges, side="left")
    done = before[count]
    reaching = count > 0
    last = count[reaching] - 1
    done[reaching] -= np.maximum(ends[last] - edges[reaching], 0)
    return np.diff(done)
