"""Counted actions × energy per action (docs/microarchitecture.md §9)."""

from accel_sim.accelerator import ACCUMULATOR_BITS, Accelerator
from accel_sim.layer_run import LayerRun
from accel_sim.mixed_vector import Count
from accel_sim.tables import SramPoint, energy_pj, sram_bank
from accel_sim.timeline import LayerTime

_OPERAND_BYTES = 2

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


def layer_energy(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, float]:
    """Joule per component (`COMPONENTS`) of one layer; only "dram" is off the chip."""
    case, array = machine.energy.case, machine.array
    tokens, groups = run.tokens, len(run.group_sizes)
    outputs = run.shape[0] if run.tiles else 0
    weights = _bank(machine.weight_buffer.bytes, machine.weight_buffer.banks, case)
    acts = _bank(machine.activation_buffer.bytes, machine.activation_buffer.banks, case)
    register, compare = energy_pj("register_bit", case), energy_pj("compare", case)

    stored = sum(tile.bytes for tile in run.tiles)
    tile_bits = sum(tile.storage.bits for tile in run.tiles)
    queued_bits = sum(tile.queue_bits for tile in run.tiles) * groups
    issued, issued_for_tokens = run.summed(Count.BUSY), run.summed_by_token(Count.BUSY)
    executed = run.summed_by_token(Count.ISSUED_WEIGHTS)
    gated = issued_for_tokens * array.lanes - executed
    loaded_for_tokens = run.summed_by_token(Count.INPUTS_LOADED)
    is_row_mode = run.orientation == "horizontal"
    operands_read = issued_for_tokens * (array.lanes if is_row_mode else 1)
    accumulations = issued_for_tokens if is_row_mode else executed
    inspected = issued + run.summed(Count.DROPPED_ENTRIES)
    if machine.zero_skip.entries_per_cycle == 0:
        inspected = 0
    # Each strip's outputs pass the port once per input range; all but the last leave FP32 sums.
    words, later = outputs * tokens, run.input_ranges - 1
    set_size = array.pe_rows // machine.sets
    adds = words * (set_size - 1) * run.input_ranges + words * later
    dram_bytes = time.dram_read_bytes + time.dram_write_bytes

    core = {
        "weight_buffer": stored * weights.write_pj_per_byte
        + stored * groups * weights.read_pj_per_byte,
        "decompressor": tile_bits * groups * energy_pj("decode_bit", case),
        "queues": 2 * queued_bits * register,
        "zero_skip": inspected * compare,
        "matching": issued * compare
        + (loaded_for_tokens + operands_read) * 8 * _OPERAND_BYTES * register,
        "activation_buffer": loaded_for_tokens * _OPERAND_BYTES * acts.read_pj_per_byte,
        "mac": executed * energy_pj(f"mac_{array.datatype}", case)
        + gated * energy_pj("gated_lane", case),
        "accumulators": 2 * accumulations * ACCUMULATOR_BITS * register,
        "writeback": adds * energy_pj("fp32_add", case)
        + words * (_OPERAND_BYTES + 4 * later) * acts.write_pj_per_byte
        + words * 4 * later * acts.read_pj_per_byte,
        "leakage": machine.energy.leakage_w * time.cycles / machine.clock.clock_hz * 1e12,
    }
    picojoule = {key: value * machine.energy.scale for key, value in core.items()}
    picojoule["dram"] = dram_bytes * energy_pj(f"dram_{machine.dram.energy}", case)
    return {component: picojoule[component] * 1e-12 for component in COMPONENTS}


def _bank(bytes_: int, banks: int, case: str) -> SramPoint:
    return sram_bank(bytes_ / banks, case)
