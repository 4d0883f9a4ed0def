"""Silicon area: counted parts × area per part (docs/microarchitecture.md §9)."""

from math import sqrt

from accel_sim.costs.tables import area, node_factor, sram_bank
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import Buffer
from sparse_formats.formats.parts.xor_network import WORD_BITS, XorNetwork

_IN_GATES = ("matcher", "expander", "zero_skip", "mux_bit", "xor")
"""Rows of the area table that count gates; the others are in µm²."""
_BUFFERS = ("weight_buffer", "activation_buffer")


def machine_area(machine: Machine) -> dict[str, float]:
    """mm² per component at the machine's node.

    Logic between the blocks, clock tree and wires are not in the tables. An area from a file of
    Accelergy is taken as it is, in each case and at each node; that of a bank has all its ports.
    """
    case = machine.energy.case
    at_node = node_factor("area", machine.energy.table, case)
    estimated = machine.energy.estimated("area")
    squares = {
        component: 1e-6
        * sum(
            count * estimated[row] if row in estimated else at_node * _micrometres(row, count, case)
            for row, count in parts.items()
        )
        for component, parts in _parts_of(machine).items()
    }
    for name in _BUFFERS:
        buffer = getattr(machine, name)
        if (bank := f"{name}_bank") in estimated:
            squares[name] = 1e-6 * buffer.banks * estimated[bank]
        else:
            squares[name] = at_node * _buffer_mm2(buffer, case)
            if name == "weight_buffer" and machine.has_second_port:
                squares[name] *= area("second_port", case)
    return squares


def _parts_of(machine: Machine) -> dict[str, dict[str, float]]:
    """Parts by component, those of XOR decoders among the decompressor's.

    A decoder has its gates, and registers of its words and of what it makes.
    """
    parts, decoder = machine.area_parts(), machine.xor_decoder
    if not decoder.decoders:
        return parts
    network = XorNetwork(decoder.decoder_outputs, decoder.decoder_memory)
    bits = WORD_BITS * (network.memory + 1) + network.outputs
    own = parts.get("decompressor", {})
    more = {"xor": decoder.decoders * network.gates, "register_bit": decoder.decoders * bits}
    both = {row: own.get(row, 0) + more.get(row, 0) for row in (*own, *more)}
    return {**parts, "decompressor": both}


def array_side_mm(machine: Machine) -> float:
    """Side of the square that the array takes: everything but the buffers that stand beside it."""
    beside = {"activation_buffer"} if machine.weights_in_array else set(_BUFFERS)
    return sqrt(sum(mm2 for part, mm2 in machine_area(machine).items() if part not in beside))


def _micrometres(row: str, count: float, case: str) -> float:
    """µm² of `count` parts; a "pick_of_16" is what each lane of a 16-wide expander does."""
    if row == "pick_of_16":
        return count * (area("expander", case) / 16 * area("gate", case))
    if row in _IN_GATES:
        return count * area(row, case) * area("gate", case)
    return count * area(row, case)


def _buffer_mm2(buffer: Buffer, case: str) -> float:
    return buffer.banks * sram_bank(buffer.bytes / buffer.banks, case).mm2
