"""One pass of the mixed-vector machine, stepped cycle by cycle.

docs/microarchitecture.md §5. In each cycle every block reads what the last cycle left: takers act
on queues that the parsers have not yet filled in this cycle, parsers on words that the port has not
yet brought and on queues as full as they were before the takers.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.liveness import Liveness
from accel_sim.dataflows.mixed_vector.stream import EncodedTile

_REMEMBERED = 1024
"""Passes of a tile that are kept in mind, for other groups with their zeros at the same places."""


class Cause(IntEnum):
    """What a taker is counted as in a cycle."""

    BUSY = 0
    ZERO_SKIP = 1
    WINDOW = 2
    DECOMPRESSOR = 3
    IDLE = 4


class Parser(IntEnum):
    """What a parser does in a cycle."""

    IDLE = 0
    BUSY = 1
    QUEUE_FULL = 2
    WEIGHT_BUFFER = 3


class Block(IntEnum):
    """What the parsers, all together, and the window count in a pass, and the length of it."""

    CYCLES = 0
    PARSE_BUSY = 1
    PARSE_QUEUE_FULL = 2
    PARSE_STARVED = 3
    INPUTS_LOADED = 4
    LOAD_BUSY = 5
    LOAD_WINDOW_FULL = 6


@dataclass(frozen=True, eq=False)
class Steps:
    """What was counted while one pass was stepped.

    blocks: see `Block`. takers, critical: cycles by `Cause` of all takers, of the critical one.
    drop_cycles: in which a taker dropped. issued: entries each PE row issued, by all its takers
    (P,).
    """

    blocks: list[int]
    takers: list[int]
    critical: list[int]
    drop_cycles: int
    issued: NDArray[np.int64]


class Stepper:
    """Steps the passes of one tile; equal passes once.

    known: passes stepped before, shared by steppers of tiles that only stand elsewhere.
    """

    def __init__(
        self, tile: EncodedTile, machine: Configuration, known: dict[bytes, Steps]
    ) -> None:
        self.tile = tile
        self._machine = machine
        self._known = known

    def steps(self, live: Liveness) -> Steps:
        """The pass of a group for which is dead what `live` says."""
        key = b""
        if live.deads:
            # Row by row, so that another number of rows never makes the same bytes.
            key = hashlib.blake2b(np.packbits(live.dead, axis=1).tobytes()).digest()
        if key not in self._known:
            steps = self._step(live.dead)
            if len(self._known) >= _REMEMBERED:
                return steps
            self._known[key] = steps
        return self._known[key]

    def record(self, live: Liveness) -> "Log":
        """What the units did in each cycle of the pass, which is stepped for it."""
        stream, cycles = self.tile.stream, self.steps(live).blocks[Block.CYCLES]
        rows, slots = len(live.dead), stream.slots.count
        stepped = cycles - self._machine.array.pe_latency_cycles
        log = Log(
            takers=np.zeros((stepped, rows, slots), np.uint8),
            parsers=np.zeros((stepped, slots), np.uint8),
            window=np.zeros((stepped, 2), np.int32),
            parsed=np.zeros((stepped, slots), np.int32),
            taken=np.zeros((stepped + 1, rows, slots), np.int32),
            waiting=np.zeros((stepped, slots), np.int32),
            reads=np.zeros((stepped, slots // stream.slots.groups), np.bool_),
        )
        log.taken[-1] = stream.entries.first[1:]
        self._step(live.dead, log)
        return log

    def _step(self, dead: NDArray[np.bool_], log: "Log | None" = None) -> Steps:
        machine, (size, stream) = self._machine, (self.tile.size, self.tile.stream)
        entries, slots = stream.entries, stream.slots
        blocks = np.zeros(len(Block), np.int64)
        takers = np.zeros((len(dead), slots.count, len(Cause)), np.int64)
        last_take = np.full((len(dead), slots.count), -1, np.int64)
        drop_cycles = _step(
            (entries.first, entries.lo, entries.hi, entries.bits, dead),
            (stream.slot_bytes, stream.record_words, size[1]),
            (
                machine.word_bits,
                slots.buffer_bits,
                slots.groups,
                machine.queue.depth_entries,
                machine.zero_skip.entries_per_cycle,
                machine.matching.window_inputs,
                machine.matching.inputs_per_cycle,
            ),
            blocks,
            takers,
            last_take,
            None if log is None else tuple(log),
        )
        # The first of the lowest slot, of it the lowest column, among those that took last.
        slot, row = divmod(int(np.argmax(last_take.T)), len(dead))
        critical = takers[row, slot].copy()
        if not len(entries):
            # Nothing to issue: the records alone take the pass's time.
            critical[:] = 0
            critical[Cause.DECOMPRESSOR] = blocks[Block.CYCLES]
        blocks[Block.CYCLES] += machine.array.pe_latency_cycles
        issued = takers[:, :, Cause.BUSY].sum(axis=0)
        return Steps(
            blocks=blocks.tolist(),
            takers=takers.sum(axis=(0, 1)).tolist(),
            critical=critical.tolist(),
            drop_cycles=int(drop_cycles),
            issued=issued.reshape(-1, slots.groups).sum(axis=1),
        )


class Log(NamedTuple):
    """What the units of a pass were in each of its cycles, but for those of the PEs' latency.

    takers: uint8 (cycles, rows, slots), by `Cause`; a row as in `Liveness.dead`. parsers: uint8
    (cycles, slots), by `Parser`. window: int32 (cycles, 2), base and loaded, from the first input
    of the tile. parsed (cycles, slots), taken (cycles + 1, rows, slots): int32, the entries up to
    which parsers had delivered and takers taken when the cycle began. waiting: int32 (cycles,
    slots), bits in front of each parser. reads: bool (cycles, PE rows), whether the row reads a
    word.
    """

    takers: NDArray[np.uint8]
    parsers: NDArray[np.uint8]
    window: NDArray[np.int32]
    parsed: NDArray[np.int32]
    taken: NDArray[np.int32]
    waiting: NDArray[np.int32]
    reads: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def _step(
    entries: Any, tile: Any, limits: Any, blocks: Any, takers: Any, last_take: Any, log: Any
) -> int:
    """Step one pass; returns the cycles in which takers dropped entries, summed over takers.

    entries: first of each slot; lo, hi, bits, dead[row, ·]. Between taken[row, s] and parsed[s]
    lies what waits in the queue of slot s; all rows have the same arrive. log: the arrays of a
    `Log`, or None, for which the lines that write into it are not even compiled.
    """
    first, lo, hi, bits, dead = entries
    slot_bytes, record_words, inputs = tile
    word_bits, buffer_bits, groups, depth, most_drops, window, inputs_per_cycle = limits
    rows, slots, _ = takers.shape
    taken = np.empty((rows, slots), np.int64)
    taken[:] = first[:-1]
    parsed = first[:-1].copy()
    oldest = first[:-1].copy()
    waiting = np.zeros(slots, np.int64)  # bits in front of each parser
    unread = 8 * slot_bytes  # bits still in the weight buffer
    base = loaded = cycle = drop_cycles = 0
    left = len(lo) * rows

    while left > 0 or cycle < record_words:
        is_known = cycle >= record_words
        bound = inputs
        entering = min(inputs_per_cycle, min(base + window, inputs) - loaded)
        if log is not None:
            log[2][cycle, 0] = base
            log[2][cycle, 1] = loaded
            for s in range(slots):
                log[3][cycle, s] = parsed[s]
                log[5][cycle, s] = waiting[s]
                for row in range(rows):
                    log[4][cycle, row, s] = taken[row, s]
        for s in range(slots):
            end, arrived = first[s + 1], parsed[s]
            # The bound, from what the last cycle left.
            front = taken[0, s]
            for row in range(1, rows):
                front = min(front, taken[row, s])
            oldest[s] = front
            if front < arrived:
                bound = min(bound, lo[front])
            elif not is_known or arrived < end:
                bound = min(bound, lo[arrived - 1] if arrived > first[s] else 0)
            # The takers.
            for row in range(rows):
                k = taken[row, s]
                if k == arrived:
                    state = Cause.IDLE if is_known and k == end else Cause.DECOMPRESSOR
                    takers[row, s, state] += 1
                    if log is not None:
                        log[0][cycle, row, s] = state
                    continue
                drops = 0
                while k < arrived and drops < most_drops and dead[row, k] and hi[k] <= loaded:
                    drops += 1
                    k += 1
                if k < arrived and hi[k] <= loaded and not dead[row, k]:
                    state = Cause.BUSY
                    k += 1
                elif drops > 0 or (hi[k] <= loaded and dead[row, k]):
                    state = Cause.ZERO_SKIP
                else:
                    state = Cause.WINDOW
                takers[row, s, state] += 1
                if log is not None:
                    log[0][cycle, row, s] = state
                drop_cycles += drops > 0
                if k > taken[row, s]:
                    left -= k - taken[row, s]
                    taken[row, s] = k
                    last_take[row, s] = cycle

        if entering > 0:
            blocks[Block.LOAD_BUSY] += 1
        elif loaded < inputs:
            blocks[Block.LOAD_WINDOW_FULL] += 1

        for r in range(slots // groups):
            # The port chooses by what waited before the parsers of this cycle.
            chosen = -1
            if is_known:
                for s in range(r * groups, (r + 1) * groups):
                    has_room = unread[s] > 0 and waiting[s] + word_bits <= buffer_bits
                    if has_room and (chosen < 0 or waiting[s] < waiting[chosen]):
                        chosen = s
            for s in range(r * groups, (r + 1) * groups):
                k = parsed[s]
                if not is_known:
                    blocks[Block.PARSE_STARVED] += 1
                    if log is not None:
                        log[1][cycle, s] = Parser.WEIGHT_BUFFER
                elif k < first[s + 1]:
                    if waiting[s] < bits[k]:
                        blocks[Block.PARSE_STARVED] += 1
                        if log is not None:
                            log[1][cycle, s] = Parser.WEIGHT_BUFFER
                    elif k - oldest[s] >= depth:
                        blocks[Block.PARSE_QUEUE_FULL] += 1
                        if log is not None:
                            log[1][cycle, s] = Parser.QUEUE_FULL
                    else:
                        blocks[Block.PARSE_BUSY] += 1
                        if log is not None:
                            log[1][cycle, s] = Parser.BUSY
                        waiting[s] -= bits[k]
                        parsed[s] = k + 1
            if log is not None:
                log[6][cycle, r] = not is_known or chosen >= 0
            if chosen >= 0:
                word = min(word_bits, unread[chosen])
                unread[chosen] -= word
                waiting[chosen] += word

        base = max(base, bound)
        loaded += entering
        cycle += 1

    blocks[Block.INPUTS_LOADED] = loaded
    blocks[Block.CYCLES] = cycle
    return drop_cycles
