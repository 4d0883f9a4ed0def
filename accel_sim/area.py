"""Silicon area from counted parts (docs/microarchitecture.md §9)."""

from accel_sim.accelerator import Accelerator, Buffer
from accel_sim.tables import area, sram_bank

_ACCUMULATOR_BANKS = 2
_INDEX_BITS = 32


def machine_area(machine: Accelerator) -> dict[str, float]:
    """mm² per component. Logic between the blocks, clock and wires are not in the tables."""
    case, array = machine.energy.case, machine.array
    pes = array.pe_rows * array.token_columns
    takers = pes if machine.queue.per_column else array.pe_rows
    register, gate = area("register_bit", case), area("gate", case)
    entry_bits = array.lanes * machine.value_bits + _INDEX_BITS
    micrometres = {
        "mac": machine.macs * area(f"mac_{array.datatype}", case),
        "accumulators": pes
        * array.accumulators_per_pe
        * _ACCUMULATOR_BANKS
        * 8
        * machine.accumulator_bytes
        * register,
        "queues": takers * machine.queue.depth_entries * entry_bits * register,
        "matching": takers * area("matcher", case) * gate
        + machine.matching.window_inputs * array.token_columns * machine.value_bits * register,
        "decompressor": machine.decompressor.entries_per_cycle * area("expander", case) * gate
        + 3 * 8 * machine.decompressor.bytes_per_cycle * register,
        "zero_skip": takers * area("zero_skip", case) * gate,
    }
    squares = {part: value * 1e-6 for part, value in micrometres.items()}
    squares["weight_buffer"] = _buffer_mm2(machine.weight_buffer, case)
    squares["activation_buffer"] = _buffer_mm2(machine.activation_buffer, case)
    return squares


def _buffer_mm2(buffer: Buffer, case: str) -> float:
    return buffer.banks * sram_bank(buffer.bytes / buffer.banks, case).mm2
