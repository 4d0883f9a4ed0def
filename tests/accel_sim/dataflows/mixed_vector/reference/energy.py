"""§9: actions, counted, and what they cost.

Only the tables are shared with the simulator: pJ per action, and per byte of an SRAM bank.
"""

from collections import Counter
from collections.abc import Sequence

from accel_sim.costs.tables import energy_pj, sram_bank
from tests.accel_sim.dataflows.mixed_vector.reference.area import side_mm
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Tile
from tests.accel_sim.dataflows.mixed_vector.reference.timeline import LayerTime

ADDERS = {"int4": "int32_add", "int8": "int32_add", "int16": "int48_add"}


def actions(
    tiles: Sequence[Tile],
    passes: Sequence[Pass],
    time: LayerTime,
    cols: int,
    is_resident: bool,
    machine: Machine,
) -> Counter[str]:
    """How often each action happens in a layer."""
    choice = tiles[0].choice
    g, slots_per_set = choice.lanes(machine), len(choice.sets(machine)[0])
    v, b, a = machine.value_bits, machine.operand_bytes, machine.accumulator_bytes
    count: Counter[str] = Counter()
    for load in time.loads:
        count["dram bytes"] += load.dram_bytes
        count["dram rows"] += sum(
            part.runs * ceil_div(part.run_bytes, machine.dram.row_bytes) for part in load.parts
        )
    count["weight bytes written"] = 0 if is_resident else sum(tile.bytes for tile in tiles)
    for one in passes:
        tile, tokens, tally = one.tile, len(one.tokens), one.tally
        is_column = choice.mode == "column"
        # Inputs that a slot reads for a live pair.
        read = choice.s if is_column else g
        copies = tokens if machine.queue.per_column else 1
        entry_bits = sum(tile.entry_bits)
        assert one.count.words_read == sum(tile.row_words)
        count["weight bytes read"] += machine.decompressor.word_bytes * one.count.words_read
        count["decoded bits"] += entry_bits
        count["queue bits"] += 2 * copies * entry_bits
        for taker in one.count.takers:
            if machine.zero_skip.entries_per_cycle:
                count["inspections"] += len(taker.issued) + taker.dropped
            count["matches"] += len(taker.issued)
        count["window bits"] += one.count.inputs_loaded * tokens * v
        count["window bits"] += tally.live_pairs * read * v
        count["activation bytes read"] += one.count.inputs_loaded * tokens * b
        outputs = len(tile.strip) * tokens
        # The last range writes operands, all before it partial sums, which the next one reads.
        if tile.inputs.stop == cols:
            count["activation bytes written"] += outputs * b
        else:
            count["activation bytes written"] += outputs * a
        count["adds"] += outputs * (slots_per_set - 1)
        if tile.inputs.start > 0:
            count["partial bytes read"] += outputs * a
            count["adds"] += outputs
        count["macs"] += tally.executed
        count["gated lanes"] += tally.issued_pairs * g - tally.executed
        # Along the whole row once; the others half an array.
        count["weight bits sent"] += entry_bits
        count["operand bits sent"] += tally.live_pairs * read * v
        count["sum bits sent"] += outputs * slots_per_set * 8 * a
        count["pass cycles"] += one.count.cycles
        words = tally.executed if is_column else tally.live_pairs
        count["accumulator bits"] += 2 * words * 8 * a
    return count


def energy_by_component(
    count: Counter[str], cycles: int, machine: Machine, case: str
) -> dict[str, float]:
    """Joule by component."""

    def pj(action: str) -> float:
        return energy_pj(action, case)

    datatype, memory = machine.array.datatype, machine.dram.energy
    weights, inputs = (
        sram_bank(buffer.bytes / buffer.banks, case)
        for buffer in (machine.weight_buffer, machine.activation_buffer)
    )
    bit_sides = count["weight bits sent"]
    bit_sides += (count["operand bits sent"] + count["sum bits sent"]) / 2
    flip_flops = machine.multipliers * (4 * machine.value_bits + 8 * machine.accumulator_bytes)
    core = {
        "mac": count["macs"] * pj(f"mac_{datatype}") + count["gated lanes"] * pj("gated_lane"),
        "accumulators": count["accumulator bits"] * pj("register_bit"),
        "weight_buffer": count["weight bytes written"] * weights.write_pj_per_byte
        + count["weight bytes read"] * weights.read_pj_per_byte,
        "decompressor": count["decoded bits"] * pj("decode_bit"),
        "queues": count["queue bits"] * pj("register_bit"),
        "zero_skip": count["inspections"] * pj("compare"),
        "matching": count["matches"] * pj("compare") + count["window bits"] * pj("register_bit"),
        "activation_buffer": count["activation bytes read"] * inputs.read_pj_per_byte,
        "writeback": count["adds"] * pj(ADDERS.get(datatype, "fp32_add"))
        + count["activation bytes written"] * inputs.write_pj_per_byte
        + count["partial bytes read"] * inputs.read_pj_per_byte,
        "wires": bit_sides * side_mm(machine, case) * pj("wire_bit_mm"),
        "clock": count["pass cycles"] * flip_flops * pj("clock_bit") * pj("clock_share"),
        "leakage": machine.energy.leakage_w * cycles / machine.clock.clock_hz * 1e12,
    }
    dram = count["dram bytes"] * pj(f"dram_{memory}")
    dram += count["dram rows"] * pj(f"dram_{memory}_activation")
    scaled = {name: machine.energy.scale * value for name, value in core.items()}
    return {name: value * 1e-12 for name, value in {**scaled, "dram": dram}.items()}
