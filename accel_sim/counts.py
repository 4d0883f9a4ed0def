"""What a pass adds to a layer's figures (docs/microarchitecture.md §7)."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.liveness import Liveness
from accel_sim.mixed_vector import Block, Cause, Steps


class Count(IntEnum):
    """Counters that add up over passes.

    PE_*: cycles of PEs with a token, summed over the PEs; ISSUED, DROPPED: entries, and
    DROP_CYCLES, summed over takers; PATH_*: cycles of the critical path; *_FOR_TOKENS: times the
    tokens of the pass's group.
    """

    CYCLES = 0
    CYCLES_FOR_TOKENS = 1
    PE_BUSY = 2
    PE_LOCKSTEP = 3
    PE_ZERO_SKIP = 4
    PE_WINDOW = 5
    PE_DECOMPRESSOR = 6
    PE_IDLE = 7
    EXECUTED = 8
    ISSUED = 9
    DROPPED = 10
    DROP_CYCLES = 11
    PATH_COMPUTE = 12
    PATH_EMPTY_LANES = 13
    PATH_LOCKSTEP = 14
    PATH_IMBALANCE = 15
    PATH_ZERO_SKIP = 16
    PATH_WINDOW = 17
    PATH_DECOMPRESSOR = 18
    DECODE_BUSY = 19
    DECODE_QUEUE_FULL = 20
    DECODE_STARVED = 21
    INPUTS_LOADED = 22
    INPUTS_LOADED_FOR_TOKENS = 23
    LOAD_BUSY = 24
    LOAD_WINDOW_FULL = 25


def pass_counts(
    steps: Steps, live: Liveness, tokens: int, machine: Accelerator
) -> NDArray[np.int64]:
    """Counters (`Count`) of one pass whose group has `tokens` tokens."""
    array = machine.array
    rows, entries = live.skippable.shape
    columns = tokens // rows  # that each row stands for
    copies = columns if machine.queue.per_column else 1  # takers that count as one of `steps`
    pe = steps.takers * columns
    issued_pairs = int(pe[Cause.BUSY])
    busy = int(steps.critical[Cause.BUSY])
    compute = min(busy, -(-live.macs // (array.pe_rows * array.lanes * tokens)))
    full_lanes = min(busy, -(-live.pairs // (array.pe_rows * tokens)))
    balanced = min(busy, -(-issued_pairs // (array.pe_rows * tokens)))
    issued = int(steps.takers[Cause.BUSY])
    cycles, loaded = int(steps.blocks[Block.CYCLES]), int(steps.blocks[Block.INPUTS_LOADED])
    counted = {
        Count.CYCLES: cycles,
        Count.CYCLES_FOR_TOKENS: cycles * tokens,
        Count.PE_BUSY: live.pairs,
        Count.PE_LOCKSTEP: issued_pairs - live.pairs,
        Count.PE_ZERO_SKIP: pe[Cause.ZERO_SKIP],
        Count.PE_WINDOW: pe[Cause.WINDOW],
        Count.PE_DECOMPRESSOR: pe[Cause.DECOMPRESSOR],
        Count.PE_IDLE: pe[Cause.IDLE],
        Count.EXECUTED: live.macs,
        Count.ISSUED: issued * copies,
        Count.DROPPED: (entries * rows - issued) * copies,
        Count.DROP_CYCLES: steps.drop_cycles * copies,
        Count.PATH_COMPUTE: compute,
        Count.PATH_EMPTY_LANES: full_lanes - compute,
        Count.PATH_LOCKSTEP: balanced - full_lanes,
        Count.PATH_IMBALANCE: busy - balanced,
        Count.PATH_ZERO_SKIP: steps.critical[Cause.ZERO_SKIP],
        Count.PATH_WINDOW: steps.critical[Cause.WINDOW],
        Count.PATH_DECOMPRESSOR: steps.critical[Cause.DECOMPRESSOR],
        Count.DECODE_BUSY: steps.blocks[Block.DECODE_BUSY],
        Count.DECODE_QUEUE_FULL: steps.blocks[Block.DECODE_QUEUE_FULL],
        Count.DECODE_STARVED: steps.blocks[Block.DECODE_STARVED],
        Count.INPUTS_LOADED: loaded,
        Count.INPUTS_LOADED_FOR_TOKENS: loaded * tokens,
        Count.LOAD_BUSY: steps.blocks[Block.LOAD_BUSY],
        Count.LOAD_WINDOW_FULL: steps.blocks[Block.LOAD_WINDOW_FULL],
    }
    return np.array([counted[count] for count in Count], np.int64)
