"""What the passes over a tile come to: causes, units, actions (docs/microarchitecture.md §7, §9).

Every figure is counted, none is a remainder, so that the sums can be checked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit
from accel_sim.dataflows.mixed_vector import passes
from accel_sim.dataflows.mixed_vector.configuration import PLACES, Configuration, Slots
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.passes import Stepped
from accel_sim.dataflows.mixed_vector.stream import EncodedTile

_MOST_IN_64_BITS = 2.0**62


class Counts(NamedTuple):
    """Counters that add up over passes; each a number, or an array of those of many passes.

    pe_*: cycles of lane groups with a token, summed over them; issued, dropped: entries, and
    drop_cycles, summed over takers; executed: MACs; path_*: cycles of the critical path; parse_*:
    summed over parsers; *_for_tokens: times the tokens of the pass's group.
    """

    cycles: Any
    cycles_for_tokens: Any
    pe_busy: Any
    pe_lockstep: Any
    pe_zero_skip: Any
    pe_window: Any
    pe_decompressor: Any
    pe_idle: Any
    executed: Any
    issued: Any
    dropped: Any
    drop_cycles: Any
    path_compute: Any
    path_empty_lanes: Any
    path_lockstep: Any
    path_imbalance: Any
    path_zero_skip: Any
    path_window: Any
    path_decompressor: Any
    parse_busy: Any
    parse_queue_full: Any
    parse_starved: Any
    inputs_loaded_for_tokens: Any
    load_busy: Any
    load_window_full: Any


def counts_of(
    tiles: Sequence[EncodedTile], stepped: Sequence[Stepped], machine: Configuration
) -> Iterator[Counts]:
    """Counters of all passes over each tile; all tiles have the same groups."""
    if not tiles:
        return iter(())
    array, slots = machine.array, tiles[0].stream.slots
    tokens, groups = stepped[0].tokens, stepped[0].groups
    counted = np.stack([each.counted for each in stepped])  # (tiles, kinds of groups, counters)
    if float(counted.max()) * float((tokens * groups).sum()) > _MOST_IN_64_BITS:
        counted, tokens, groups = (each.astype(object) for each in (counted, tokens, groups))
    of = np.moveaxis(counted, -1, 0)
    takers, pairs, macs = of[passes.TAKERS], of[passes.PAIRS], of[passes.MACS]
    entries = np.array([[len(tile.stream.entries)] for tile in tiles])
    columns = tokens // takers  # that each taker stands for
    copies = columns if machine.queue.per_column else 1  # takers that count as one
    issued, busy = of[passes.ISSUED], of[passes.BUSY_PATH]
    # Cycles that would have been enough, with ever less to complain about.
    compute = np.minimum(busy, -(-macs // (array.pe_rows * array.lanes * tokens)))
    full_lanes = np.minimum(busy, -(-pairs // (slots.count * tokens)))
    balanced = np.minimum(busy, -(-(issued * columns) // (slots.count * tokens)))
    of_a_pass = Counts(
        cycles=of[passes.CYCLES],
        cycles_for_tokens=of[passes.CYCLES] * tokens,
        pe_busy=pairs,
        pe_lockstep=issued * columns - pairs,
        pe_zero_skip=of[passes.ZERO_SKIP] * columns,
        pe_window=of[passes.WINDOW] * columns,
        pe_decompressor=of[passes.DECOMPRESSOR] * columns,
        pe_idle=of[passes.IDLE] * columns,
        executed=macs,
        issued=issued * copies,
        dropped=(entries * takers - issued) * copies,
        drop_cycles=of[passes.DROP_CYCLES] * copies,
        path_compute=compute,
        path_empty_lanes=full_lanes - compute,
        path_lockstep=balanced - full_lanes,
        path_imbalance=busy - balanced,
        path_zero_skip=of[passes.ZERO_SKIP_PATH],
        path_window=of[passes.WINDOW_PATH],
        path_decompressor=of[passes.DECOMPRESSOR_PATH],
        parse_busy=of[passes.PARSE_BUSY],
        parse_queue_full=of[passes.PARSE_FULL],
        parse_starved=of[passes.PARSE_STARVED],
        inputs_loaded_for_tokens=of[passes.LOADED] * tokens,
        load_busy=of[passes.LOAD_BUSY],
        load_window_full=of[passes.LOAD_FULL],
    )
    sums = [(each * groups).sum(axis=1).tolist() for each in of_a_pass]
    return map(Counts._make, zip(*sums, strict=True))


def timed_tile(tile: EncodedTile, cycles: NDArray[np.int64], machine: Configuration) -> Tile:
    """As much of a tile as its time follows from; cycles: of the passes over it."""
    stream = tile.stream
    return Tile(
        strip=tile.strip,
        rows=tile.rows,
        cols=tile.cols,
        storage=stream.storage(machine.value_bits),
        cycles=cycles,
        causes={},
        executed=0,
        skipped=0,
        padding=0,
        units={},
        actions={},
        room=stream.room,
        head_bytes=stream.head_bytes,
        lines=stream.lines,
        least_write_cycles=stream.fullest_set,
        places=PLACES,
    )


def counted_tile(
    timed: Tile,
    tile: EncodedTile,
    stepped: Stepped,
    counts: Counts,
    lines: Lines,
    machine: Configuration,
) -> Tile:
    """The tile with the counts of all passes over it."""
    tokens = int(stepped.tokens @ stepped.groups)
    groups = int(stepped.groups.sum())
    slots = tile.stream.slots
    return replace(
        timed,
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
        skipped=tile.stream.nnz * tokens - counts.executed,
        padding=counts.pe_busy * slots.lanes - counts.executed,
        units=_units(counts, tokens, slots, machine),
        actions=_actions(counts, tile, lines, tokens, groups, machine),
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
