"""One pass of the mixed-vector machine, stepped cycle by cycle.

docs/microarchitecture.md §5. In each cycle every block reads what the last cycle left: the takers
act on queues that the decompressor has not yet filled in this cycle, and the decompressor on queues
as full as they were before the takers.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.liveness import Liveness
from accel_sim.dataflows.mixed_vector.plan import PlannedTile

_REMEMBERED = 1024
"""Passes of a tile that are kept in mind, for other groups with their zeros at the same places."""


class Cause(IntEnum):
    """What a taker is counted as in a cycle."""

    BUSY = 0
    ZERO_SKIP = 1
    WINDOW = 2
    DECOMPRESSOR = 3
    IDLE = 4


class Block(IntEnum):
    """What the blocks that serve all PE rows count in a pass, and the length of it."""

    CYCLES = 0
    DECODE_BUSY = 1
    DECODE_QUEUE_FULL = 2
    DECODE_STARVED = 3
    INPUTS_LOADED = 4
    LOAD_BUSY = 5
    LOAD_WINDOW_FULL = 6


@dataclass(frozen=True, eq=False)
class Steps:
    """What was counted while one pass was stepped.

    blocks: see `Block`. takers, critical: cycles by `Cause` of all takers, of the critical one.
    drop_cycles: in which a taker dropped. issued: entries each PE row issued, by
    all its takers (P,). issuer: PE row that issued each entry, int32 (rows of skippable,
    entries), −1 where dropped; None where the schedule had decided it, or nobody asked.
    """

    blocks: list[int]
    takers: list[int]
    critical: list[int]
    drop_cycles: int
    issued: NDArray[np.int64]
    issuer: NDArray[np.int32] | None


class Stepper:
    """Steps the passes of one tile; equal passes once.

    is_multiplied: the product will want to know who issued which entry. known: passes stepped
    before, shared by steppers of tiles that only stand elsewhere.
    """

    def __init__(
        self,
        planned: PlannedTile,
        machine: Configuration,
        is_multiplied: bool,
        known: dict[bytes, Steps],
    ) -> None:
        self.planned = planned
        self._machine = machine
        # Only where PE rows share a queue is it decided in the pass.
        self._notes_issuer = is_multiplied and machine.queues < machine.array.pe_rows
        self._known = known

    def steps(self, live: Liveness) -> Steps:
        """The pass of a group that may skip what `live` says."""
        # Row by row: a short last group has fewer rows than a full one.
        key = b""
        if live.skips:
            # Row by row, so that another number of rows never makes the same bytes.
            key = hashlib.blake2b(np.packbits(live.skippable, axis=1).tobytes()).digest()
        if key not in self._known:
            steps = self._step(live.skippable)
            if len(self._known) >= _REMEMBERED:
                return steps
            self._known[key] = steps
        return self._known[key]

    def _step(self, skippable: NDArray[np.bool_]) -> Steps:
        machine, planned = self._machine, self.planned
        entries, order = planned.entries, planned.order
        rows, pe_rows = len(skippable), machine.array.pe_rows
        blocks = np.zeros(len(Block), np.int64)
        takers = np.zeros((rows, pe_rows, len(Cause)), np.int64)
        last_take = np.full((rows, pe_rows), -1, np.int64)
        issuer = np.full((rows, len(entries)) if self._notes_issuer else (0, 0), -1, np.int32)
        largest = int(entries.bits.max()) if len(entries) else 0
        drop_cycles = _step(
            (entries.lo[order], entries.hi[order], skippable[:, order], planned.first),
            (entries.lo, entries.bits, planned.queue),
            (planned.tile.header_bits, planned.tile.bits, *planned.tile.cols),
            (
                8 * machine.decompressor.bytes_per_cycle,
                16 * machine.decompressor.bytes_per_cycle + largest,
                machine.decompressor.entries_per_cycle,
                machine.queue.depth_entries * (pe_rows // machine.queues),
                machine.zero_skip.entries_per_cycle,
                machine.matching.window_inputs,
                machine.matching.inputs_per_cycle,
            ),
            blocks,
            takers,
            last_take,
            issuer,
        )
        # The first of the lowest PE row, of it the lowest column, among those that took last.
        pe, row = divmod(int(np.argmax(last_take.T)), rows)
        critical = takers[row, pe].copy()
        if not len(entries):
            # Nothing to issue: the header alone takes the pass's time.
            critical[:] = 0
            critical[Cause.DECOMPRESSOR] = blocks[Block.CYCLES]
        blocks[Block.CYCLES] += machine.array.pe_latency_cycles
        in_stream_order = np.empty_like(issuer)
        if self._notes_issuer:
            in_stream_order[:, planned.order] = issuer
        return Steps(
            blocks=blocks.tolist(),
            takers=takers.sum(axis=(0, 1)).tolist(),
            critical=critical.tolist(),
            drop_cycles=int(drop_cycles),
            issued=takers[:, :, Cause.BUSY].sum(axis=0),
            issuer=in_stream_order if self._notes_issuer else None,
        )


@njit(cache=True, nogil=True)
def _step(
    queued: Any,
    stream: Any,
    tile: Any,
    limits: Any,
    blocks: Any,
    takers: Any,
    last_take: Any,
    issuer: Any,
) -> int:
    """Step one pass; returns the cycles in which takers dropped entries, summed over takers.

    queued: lo, hi, skippable[row, ·] of the entries queue by queue, and first[q] of each queue;
    stream: lo, bits, queue of the entries in stream order; tile: header bits, all bits, inputs.
    Between taken[row, q] and arrived[q] lies what waits in queue q; all rows have the same arrive.
    """
    q_lo, q_hi, q_skippable, first = queued
    lo, bits, queue = stream
    header_left, stream_bits, input0, input1 = tile
    fetch_bits, capacity, entries_per_cycle, depth, drops_per_cycle, window, inputs_per_cycle = (
        limits
    )
    rows, pe_rows, _ = takers.shape
    queues, n = len(first) - 1, len(lo)
    servers = pe_rows // queues
    taken = np.empty((rows, queues), np.int64)
    taken[:] = first[:-1]
    arrived = first[:-1].copy()
    oldest = first[:-1].copy()
    buffered = fetched = undelivered = cycle = drop_cycles = 0
    base = loaded = input0
    left = n * rows

    while left > 0 or header_left > 0:
        pending = lo[undelivered] if undelivered < n else input1
        for q in range(queues):
            oldest[q] = taken[0, q]
            for row in range(1, rows):
                oldest[q] = min(oldest[q], taken[row, q])
            if oldest[q] < arrived[q]:
                pending = min(pending, q_lo[oldest[q]])

        for row in range(rows):
            skippable = q_skippable[row]
            for p in range(pe_rows):
                q = p // servers
                front = taken[row, q]
                drops = _drop(front, arrived[q], skippable, drops_per_cycle)
                k = front + drops
                cause = _cause(k, drops, arrived[q], first[q + 1], skippable, q_hi, loaded)
                if cause == Cause.BUSY:
                    if len(issuer):
                        issuer[row, k] = p
                    k += 1
                if k > front:
                    last_take[row, p] = cycle
                    taken[row, q] = k
                    left -= k - front
                drop_cycles += drops > 0
                takers[row, p, cause] += 1

        entering = min(inputs_per_cycle, min(base + window, input1) - loaded)
        if entering > 0:
            blocks[Block.LOAD_BUSY] += 1
        elif loaded < input1:
            blocks[Block.LOAD_WINDOW_FULL] += 1

        consumed = 0
        if header_left > 0:
            consumed = min(buffered, header_left)
            header_left -= consumed
            blocks[Block.DECODE_BUSY if consumed > 0 else Block.DECODE_STARVED] += 1
        elif undelivered < n:
            start = undelivered
            blocked = Block.DECODE_STARVED
            while undelivered < n and undelivered - start < entries_per_cycle:
                if consumed + bits[undelivered] > buffered:
                    break
                q = queue[undelivered]
                if arrived[q] - oldest[q] >= depth:
                    blocked = Block.DECODE_QUEUE_FULL
                    break
                consumed += bits[undelivered]
                arrived[q] += 1
                undelivered += 1
            blocks[Block.DECODE_BUSY if undelivered > start else blocked] += 1

        fetch = min(fetch_bits, stream_bits - fetched, capacity - buffered)
        fetched += fetch
        buffered += fetch - consumed
        base = max(base, pending)
        loaded += entering
        cycle += 1

    blocks[Block.INPUTS_LOADED] = loaded - input0
    blocks[Block.CYCLES] = cycle
    return drop_cycles


@njit(cache=True, nogil=True)
def _drop(front: int, arrived: int, skippable: Any, drops_per_cycle: int) -> int:
    """Entries that the zero-skip controller drops from the front of a queue."""
    drops = 0
    while drops < drops_per_cycle and front + drops < arrived and skippable[front + drops]:
        drops += 1
    return drops


@njit(cache=True, nogil=True)
def _cause(
    k: int, drops: int, arrived: int, last: int, skippable: Any, hi: Any, loaded: int
) -> int:
    """What a taker is counted as that has dropped `drops` and has entry k in front, if any."""
    if k < arrived and not skippable[k] and hi[k] <= loaded:
        return Cause.BUSY
    if drops > 0 or (k < arrived and skippable[k]):
        return Cause.ZERO_SKIP
    if k < arrived:
        return Cause.WINDOW
    if k < last:
        return Cause.DECOMPRESSOR
    return Cause.IDLE
