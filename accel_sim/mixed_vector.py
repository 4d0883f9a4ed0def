"""One pass of the mixed-vector machine, stepped cycle by cycle.

docs/microarchitecture.md §5. In each cycle every block reads what the last cycle left: the loop
first lets all PE rows decide, then the matching unit and the decompressor, and only then writes.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.stream import Entries, Tile


class Count(IntEnum):
    """What a pass counts. Cycles of PE rows and zero-skip controllers are summed over the rows."""

    CYCLES = 0
    BUSY = 1
    ZERO_SKIP = 2
    WINDOW = 3
    DECOMPRESSOR = 4
    IDLE = 5
    CRITICAL_BUSY = 6
    CRITICAL_ZERO_SKIP = 7
    CRITICAL_WINDOW = 8
    CRITICAL_DECOMPRESSOR = 9
    ISSUED_WEIGHTS = 10
    DROPPED_ENTRIES = 11
    DROPPED_WEIGHTS = 12
    DROP_CYCLES = 13
    DECODE_BUSY = 14
    DECODE_QUEUE_FULL = 15
    DECODE_STARVED = 16
    INPUTS_LOADED = 17
    LOAD_BUSY = 18
    LOAD_WINDOW_FULL = 19


COUNTS = len(Count)


def run_pass(
    entries: Entries,
    pe: NDArray[np.int32],
    skippable: NDArray[np.bool_],
    tile: Tile,
    machine: Accelerator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counters (see `Count`) of one pass, and the cycles each PE row issued (int64, P).

    pe: PE row of each entry; skippable: entry has only zero activations in this group.
    """
    array = machine.array
    first, queue_order = pe_queues(pe, array.pe_rows)
    counts = np.zeros(COUNTS, np.int64)
    per_pe = np.zeros((array.pe_rows, 5), np.int64)
    largest = int(entries.bits.max()) if len(entries) else 0
    _step(
        entries.lo,
        entries.hi,
        entries.weights,
        entries.bits,
        pe,
        skippable,
        first,
        queue_order,
        tile.header_bits,
        tile.bits,
        8 * machine.decompressor.bytes_per_cycle,
        16 * machine.decompressor.bytes_per_cycle + largest,
        machine.decompressor.entries_per_cycle,
        machine.queue.depth_entries,
        machine.zero_skip.entries_per_cycle,
        machine.matching.window_inputs,
        machine.matching.inputs_per_cycle,
        tile.cols[0],
        tile.cols[1],
        array.pe_latency_cycles,
        counts,
        per_pe,
    )
    return counts, per_pe[:, 0].copy()


@njit(cache=True, nogil=True)
def pe_queues(pe: Any, pe_rows: int) -> tuple[Any, Any]:
    """Entries of each PE row in stream order: first[p] … first[p + 1] index into `order`."""
    first = np.zeros(pe_rows + 1, np.int64)
    for p in pe:
        first[p + 1] += 1
    for p in range(pe_rows):
        first[p + 1] += first[p]
    at = first[:-1].copy()
    order = np.empty(len(pe), np.int64)
    for e in range(len(pe)):
        order[at[pe[e]]] = e
        at[pe[e]] += 1
    return first, order


@njit(cache=True, nogil=True)
def _step(
    lo: Any,
    hi: Any,
    weights: Any,
    bits: Any,
    pe: Any,
    skippable: Any,
    first: Any,
    order: Any,
    header_bits: int,
    stream_bits: int,
    fetch_bits: int,
    capacity_bits: int,
    entries_per_cycle: int,
    queue_depth: int,
    drops_per_cycle: int,
    window: int,
    inputs_per_cycle: int,
    input0: int,
    input1: int,
    latency: int,
    counts: Any,
    per_pe: Any,
) -> None:
    pe_rows = len(first) - 1
    n = len(pe)
    # State. taken and arrived point into `order`; between them lies a PE row's queue.
    taken = first[:-1].copy()
    arrived = first[:-1].copy()
    buffered = 0
    fetched = 0
    header_left = header_bits
    undelivered = 0
    base = input0
    loaded = input0
    # What the PE rows decide in this cycle, written to the state only at its end.
    take = np.zeros(pe_rows, np.int64)
    delivered = np.zeros(pe_rows, np.int64)
    last_take = np.full(pe_rows, -1, np.int64)
    left = n
    cycle = 0

    while left > 0 or header_left > 0:
        pending = input1
        if undelivered < n:
            pending = lo[undelivered]
        for p in range(pe_rows):
            k = taken[p]
            queued = arrived[p]
            if k < queued and lo[order[k]] < pending:
                pending = lo[order[k]]
            drops = 0
            while drops < drops_per_cycle and k < queued and skippable[order[k]]:
                counts[Count.DROPPED_ENTRIES] += 1
                counts[Count.DROPPED_WEIGHTS] += weights[order[k]]
                k += 1
                drops += 1
            is_issued = False
            cause = Count.IDLE
            if k < queued:
                e = order[k]
                if drops_per_cycle > 0 and skippable[e]:
                    cause = Count.ZERO_SKIP
                elif hi[e] <= loaded:
                    is_issued = True
                    counts[Count.ISSUED_WEIGHTS] += weights[e]
                    k += 1
                else:
                    cause = Count.WINDOW
            elif k < first[p + 1]:
                cause = Count.DECOMPRESSOR
            if is_issued:
                cause = Count.BUSY
            elif drops > 0:
                cause = Count.ZERO_SKIP
            if drops > 0:
                counts[Count.DROP_CYCLES] += 1
            per_pe[p, cause - 1] += 1
            take[p] = k - taken[p]
            if take[p] > 0:
                last_take[p] = cycle

        # Matching unit: next window from this cycle's base.
        room = min(base + window, input1) - loaded
        entering = min(inputs_per_cycle, room)
        if entering > 0:
            counts[Count.LOAD_BUSY] += 1
        elif loaded < input1:
            counts[Count.LOAD_WINDOW_FULL] += 1

        # Decompressor: header first, then entries in stream order from the bits of the last cycle.
        consumed = 0
        if header_left > 0:
            consumed = min(buffered, header_left)
            header_left -= consumed
            counts[Count.DECODE_BUSY if consumed > 0 else Count.DECODE_STARVED] += 1
        elif undelivered < n:
            start = undelivered
            blocked = Count.DECODE_STARVED
            while undelivered < n and undelivered - start < entries_per_cycle:
                p = pe[undelivered]
                if consumed + bits[undelivered] > buffered:
                    break
                if arrived[p] - taken[p] + delivered[p] >= queue_depth:
                    blocked = Count.DECODE_QUEUE_FULL
                    break
                consumed += bits[undelivered]
                delivered[p] += 1
                undelivered += 1
            counts[Count.DECODE_BUSY if undelivered > start else blocked] += 1
        fetch = min(fetch_bits, stream_bits - fetched, capacity_bits - buffered)

        # Write the next state.
        for p in range(pe_rows):
            taken[p] += take[p]
            left -= take[p]
            arrived[p] += delivered[p]
            delivered[p] = 0
        base = max(base, pending)
        loaded += entering
        fetched += fetch
        buffered += fetch - consumed
        cycle += 1

    critical = 0
    for p in range(1, pe_rows):
        if last_take[p] > last_take[critical]:
            critical = p
    for c in range(5):
        for p in range(pe_rows):
            counts[Count.BUSY + c] += per_pe[p, c]
    for c in range(4):
        counts[Count.CRITICAL_BUSY + c] = per_pe[critical, c]
    if n == 0:
        # Nothing to issue: the header alone takes the pass's time.
        counts[Count.CRITICAL_BUSY + Count.DECOMPRESSOR - 1] = cycle
    counts[Count.INPUTS_LOADED] = loaded - input0
    counts[Count.CYCLES] = cycle + latency
