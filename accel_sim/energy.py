"""Counted actions × energy per action (docs/microarchitecture.md §9)."""

from collections.abc import Mapping
from dataclasses import replace

from accel_sim.accelerator import Accelerator
from accel_sim.layer_run import LayerRun
from accel_sim.tables import energy_pj, sram_bank
from accel_sim.timeline import LayerTime

COMPONENTS = (
    "dram",
    "weight_buffer",
    "decompressor",
    "queues",
    "zero_skip",
    "matching",
    "activation_buffer",
    "mac",
    "accumulators",
    "writeback",
    "leakage",
)

_ADDER = {"fp16": "fp32_add", "int8": "int32_add", "int16": "int48_add"}
"""What adds two accumulators of the datatype."""


def layer_energy(
    run: LayerRun, time: LayerTime, machine: Accelerator
) -> dict[str, dict[str, float]]:
    """Joule per component (`COMPONENTS`) of one layer; only "dram" is off the chip.

    "chosen": in the case of the tables that the machine names; "low" and "high": with every row
    low, and with every row high.
    """
    actions = layer_actions(run, time, machine)
    cases = {"chosen": machine.energy.case, "low": "low", "high": "high"}
    return {
        key: energy_of(actions, replace(machine, energy=replace(machine.energy, case=case)))
        for key, case in cases.items()
    }


def energy_of(actions: Mapping[str, Mapping[str, float]], machine: Accelerator) -> dict[str, float]:
    """Joule per component of the counted `actions`, in the machine's case of the tables."""
    prices = prices_pj(machine)
    joule = {
        component: 1e-12 * sum(count * prices[action] for action, count in counted.items())
        for component, counted in actions.items()
    }
    core = machine.energy.scale
    return {part: joule[part] * (1 if part == "dram" else core) for part in COMPONENTS}


def prices_pj(machine: Accelerator) -> dict[str, float]:
    """pJ per action, in the machine's case of the tables."""
    case, datatype, memory = machine.energy.case, machine.array.datatype, machine.dram.energy
    weights, activations = machine.weight_buffer, machine.activation_buffer
    weight_bank = sram_bank(weights.bytes / weights.banks, case)
    activation_bank = sram_bank(activations.bytes / activations.banks, case)
    return {
        "dram_byte": energy_pj(f"dram_{memory}", case),
        "dram_activation": energy_pj(f"dram_{memory}_activation", case),
        "weight_byte_written": weight_bank.write_pj_per_byte,
        "weight_byte_read": weight_bank.read_pj_per_byte,
        "activation_byte_written": activation_bank.write_pj_per_byte,
        "activation_byte_read": activation_bank.read_pj_per_byte,
        "decoded_bit": energy_pj("decode_bit", case),
        "register_bit": energy_pj("register_bit", case),
        "comparison": energy_pj("compare", case),
        "mac": energy_pj(f"mac_{datatype}", case),
        "gated_lane": energy_pj("gated_lane", case),
        "add": energy_pj(_ADDER[datatype], case),
        # Leakage is a power of the machine, not of the tables, and has no band.
        "leaking_cycle": machine.energy.leakage_w / machine.clock.clock_hz * 1e12,
    }


def layer_actions(
    run: LayerRun, time: LayerTime, machine: Accelerator
) -> dict[str, dict[str, float]]:
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
