"""Counted actions × energy per action (docs/microarchitecture.md §9)."""

from collections.abc import Mapping
from dataclasses import replace

from accel_sim.costs.tables import energy_pj, sram_bank
from accel_sim.machines.description import Machine

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


def _adder(machine: Machine) -> str:
    """What adds two accumulators."""
    if not machine.numbers.is_integer:
        return "fp32_add"
    return "int32_add" if machine.accumulator_bits <= 32 else "int48_add"


def layer_energy(
    actions: Mapping[str, Mapping[str, float]], machine: Machine
) -> dict[str, dict[str, float]]:
    """Joule per component (`COMPONENTS`) of a layer's actions; only "dram" is off the chip.

    "chosen": in the case of the tables that the machine names; "low" and "high": with every row
    low, and with every row high.
    """
    cases = {"chosen": machine.energy.case, "low": "low", "high": "high"}
    return {
        key: energy_of(actions, replace(machine, energy=replace(machine.energy, case=case)))
        for key, case in cases.items()
    }


def energy_of(actions: Mapping[str, Mapping[str, float]], machine: Machine) -> dict[str, float]:
    """Joule per component of the counted `actions`, in the machine's case of the tables."""
    prices = prices_pj(machine)
    joule = {
        component: 1e-12 * sum(count * prices[action] for action, count in counted.items())
        for component, counted in actions.items()
    }
    core = machine.energy.scale
    return {part: joule[part] * (1 if part == "dram" else core) for part in COMPONENTS}


def prices_pj(machine: Machine) -> dict[str, float]:
    """pJ per action, in the machine's case of the tables."""
    case, datatype, memory = machine.energy.case, machine.numbers.name, machine.dram.energy
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
        "add": energy_pj(_adder(machine), case),
        # Leakage is a power of the machine, not of the tables, and has no band.
        "leaking_cycle": machine.energy.leakage_w / machine.clock.clock_hz * 1e12,
    }
