"""What a pass adds to a layer's figures (docs/microarchitecture.md §7)."""

from collections.abc import Iterable
from typing import NamedTuple

from accel_sim.dataflows.mixed_vector.cycle_loop import Block, Cause, Steps
from accel_sim.dataflows.mixed_vector.liveness import Liveness
from accel_sim.machines.description import Accelerator


class Counts(NamedTuple):
    """Counters that add up over passes.

    pe_*: cycles of PEs with a token, summed over the PEs; issued, dropped: entries, and
    drop_cycles, summed over takers; executed: MACs; path_*: cycles of the critical path;
    *_for_tokens: times the tokens of the pass's group.
    """

    cycles: int = 0
    cycles_for_tokens: int = 0
    pe_busy: int = 0
    pe_lockstep: int = 0
    pe_zero_skip: int = 0
    pe_window: int = 0
    pe_decompressor: int = 0
    pe_idle: int = 0
    executed: int = 0
    issued: int = 0
    dropped: int = 0
    drop_cycles: int = 0
    path_compute: int = 0
    path_empty_lanes: int = 0
    path_lockstep: int = 0
    path_imbalance: int = 0
    path_zero_skip: int = 0
    path_window: int = 0
    path_decompressor: int = 0
    decode_busy: int = 0
    decode_queue_full: int = 0
    decode_starved: int = 0
    inputs_loaded_for_tokens: int = 0
    load_busy: int = 0
    load_window_full: int = 0


def added(counts: Iterable[Counts]) -> Counts:
    """The sum of each counter."""
    return Counts(*(sum(each) for each in zip(*counts, strict=True)))


def pass_counts(
    steps: Steps, live: Liveness, tokens: int, passes: int, machine: Accelerator
) -> Counts:
    """Counters of `passes` equal passes whose groups have `tokens` tokens each."""
    array = machine.array
    rows, entries = live.skippable.shape
    columns = tokens // rows  # that each row stands for
    copies = columns if machine.queue.per_column else 1  # takers that count as one of `steps`
    takers, blocks, critical = steps.takers, steps.blocks, steps.critical
    issued = takers[Cause.BUSY]
    issued_pairs, busy = issued * columns, critical[Cause.BUSY]
    # Cycles that would have been enough, with ever less to complain about.
    compute = min(busy, -(-live.macs // (array.pe_rows * array.lanes * tokens)))
    full_lanes = min(busy, -(-live.pairs // (array.pe_rows * tokens)))
    balanced = min(busy, -(-issued_pairs // (array.pe_rows * tokens)))
    one = Counts(
        cycles=blocks[Block.CYCLES],
        cycles_for_tokens=blocks[Block.CYCLES] * tokens,
        pe_busy=live.pairs,
        pe_lockstep=issued_pairs - live.pairs,
        pe_zero_skip=takers[Cause.ZERO_SKIP] * columns,
        pe_window=takers[Cause.WINDOW] * columns,
        pe_decompressor=takers[Cause.DECOMPRESSOR] * columns,
        pe_idle=takers[Cause.IDLE] * columns,
        executed=live.macs,
        issued=issued * copies,
        dropped=(entries * rows - issued) * copies,
        drop_cycles=steps.drop_cycles * copies,
        path_compute=compute,
        path_empty_lanes=full_lanes - compute,
        path_lockstep=balanced - full_lanes,
        path_imbalance=busy - balanced,
        path_zero_skip=critical[Cause.ZERO_SKIP],
        path_window=critical[Cause.WINDOW],
        path_decompressor=critical[Cause.DECOMPRESSOR],
        decode_busy=blocks[Block.DECODE_BUSY],
        decode_queue_full=blocks[Block.DECODE_QUEUE_FULL],
        decode_starved=blocks[Block.DECODE_STARVED],
        inputs_loaded_for_tokens=blocks[Block.INPUTS_LOADED] * tokens,
        load_busy=blocks[Block.LOAD_BUSY],
        load_window_full=blocks[Block.LOAD_WINDOW_FULL],
    )
    return one if passes == 1 else Counts(*(passes * count for count in one))
