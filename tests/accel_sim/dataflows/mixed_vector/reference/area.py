"""§9: the area of what stands in the array, which says how long its wires are.

Only the tables are shared with the simulator: µm² or gates per part.
"""

from math import sqrt

from accel_sim.costs.tables import area
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div, ceil_log2

ADDERS = {"int4": "add_int32", "int8": "add_int32", "int16": "add_int48"}


def side_mm(machine: Machine, case: str) -> float:
    """The side of a square with the area of everything but the two buffers."""
    array, window = machine.array, machine.matching.window_inputs
    rows, columns, lanes = array.pe_rows, array.token_columns, array.lanes
    pes, most, groupings = rows * columns, machine.most_groups, len(array.lane_groups)
    v, a, word = machine.value_bits, 8 * machine.accumulator_bytes, machine.word_bits
    item = v + machine.most_select_bits
    is_shared = machine.scheduler.policy == "set_associative"
    sets = machine.scheduler.sets if is_shared else rows
    slots, fewest = rows * most, lanes // most
    takers = columns if machine.queue.per_column else 1

    registers = 2 * pes * array.accumulators_per_pe * a
    registers += takers * rows * machine.queue.depth_entries * (lanes * item + most * 32)
    registers += window * columns * (v + 1)
    registers += rows * machine.decompressor.buffer_words * word
    registers += 4 * (128 + sets * array.accumulators_per_pe * ceil_log2(sets * most))
    registers += 2 * 32 * slots

    multiplexers = pes * a * sum(sorted(array.lane_groups)[1:])
    multiplexers += (pes * v + rows * item) * lanes * (groupings - 1)
    multiplexers += pes * lanes * (array.lane_select - 1) * v
    multiplexers += slots * (ceil_div(window, fewest) - 1) * fewest * columns * v
    multiplexers += rows * groupings * 2 * word * ceil_log2(word)

    gates = multiplexers * area("mux_bit", case)
    gates += rows * lanes / 16 * item / v * area("expander", case)
    if machine.zero_skip.entries_per_cycle:
        gates += takers * slots * area("zero_skip", case)
    adders = machine.output.words_per_cycle * rows // sets
    micrometres = (
        machine.multipliers * area(f"mac_{array.datatype}", case)
        + registers * area("register_bit", case)
        + 2 * 32 * slots * area("compare_bit", case)
        + adders * area(ADDERS.get(array.datatype, "add_fp32"), case)
        + gates * area("gate", case)
    )
    return sqrt(micrometres) / 1000
