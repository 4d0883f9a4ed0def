"""What the passes over a tile come to: causes, units, actions (docs/microarchitecture.md §7, §9).

Every figure is counted, none is a remainder, so that the sums can be checked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accel_sim.dataflows.abstract.account import Tile, Unit
from accel_sim.dataflows.mixed_vector.configuration import PLACES, Configuration, Slots
from accel_sim.dataflows.mixed_vector.cycle_loop import Block, Cause, Steps
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.liveness import Liveness
from accel_sim.dataflows.mixed_vector.stream import EncodedTile


@dataclass(frozen=True, eq=False)
class EqualPasses:
    """Equal passes over one tile: `groups` groups of `tokens` tokens, one behind the other."""

    tokens: int
    groups: int
    live: Liveness
    steps: Steps


class Counts(NamedTuple):
    """Counters that add up over passes.

    pe_*: cycles of lane groups with a token, summed over them; issued, dropped: entries, and
    drop_cycles, summed over takers; executed: MACs; path_*: cycles of the critical path; parse_*:
    summed over parsers; *_for_tokens: times the tokens of the pass's group.
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
    parse_busy: int = 0
    parse_queue_full: int = 0
    parse_starved: int = 0
    inputs_loaded_for_tokens: int = 0
    load_busy: int = 0
    load_window_full: int = 0


def added(counts: Iterable[Counts]) -> Counts:
    """The sum of each counter."""
    return Counts(*(sum(each) for each in zip(*counts, strict=True)))


def pass_counts(
    steps: Steps, live: Liveness, tokens: int, passes: int, slots: Slots, machine: Configuration
) -> Counts:
    """Counters of `passes` equal passes whose groups have `tokens` tokens each."""
    array = machine.array
    rows, entries = live.dead.shape
    columns = tokens // rows  # that each row stands for
    copies = columns if machine.queue.per_column else 1  # takers that count as one of `steps`
    takers, blocks, critical = steps.takers, steps.blocks, steps.critical
    issued = takers[Cause.BUSY]
    issued_pairs, busy = issued * columns, critical[Cause.BUSY]
    # Cycles that would have been enough, with ever less to complain about.
    compute = min(busy, -(-live.macs // (array.pe_rows * array.lanes * tokens)))
    full_lanes = min(busy, -(-live.pairs // (slots.count * tokens)))
    balanced = min(busy, -(-issued_pairs // (slots.count * tokens)))
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
        parse_busy=blocks[Block.PARSE_BUSY],
        parse_queue_full=blocks[Block.PARSE_QUEUE_FULL],
        parse_starved=blocks[Block.PARSE_STARVED],
        inputs_loaded_for_tokens=blocks[Block.INPUTS_LOADED] * tokens,
        load_busy=blocks[Block.LOAD_BUSY],
        load_window_full=blocks[Block.LOAD_WINDOW_FULL],
    )
    return one if passes == 1 else Counts(*(passes * count for count in one))


def tile_of(
    tile: EncodedTile, passes: Sequence[EqualPasses], lines: Lines, machine: Configuration
) -> Tile:
    """A tile with the counts of all passes over it."""
    cycles = np.array([each.steps.blocks[Block.CYCLES] for each in passes], np.int64)
    is_alike = bool((cycles == cycles[0]).all())
    tokens = sum(each.groups * each.tokens for each in passes)
    groups = sum(each.groups for each in passes)
    counts = added(
        pass_counts(each.steps, each.live, each.tokens, each.groups, tile.stream.slots, machine)
        for each in passes
    )
    stream = tile.stream
    return Tile(
        strip=tile.strip,
        rows=tile.rows,
        cols=tile.cols,
        storage=stream.storage(machine.value_bits),
        cycles=cycles[:1] if is_alike else cycles,
        causes={
            "compute": counts.path_compute,
            "empty_lanes": counts.path_empty_lanes,
            "lockstep": counts.path_lockstep,
            "imbalance": counts.path_imbalance,
            "zero_skip": counts.path_zero_skip,
            "window": counts.path_window,
            "decompressor": counts.path_decompressor,
            "pipeline": groups * machine.array.pe_latency_cycles,
        },
        executed=counts.executed,
        skipped=stream.nnz * tokens - counts.executed,
        padding=counts.pe_busy * stream.slots.lanes - counts.executed,
        units=_units(counts, tokens, stream.slots, machine),
        actions=_actions(counts, tile, lines, tokens, groups, machine),
        room=stream.room,
        head_bytes=stream.head_bytes,
        lines=stream.lines,
        least_write_cycles=stream.fullest_set,
        places=PLACES,
    )


def _units(counts: Counts, tokens: int, slots: Slots, machine: Configuration) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit during the passes (§7).

    The smallest lane groups are counted: a slot of fewer groups stands for several of them.
    """
    array, in_passes = machine.array, counts.cycles
    each = machine.most_groups // slots.groups
    smallest = array.pe_rows * machine.most_groups
    tokenless = in_passes * array.token_columns - counts.cycles_for_tokens
    pe = {
        "busy": each * counts.pe_busy,
        "lockstep": each * counts.pe_lockstep,
        "zero_skip": each * counts.pe_zero_skip,
        "window": each * counts.pe_window,
        "decompressor": each * counts.pe_decompressor,
        "pipeline": array.pe_latency_cycles * tokens * smallest,
        "idle": each * counts.pe_idle + tokenless * smallest,
    }
    lanes = array.lanes // machine.most_groups
    lane = {
        "busy": counts.executed,
        "empty_lanes": pe["busy"] * lanes - counts.executed,
        "pe": (sum(pe.values()) - pe["busy"]) * lanes,
        "idle": 0,
    }
    parser = {
        "busy": each * counts.parse_busy,
        "queue_full": each * counts.parse_queue_full,
        "weight_buffer": each * counts.parse_starved,
    }
    parser["idle"] = in_passes * smallest - sum(parser.values())
    loads, loads_full = counts.load_busy, counts.load_window_full
    drops, inspecting = each * counts.drop_cycles, in_passes * machine.controllers
    return {
        "pe": Unit(machine.pes * machine.most_groups, pe),
        "lane": Unit(machine.macs, lane),
        "zero_skip": Unit(machine.controllers, {"busy": drops, "idle": inspecting - drops}),
        "decompressor": Unit(smallest, parser),
        "matching": Unit(
            1, {"busy": loads, "window_full": loads_full, "idle": in_passes - loads - loads_full}
        ),
    }


def _actions(
    counts: Counts,
    tile: EncodedTile,
    lines: Lines,
    tokens: int,
    groups: int,
    machine: Configuration,
) -> dict[str, int]:
    """How often each action of `account.ACTIONS` happens (§9)."""
    stream = tile.stream
    lanes, entry_bits = stream.slots.lanes, stream.entry_bits
    # In lock-step one copy of every queue serves all columns.
    copies = tokens if machine.queue.per_column else groups
    live_pairs, executed = counts.pe_busy, counts.executed
    # In column mode all inputs of a position travel to the slot, whose lanes choose.
    operands_read = live_pairs * (lanes if lines.is_row_mode else stream.slots.select)
    accumulations = live_pairs if lines.is_row_mode else executed
    loaded = counts.inputs_loaded_for_tokens
    operand_bits, sum_bits = 8 * machine.operand_bytes, 8 * machine.accumulator_bytes
    # A strip's outputs pass the port once per input range; all but the last leave partial sums.
    words = (tile.rows[1] - tile.rows[0]) * tokens
    is_later, is_last = int(tile.cols[0] > 0), int(tile.cols[1] == lines.shape[1])
    return {
        "weight_bits_read": stream.words_read * groups * machine.word_bits,
        "decoded_bits": entry_bits * groups,
        "register_bits": 2 * entry_bits * copies,
        "zero_compares": counts.issued + counts.dropped if machine.skips_zeros else 0,
        "compares": counts.issued,
        "window_bits": (loaded + operands_read) * machine.value_bits,
        "activation_bits_read": loaded * operand_bits,
        "macs": executed,
        "gated_lanes": (live_pairs + counts.pe_lockstep) * lanes - executed,
        "accumulator_bits": 2 * accumulations * sum_bits,
        "adds": words * (stream.slots.set_size - 1 + is_later),
        "activation_bits_written": words * (is_last * operand_bits + (1 - is_last) * sum_bits),
        "partial_bits_read": words * is_later * sum_bits,
        # In lock-step a wire along the PE row serves all columns; else each has a queue to fill.
        "weight_wire_bits": entry_bits * groups,
        "operand_wire_bits": operands_read * machine.value_bits,
        "sum_wire_bits": words * stream.slots.set_size * sum_bits,
    }
