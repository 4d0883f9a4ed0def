"""Energy: counted actions × energy per action (docs/microarchitecture.md §9)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from accel_sim.costs.area import array_side_mm
from accel_sim.costs.tables import energy_pj, node_factor, sram_bank
from accel_sim.dataflows.abstract.dataflow import Machine


@dataclass(frozen=True)
class Component:
    """words: what its energy is spent on, for people; colour: in pictures, as #RRGGBB."""

    words: str
    colour: str


# Paul Tol's "muted" for the core; DRAM is hatched in pictures, because it is off the chip.
COMPONENTS = {
    "dram": Component(
        "bytes and row activations of the memory (off the chip; all else is the core)", "#5B5B5B"
    ),
    "weight_buffer": Component(
        "compressed weights written once, read once per group of tokens", "#332288"
    ),
    "decompressor": Component("decoding the format", "#117733"),
    "queues": Component(
        "entries waiting for their PE row; operands stepping through registers", "#999933"
    ),
    "zero_skip": Component("inspecting entries for zero activations", "#882255"),
    "matching": Component("comparing indices, activation window", "#CC6677"),
    "activation_buffer": Component("reading the layer's input", "#AA4499"),
    "mac": Component("multiplications, and gating of lanes with nothing to multiply", "#88CCEE"),
    "accumulators": Component("partial sums read and written", "#DDCC77"),
    "writeback": Component("adding partial sums, writing the output", "#44AA99"),
    "wires": Component(
        "weights, operands and sums on their way between buffers and PEs", "#EE7733"
    ),
    "clock": Component("clocking the registers of the multipliers during passes", "#661100"),
    "leakage": Component("power that flows whether or not there is work", "#DDDDDD"),
}
"""Where energy goes; only "dram" is off the chip."""


@dataclass(frozen=True)
class Charge:
    """What an action is charged: so many of a price (`prices_pj`), to a component."""

    component: str
    price: str
    per_action: float = 1


CHARGES = {
    "dram_bytes": Charge("dram", "dram_byte"),
    "dram_activations": Charge("dram", "dram_activation"),
    "weight_bits_written": Charge("weight_buffer", "weight_byte_written", 1 / 8),
    "weight_bits_read": Charge("weight_buffer", "weight_byte_read", 1 / 8),
    "decoded_bits": Charge("decompressor", "decoded_bit"),
    "xor_bits": Charge("decompressor", "decoded_bit"),
    "register_bits": Charge("queues", "register_bit"),
    "zero_compares": Charge("zero_skip", "comparison"),
    "compares": Charge("matching", "comparison"),
    "window_bits": Charge("matching", "register_bit"),
    "activation_bits_read": Charge("activation_buffer", "activation_byte_read", 1 / 8),
    "macs": Charge("mac", "mac"),
    "gated_lanes": Charge("mac", "gated_lane"),
    "accumulator_bits": Charge("accumulators", "register_bit"),
    "adds": Charge("writeback", "add"),
    "activation_bits_written": Charge("writeback", "activation_byte_written", 1 / 8),
    "partial_bits_read": Charge("writeback", "activation_byte_read", 1 / 8),
    "weight_wire_bits": Charge("wires", "weight_wire_bit"),
    "operand_wire_bits": Charge("wires", "operand_wire_bit"),
    "sum_wire_bits": Charge("wires", "sum_wire_bit"),
    "clocked_cycles": Charge("clock", "clocked_cycle"),
    "leaking_cycles": Charge("leakage", "leaking_cycle"),
}
"""Every action that an account may count (`account.ACTIONS`, and what time adds to them)."""


def layer_energy(actions: Mapping[str, int], machine: Machine) -> dict[str, dict[str, float]]:
    """Joule per component (`COMPONENTS`) of a layer's actions.

    "chosen": in the case of the tables that the machine names; "low" and "high": with every row
    low, and with every row high.
    """
    cases = {"chosen": machine.energy.case, "low": "low", "high": "high"}
    return {
        key: energy_of(actions, replace(machine, energy=replace(machine.energy, case=case)))
        for key, case in cases.items()
    }


def energy_of(actions: Mapping[str, int], machine: Machine) -> dict[str, float]:
    """Joule per component of the counted `actions`, in the machine's case of the tables."""
    prices, core = prices_pj(machine), machine.energy.scale
    picojoule: dict[str, float] = dict.fromkeys(COMPONENTS, 0)
    for action, charge in CHARGES.items():
        count = actions.get(action, 0) * charge.per_action
        picojoule[charge.component] += count * prices[charge.price]
    return {
        component: 1e-12 * spent * (1 if component == "dram" else core)
        for component, spent in picojoule.items()
    }


def prices_pj(machine: Machine) -> dict[str, float]:
    """pJ of each price at the machine's node, in its case of the tables.

    A price from a file of Accelergy is the same in each case.
    """
    case, node, memory = machine.energy.case, machine.energy.table, machine.dram.energy
    logic = node_factor("energy", node, case)
    return {
        **{price: logic * pj for price, pj in _logic_pj(machine).items()},
        **_wires_pj(machine),
        "dram_byte": energy_pj(f"dram_{memory}", case),
        "dram_activation": energy_pj(f"dram_{memory}_activation", case),
        # Leakage is a power of the machine, not of the tables, and has no band.
        "leaking_cycle": machine.energy.leakage_w / machine.clock.clock_hz * 1e12,
        **machine.energy.estimated("price"),
    }


def _logic_pj(machine: Machine) -> dict[str, float]:
    """pJ at 28 nm of what gets cheaper with the transistors."""
    case = machine.energy.case
    weights, activations = machine.weight_buffer, machine.activation_buffer
    weight_bank = sram_bank(weights.bytes / weights.banks, case)
    activation_bank = sram_bank(activations.bytes / activations.banks, case)
    clock_bit = energy_pj("clock_bit", case) * energy_pj("clock_share", case)
    return {
        "weight_byte_written": weight_bank.write_pj_per_byte,
        "weight_byte_read": weight_bank.read_pj_per_byte,
        "activation_byte_written": activation_bank.write_pj_per_byte,
        "activation_byte_read": activation_bank.read_pj_per_byte,
        "decoded_bit": energy_pj("decode_bit", case),
        "register_bit": energy_pj("register_bit", case),
        "comparison": energy_pj("compare", case),
        "mac": energy_pj(f"mac_{machine.numbers.name}", case),
        "gated_lane": energy_pj("gated_lane", case),
        "add": energy_pj(_adder(machine), case),
        "clocked_cycle": clock_bit * machine.clocked_bits,
    }


def _wires_pj(machine: Machine) -> dict[str, float]:
    """pJ of a bit on each kind of wire: its length is in sides of the machine's array."""
    case, lengths = machine.energy.case, machine.wire_sides()
    per_mm = energy_pj("wire_bit_mm", case) * node_factor("wire", machine.energy.table, case)
    per_side = per_mm * array_side_mm(machine)
    return {
        "weight_wire_bit": per_side * lengths.weights,
        "operand_wire_bit": per_side * lengths.operands,
        "sum_wire_bit": per_side * lengths.sums,
    }


def _adder(machine: Machine) -> str:
    """What adds two accumulators."""
    if not machine.numbers.is_integer:
        return "fp32_add"
    return "int32_add" if machine.accumulator_bits <= 32 else "int48_add"
