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
from accel_sim.dataflows.abstract.loads import (
    Load,
    lead_of,
    room_of,
    row_activations,
    tile_loads,
    transfer_cycles,
    write_back_cycles,
)


@dataclass(frozen=True, eq=False)
class Segment:
    """What a layer, or another part of a run, is on the time line: tiles, each loaded, then used.

    Arrays have one item a tile. room: bytes of the weight buffer; transfer: cycles of the load;
    held: of these, in which XOR decoders hold up the DRAM, None for none;
    lead: from its first byte until the first pass may start; is_bound: the load starts with the
    segment at the earliest; is_awaited: passes wait for it. pass_cycles (tiles, groups or 1);
    write_cycles (tiles, 2): of a full group and of the last one. groups: passes over each tile;
    places: tiles that may be loaded and not yet written back, None for any number.
    """

    room: NDArray[np.int64]
    transfer: NDArray[np.int64]
    lead: NDArray[np.int64]
    is_bound: NDArray[np.bool_]
    is_awaited: NDArray[np.bool_]
    pass_cycles: NDArray[np.int64]
    write_cycles: NDArray[np.int64]
    groups: int
    places: int | None
    read_bytes: int
    write_bytes: int
    activations: int
    held: NDArray[np.int64] | None = None


def segment_of(run: LayerRun, machine: Machine) -> Segment:
    """A layer on the time line of the machine."""
    loads, tiles = tile_loads(run, machine), run.tiles
    held = [_held_up(*each, machine) for each in zip(tiles, loads, strict=True)]
    transfer = [
        more + sum(transfer_cycles(part, machine) for part in load.parts)
        for more, load in zip(held, loads, strict=True)
    ]
    pass_cycles, write_cycles = _per_pass(run, machine)
    places = [tile.places for tile in tiles if tile.places is not None]
    return Segment(
        room=np.array([room_of(tile, machine) for tile in tiles], np.int64),
        transfer=_checked(transfer, machine),
        lead=np.array(
            [lead_of(*each, machine) for each in zip(tiles, loads, transfer, strict=True)], np.int64
        ),
        # Spilled activations exist only once the layer before has ended.
        is_bound=np.array(
            [load.has_activations or not machine.dram.prefetch_across_layers for load in loads],
            np.bool_,
        ),
        is_awaited=np.ones(len(tiles), np.bool_),
        pass_cycles=pass_cycles,
        write_cycles=write_cycles,
        groups=len(run.group_sizes),
        places=min(places) if places and not machine.dram.resident else None,
        read_bytes=sum(load.weights.bytes + load.inputs.bytes for load in loads),
        write_bytes=sum(load.outputs.bytes for load in loads),
        activations=sum(row_activations(part, machine) for load in loads for part in load.parts),
        held=np.array(held, np.int64),
    )


def _held_up(tile: Tile, load: Load, machine: Machine) -> int:
    """Cycles by which the decoders of a tile's weights take longer than the DRAM."""
    if tile.delivery is None or not load.weights.bytes:
        return 0
    return max(tile.delivery.cycles - transfer_cycles(load.weights, machine), 0)


@dataclass(frozen=True, eq=False)
class Schedule:
    """A run in time, tile by tile and pass by pass, in the order of `segments`.

    loads: int64 (tiles, 3): start, first byte and end of each load. passes: int64 (passes, 4):
    start and end of each pass, and of its write-back.
    """

    times: list[LayerTime]
    loads: NDArray[np.int64]
    passes: NDArray[np.int64]


def lay_out(segments: Sequence[Segment], machine: Machine) -> list[LayerTime]:
    """When each segment of a run starts and ends, one right behind the other.

    Raises:
        InputError: the machine's values are so large that cycles cannot be counted in 64 bits.
    """
    return _laid_out(segments, machine, 0).times


def schedule_of(segments: Sequence[Segment], machine: Machine) -> Schedule:
    """As `lay_out`, with the moments of every load and pass.

    Raises:
        InputError: as `lay_out`.
    """
    passes = sum(len(segment.room) * segment.groups for segment in segments)
    return _laid_out(segments, machine, passes)


def _laid_out(segments: Sequence[Segment], machine: Machine, logged: int) -> Schedule:
    """logged: how many passes the schedule lists, all or none."""
    log = np.zeros((logged, 4), np.int64)
    if not segments:
        return Schedule([], np.zeros((0, 3), np.int64), log)
    counts = [len(segment.room) for segment in segments]
    transfer = np.concatenate([segment.transfer for segment in segments])
    if float(transfer.sum(dtype=np.float64)) > MOST_CYCLES:
        raise too_many_cycles("the DRAM")
    kinds = max(segment.pass_cycles.shape[1] for segment in segments)
    layers, moments = len(segments), np.zeros((len(transfer), 3), np.int64)
    times = np.zeros((layers, 7), np.int64)
    places = [segment.places for segment in segments if segment.places is not None]
    _recur(
        np.repeat(np.arange(layers), counts),
        np.concatenate([segment.room for segment in segments]),
        transfer,
        np.concatenate([segment.lead for segment in segments]),
        np.concatenate([_or_zeros(segment.held, segment.room) for segment in segments]),
        np.concatenate([segment.is_bound for segment in segments]),
        np.concatenate([segment.is_awaited for segment in segments]),
        np.concatenate([_widened(segment.pass_cycles, kinds) for segment in segments]),
        np.concatenate([segment.write_cycles for segment in segments]),
        np.array([segment.groups for segment in segments], np.int64),
        np.repeat([segment.places is not None for segment in segments], counts),
        min(places, default=0),
        machine.weight_buffer.bytes,
        machine.dram.first_latency_cycles,
        times,
        moments,
        log,
    )
    # A matrix without entries has no tile: it starts and ends where the layer before it ended.
    ends = np.maximum.accumulate(times[:, 1])
    empty = np.array(counts) == 0
    times[empty, 0] = times[empty, 1] = ends[empty]
    edges = np.concatenate([times[:, 0], ends[-1:]])
    latency = _overlap(moments[:, 0], moments[:, 1], edges)
    busy = _overlap(moments[:, 1], moments[:, 2], edges)
    of_layers = [
        LayerTime(
            *(int(value) for value in times[i, :6]),
            dram_busy=int(busy[i]),
            dram_latency=int(latency[i]),
            dram_read_bytes=segment.read_bytes,
            dram_write_bytes=segment.write_bytes,
            dram_activations=segment.activations,
            wait_decoder=int(times[i, 6]),
        )
        for i, segment in enumerate(segments)
    ]
    return Schedule(of_layers, moments, log)


def alone(run: LayerRun, machine: Machine) -> LayerTime:
    """When a layer that is the whole run starts and ends."""
    return lay_out([segment_of(run, machine)], machine)[0]


def lay_out_in(
    order: Sequence[int], runs: Sequence[LayerRun], machine: Machine
) -> list[list[LayerTime]]:
    """When each layer starts and ends each time it runs; `order`: numbers of `runs`, one a time.

    Raises:
        InputError: as `lay_out`.
    """
    times: list[list[LayerTime]] = [[] for _ in runs]
    segments = [segment_of(run, machine) for run in runs]
    for number, time in zip(order, lay_out([segments[i] for i in order], machine), strict=True):
        times[number].append(time)
    return times


def _checked(cycles: Sequence[int], machine: Machine) -> NDArray[np.int64]:
    """Cycles of loads, which with their latencies can be counted in 64 bits."""
    if sum(cycles) + machine.dram.first_latency_cycles * len(cycles) > MOST_CYCLES:
        raise too_many_cycles("the DRAM")
    return np.array(cycles, np.int64)


def _per_pass(run: LayerRun, machine: Machine) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cycles of each pass (tiles, groups or 1) and of each write-back (tiles, 2: full, last)."""
    kinds = max((len(tile.cycles) for tile in run.tiles), default=1)
    pass_cycles = np.empty((len(run.tiles), kinds), np.int64)
    write_cycles = np.empty((len(run.tiles), 2), np.int64)
    sizes = [int(run.group_sizes[group]) for group in (0, -1)] if run.tiles else []
    for i, tile in enumerate(run.tiles):
        pass_cycles[i] = tile.cycles
        for j, tokens in enumerate(sizes):
            through_port = write_back_cycles(tile.outputs, tokens, machine)
            write_cycles[i, j] = max(through_port, tile.least_write_cycles)
    return pass_cycles, write_cycles


def _or_zeros(counts: NDArray[np.int64] | None, like: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.zeros_like(like) if counts is None else counts


def _widened(pass_cycles: NDArray[np.int64], kinds: int) -> NDArray[np.int64]:
    """`kinds` columns: those of one column repeated, of others the first ones filled."""
    columns = pass_cycles.shape[1]
    if columns == kinds:
        return pass_cycles
    wide = np.zeros((len(pass_cycles), kinds), np.int64)
    wide[:, : kinds if columns == 1 else columns] = pass_cycles
    return wide


@njit(cache=True, nogil=True)
def _recur(
    layer_of_tile: Any,
    room: Any,
    dram_cycles: Any,
    lead: Any,
    held_up: Any,
    is_bound: Any,
    is_awaited: Any,
    pass_cycles: Any,
    write_cycles: Any,
    groups: Any,
    takes_place: Any,
    places: int,
    buffer_bytes: int,
    first_latency: int,
    times: Any,
    moments: Any,
    log: Any,
) -> None:
    """Fill times[layer] = start, end, wait for DRAM, for write-back, tail, port busy, wait for
    decoders; moments[tile] = start, first byte, end of its load;
    and log[pass] = start, end, start and end of its write-back, where it has a line for each."""
    kinds = pass_cycles.shape[1]
    tiles = len(room)
    release = np.zeros(tiles, np.int64)
    written = np.zeros(tiles, np.int64)
    placed = np.zeros(tiles, np.int64)  # tiles that took one of the places, in order
    places_taken = 0
    held = 0  # bytes of loaded tiles from `oldest` on
    oldest = 0
    load_end = 0
    has_loaded = False
    layer = -1
    pass_end = 0
    write_end = 0
    write_end_before = 0
    number = 0  # of the pass
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
            if takes_place[i]:
                if places_taken >= places:
                    start = max(start, written[placed[places_taken - places]])
                placed[places_taken] = i
                places_taken += 1
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
            if is_awaited[i]:
                ready = first_byte + lead[i]
        moments[i, 0] = start
        moments[i, 1] = first_byte
        moments[i, 2] = load_end
        passes = groups[layer]
        for g in range(passes):
            begin = max(pass_end, ready, write_end_before)
            if begin > pass_end:
                if ready == begin:
                    for_decoders = min(begin - pass_end, held_up[i])
                    times[layer, 6] += for_decoders
                    times[layer, 2] += begin - pass_end - for_decoders
                else:
                    times[layer, 3] += begin - pass_end
            pass_end = begin + pass_cycles[i, g if kinds > 1 else 0]
            cycles = write_cycles[i, 1 if g == passes - 1 else 0]
            write_end_before = write_end
            write_end = max(pass_end, write_end) + cycles
            times[layer, 5] += cycles
            if number < len(log):
                log[number, 0] = begin
                log[number, 1] = pass_end
                log[number, 2] = write_end - cycles
                log[number, 3] = write_end
            number += 1
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
