"""Silicon area from counted parts (docs/microarchitecture.md §9)."""

from accel_sim.costs.tables import area, sram_bank
from accel_sim.dataflows.parameters import CambriconX, Eie, Rcsc, Systolic, TensorCore
from accel_sim.machines.description import Accelerator, Buffer, Machine, Rival

_ACCUMULATOR_BANKS = 2
_INDEX_BITS = 32


def machine_area(machine: Machine) -> dict[str, float]:
    """mm² per component. Logic between the blocks, clock and wires are not in the tables."""
    case = machine.energy.case
    if isinstance(machine, Rival):
        micrometres = _rival(machine)
    else:
        assert isinstance(machine, Accelerator)
        micrometres = _mixed_vector(machine)
    squares = {part: value * 1e-6 for part, value in micrometres.items()}
    squares["weight_buffer"] = _buffer_mm2(machine.weight_buffer, case)
    squares["activation_buffer"] = _buffer_mm2(machine.activation_buffer, case)
    return squares


def _mixed_vector(machine: Accelerator) -> dict[str, float]:
    """µm² of the parts in front of the buffers."""
    case, array = machine.energy.case, machine.array
    pes = array.pe_rows * array.token_columns
    takers = pes if machine.queue.per_column else array.pe_rows
    register, gate = area("register_bit", case), area("gate", case)
    entry_bits = array.lanes * machine.value_bits + _INDEX_BITS
    return {
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


def _rival(machine: Rival) -> dict[str, float]:
    """µm² of the parts in front of the buffers: docs/rivals.md §1."""
    case, array = machine.energy.case, machine.array
    register, gate = area("register_bit", case), area("gate", case)
    # One value picked out of 16: what each lane of a 16-wide expander does.
    pick = area("expander", case) / 16 * gate
    v, a = array.value_bits, array.accumulator_bits
    parts: dict[str, float] = {"mac": machine.macs * area(f"mac_{machine.numbers.name}", case)}
    match array:
        case Systolic():
            parts["queues"] = array.macs * 2 * v * register
            parts["accumulators"] = array.macs * a * register
        case Rcsc():
            parts["accumulators"] = array.macs * array.outputs_per_set * a * register
            # Every PE row picks its input out of the window of each token.
            picks = array.pe_rows * array.token_columns * array.window_inputs / 16
            parts["matching"] = picks * pick
            parts["queues"] = array.window_inputs * array.token_columns * v * register
        case Eie():
            parts["accumulators"] = array.pes * array.outputs_per_pe * a * register
            parts["queues"] = array.pes * array.queue_depth * (array.operand_bits + 16) * register
            parts["zero_skip"] = array.pes * area("zero_skip", case) * gate
        case CambriconX():
            parts["accumulators"] = array.pes * a * register
            parts["matching"] = array.macs * array.window_inputs / 16 * pick
            parts["queues"] = array.window_inputs * v * register
        case TensorCore():
            parts["accumulators"] = array.strip_outputs * array.tokens * a * register
            operands = array.outputs * array.slots + array.slots * array.tokens
            parts["queues"] = operands * v * register
            longest = max([array.vector_length, *(length for _, length in array.modes)])
            if longest:
                parts["matching"] = array.macs * longest / 16 * pick
    return parts


def _buffer_mm2(buffer: Buffer, case: str) -> float:
    return buffer.banks * sram_bank(buffer.bytes / buffer.banks, case).mm2
