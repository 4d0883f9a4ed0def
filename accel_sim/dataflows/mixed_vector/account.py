"""What the passes of mixed-length vectors come to: causes, units, actions.

docs/microarchitecture.md §7 and §9.
"""

import numpy as np

from accel_sim.costs.timeline import LayerTime
from accel_sim.dataflows.account import Account, Unit
from accel_sim.dataflows.mixed_vector.layer import LayerRun
from accel_sim.machines.description import Accelerator


def mixed_vector_account(run: LayerRun, time: LayerTime, machine: Accelerator) -> Account:
    """The account of one layer from its counters and its place in time."""
    executed = run.counts.executed
    idle = np.zeros(machine.array.pe_rows, np.int64)
    return Account(
        format="mixed_vectors",
        orientation=run.orientation,
        vectors=run.vectors,
        executed=executed,
        padding=run.counts.pe_busy * machine.array.lanes - executed,
        causes=_causes(run, time, machine),
        units=_units(run, time, machine),
        actions=_actions(run, time, machine),
        pe_load=np.sum([idle, *(tile.pe_load for tile in run.tiles)], axis=0).tolist(),
    )


def _causes(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, int]:
    """The layer's critical path by cause; sums to its cycles (§7)."""
    passes = len(run.tiles) * len(run.group_sizes)
    return {
        "compute": run.counts.path_compute,
        "empty_lanes": run.counts.path_empty_lanes,
        "lockstep": run.counts.path_lockstep,
        "imbalance": run.counts.path_imbalance,
        "zero_skip": run.counts.path_zero_skip,
        "window": run.counts.path_window,
        "decompressor": run.counts.path_decompressor,
        "pipeline": passes * machine.array.pe_latency_cycles,
        "dram": time.wait_dram,
        "writeback": time.wait_writeback + time.tail,
    }


def _units(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit (§7).

    Every figure is counted, none is a remainder, so that the sums can be checked.
    """
    array, passes = machine.array, len(run.tiles) * len(run.group_sizes)
    pes = array.pe_rows * array.token_columns
    in_passes = run.counts.cycles
    latency = passes * array.pe_latency_cycles
    stepped = in_passes - latency
    between = time.wait_dram + time.wait_writeback + time.tail
    tokenless = in_passes * array.token_columns - run.counts.cycles_for_tokens
    executed = run.counts.executed
    pe = Unit(
        count=pes,
        busy=run.counts.pe_busy,
        stalled={
            "lockstep": run.counts.pe_lockstep,
            "zero_skip": run.counts.pe_zero_skip,
            "window": run.counts.pe_window,
            "decompressor": run.counts.pe_decompressor,
            "pipeline": array.pe_latency_cycles * len(run.tiles) * run.tokens * array.pe_rows,
            "dram": time.wait_dram * pes,
            "writeback": (time.wait_writeback + time.tail) * pes,
        },
        idle=run.counts.pe_idle + tokenless * array.pe_rows,
    )
    waiting = (sum(pe.stalled.values()) + pe.idle) * array.lanes
    empty = pe.busy * array.lanes - executed
    drops, decodes = run.counts.drop_cycles, run.counts.decode_busy
    full, starved = run.counts.decode_queue_full, run.counts.decode_starved
    loads, loads_full = run.counts.load_busy, run.counts.load_window_full
    outside = latency + between
    controllers = pes if machine.queue.per_column else array.pe_rows
    return {
        "pe": pe,
        "lane": Unit(machine.macs, executed, {"empty_lanes": empty, "pe": waiting}, 0),
        "zero_skip": Unit(controllers, drops, {}, time.cycles * controllers - drops),
        "decompressor": Unit(
            1,
            decodes,
            {"queue_full": full, "weight_buffer": starved},
            stepped - decodes - full - starved + outside,
        ),
        "matching": Unit(
            1, loads, {"window_full": loads_full}, stepped - loads - loads_full + outside
        ),
        "dram": Unit(
            1,
            time.dram_busy,
            {"first_latency": time.dram_latency},
            time.cycles - time.dram_busy - time.dram_latency,
        ),
        "writeback": Unit(1, time.write_busy, {}, time.cycles - time.write_busy),
    }


def _actions(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, dict[str, float]]:
    """How often each action of `prices_pj` happens, by component."""
    array, tokens, groups = machine.array, run.tokens, len(run.group_sizes)
    outputs = run.shape[0] if run.tiles else 0
    stored = sum(tile.bytes for tile in run.tiles)
    tile_bits = sum(tile.storage.bits for tile in run.tiles)
    # In lock-step one copy of every queue serves all columns.
    copies = tokens if machine.queue.per_column else groups
    queued_bits = sum(tile.queue_bits for tile in run.tiles) * copies
    issued, live_pairs = run.counts.issued, run.counts.pe_busy
    executed = run.counts.executed
    gated = (live_pairs + run.counts.pe_lockstep) * array.lanes - executed
    loaded_for_tokens = run.counts.inputs_loaded_for_tokens
    is_row_mode = run.orientation == "horizontal"
    operands_read = live_pairs * (array.lanes if is_row_mode else 1)
    accumulations = live_pairs if is_row_mode else executed
    inspected = issued + run.counts.dropped
    if machine.zero_skip.entries_per_cycle == 0:
        inspected = 0
    # Each strip's outputs pass the port once per input range; all but the last leave partial sums.
    words, later = outputs * tokens, run.input_ranges - 1
    set_size = array.pe_rows // machine.sets
    adds = words * (set_size - 1) * run.input_ranges + words * later
    partial_bytes = words * machine.accumulator_bytes * later

    return {
        "dram": {
            "dram_byte": time.dram_read_bytes + time.dram_write_bytes,
            "dram_activation": time.dram_activations,
        },
        "weight_buffer": {"weight_byte_written": stored, "weight_byte_read": stored * groups},
        "decompressor": {"decoded_bit": tile_bits * groups},
        "queues": {"register_bit": 2 * queued_bits},
        "zero_skip": {"comparison": inspected},
        "matching": {
            "comparison": issued,
            "register_bit": (loaded_for_tokens + operands_read) * machine.value_bits,
        },
        "activation_buffer": {"activation_byte_read": loaded_for_tokens * machine.operand_bytes},
        "mac": {"mac": executed, "gated_lane": gated},
        "accumulators": {"register_bit": 2 * accumulations * 8 * machine.accumulator_bytes},
        "writeback": {
            "add": adds,
            "activation_byte_written": words * machine.operand_bytes + partial_bytes,
            "activation_byte_read": partial_bytes,
        },
        "leakage": {"leaking_cycle": time.cycles},
    }
