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

from accel_sim.accelerator import Accelerator
from accel_sim.layer_run import LayerRun
from accel_sim.mixed_vector import Count


@dataclass(frozen=True)
class LayerTime:
    """When a layer ran, in cycles.

    wait_dram, wait_writeback: cycles before passes, by what they waited for; tail: from the end
    of the last pass to the end of the layer. dram_busy, dram_latency: cycles of [start, end) in
    which the DRAM transferred or had yet to answer, whatever layer the bytes were for.
    """

    start: int
    end: int
    wait_dram: int
    wait_writeback: int
    tail: int
    write_busy: int
    dram_busy: int
    dram_latency: int
    dram_read_bytes: int
    dram_write_bytes: int

    @property
    def cycles(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Traffic:
    """DRAM bytes of one tile: encoded weights, inputs and outputs that do not fit on the chip."""

    weights: int
    inputs: int
    outputs: int


def lay_out(runs: Sequence[LayerRun], machine: Accelerator) -> list[LayerTime]:
    """When each layer of the workload starts and ends."""
    traffic = [tile_traffic(run, machine) for run in runs]
    layer_of_tile, tile_bytes, dram_cycles, is_bound = [], [], [], []
    for index, (run, tiles) in enumerate(zip(runs, traffic, strict=True)):
        for tile, bytes_ in zip(run.tiles, tiles, strict=True):
            layer_of_tile.append(index)
            tile_bytes.append(tile.bytes)
            total = bytes_.weights + bytes_.inputs + bytes_.outputs
            dram_cycles.append(transfer_cycles(total, machine))
            # Spilled activations exist only once the layer before has ended.
            spills = bytes_.inputs + bytes_.outputs > 0
            is_bound.append(spills or not machine.dram.prefetch_across_layers)
    groups = len(runs[0].group_sizes)
    pass_cycles, write_cycles = _per_pass(runs, groups, machine)
    layers, loads = len(runs), np.zeros((len(tile_bytes), 3), np.int64)
    times = np.zeros((layers, 6), np.int64)
    _recur(
        np.array(layer_of_tile, np.int64),
        np.array(tile_bytes, np.int64),
        np.array(dram_cycles, np.int64),
        np.array(is_bound, np.bool_),
        pass_cycles,
        write_cycles,
        groups,
        machine.weight_buffer.bytes,
        machine.dram.first_latency_cycles,
        times,
        loads,
    )
    # A matrix without entries has no tile: it starts and ends where the layer before it ended.
    ends = np.maximum.accumulate(times[:, 1])
    empty = np.array([not run.tiles for run in runs], np.bool_)
    times[empty, 0] = times[empty, 1] = ends[empty]
    edges = np.concatenate([times[:, 0], ends[-1:]])
    latency = _overlap(loads[:, 0], loads[:, 1], edges)
    busy = _overlap(loads[:, 1], loads[:, 2], edges)
    return [
        LayerTime(
            *(int(value) for value in times[i]),
            dram_busy=int(busy[i]),
            dram_latency=int(latency[i]),
            dram_read_bytes=sum(t.weights + t.inputs for t in traffic[i]),
            dram_write_bytes=sum(t.outputs for t in traffic[i]),
        )
        for i in range(layers)
    ]


def tile_traffic(run: LayerRun, machine: Accelerator) -> list[Traffic]:
    """Burst-rounded DRAM bytes of each tile of the layer."""
    (rows, cols), tokens = run.shape, run.tokens
    on_chip = 2 * tokens * (rows + cols)
    if run.input_ranges > 1:
        on_chip += 4 * tokens * max(tile.outputs for tile in run.tiles)
    spills = on_chip > machine.activation_buffer.bytes
    traffic = []
    for i, tile in enumerate(run.tiles):
        is_last = i + 1 == len(run.tiles) or run.tiles[i + 1].strip != tile.strip
        inputs = 2 * tokens * (tile.cols[1] - tile.cols[0]) if spills else 0
        outputs = 2 * tokens * tile.outputs if spills and is_last else 0
        burst = machine.dram.burst_bytes
        traffic.append(Traffic(*(-(-n // burst) * burst for n in (tile.bytes, inputs, outputs))))
    return traffic


def transfer_cycles(bytes_: int, machine: Accelerator) -> int:
    """Cycles the DRAM needs for a run of `bytes_`, latency apart."""
    dram = machine.dram
    pairs = zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True)
    reached = [permille for run, permille in pairs if run <= bytes_]
    permille = reached[-1] if reached else dram.efficiency_permille[0]
    return -(-1000 * bytes_ // (dram.bytes_per_cycle * permille))


def write_back_cycles(outputs: int, tokens: int, machine: Accelerator) -> int:
    """Cycles of the write-back port for one pass."""
    return -(-outputs * tokens // machine.output.words_per_cycle)


def _per_pass(
    runs: Sequence[LayerRun], groups: int, machine: Accelerator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cycles of each pass (tiles, groups or 1) and of each write-back (tiles, 2: full, last)."""
    tiles = [(run, tile) for run in runs for tile in run.tiles]
    kinds = max((len(tile.counts) for _, tile in tiles), default=1)
    pass_cycles = np.empty((len(tiles), kinds), np.int64)
    write_cycles = np.empty((len(tiles), 2), np.int64)
    for i, (run, tile) in enumerate(tiles):
        pass_cycles[i] = tile.counts[:, Count.CYCLES]
        for j, group in enumerate((0, groups - 1)):
            tokens = int(run.group_sizes[group])
            write_cycles[i, j] = write_back_cycles(tile.outputs, tokens, machine)
    return pass_cycles, write_cycles


@njit(cache=True, nogil=True)
def _recur(
    layer_of_tile: Any,
    tile_bytes: Any,
    dram_cycles: Any,
    is_bound: Any,
    pass_cycles: Any,
    write_cycles: Any,
    groups: int,
    buffer_bytes: int,
    first_latency: int,
    times: Any,
    loads: Any,
) -> None:
    """Fill times[layer] = start, end, wait for DRAM, for write-back, tail, port busy,
    and loads[tile] = start, first byte, end."""
    kinds = pass_cycles.shape[1]
    tiles = len(tile_bytes)
    release = np.zeros(tiles, np.int64)
    held = 0  # bytes of loaded tiles from `oldest` on
    oldest = 0
    load_end = 0
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
        if is_bound[i]:
            start = max(start, times[layer, 0])
        while held + tile_bytes[i] > buffer_bytes:
            start = max(start, release[oldest])
            held -= tile_bytes[oldest]
            oldest += 1
        held += tile_bytes[i]
        first_byte = start
        if i == 0 or start > load_end:
            first_byte += first_latency
        load_end = first_byte + dram_cycles[i]
        loads[i, 0] = start
        loads[i, 1] = first_byte
        loads[i, 2] = load_end
        for g in range(groups):
            begin = max(pass_end, load_end, write_end_before)
            if begin > pass_end:
                if load_end == begin:
                    times[layer, 2] += begin - pass_end
                else:
                    times[layer, 3] += begin - pass_end
            pass_end = begin + pass_cycles[i, g if kinds > 1 else 0]
            cycles = write_cycles[i, 1 if g == groups - 1 else 0]
            write_end_before = write_end
            write_end = max(pass_end, write_end) + cycles
            times[layer, 5] += cycles
        release[i] = pass_end
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
