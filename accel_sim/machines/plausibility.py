"""Values that no machine has had so far: noted where a report is read, never refused."""

from accel_sim.costs.area import machine_area
from accel_sim.dataflows.abstract.dataflow import Machine

SLOWEST_HZ, FASTEST_HZ = 1e6, 3e9
"""Clocks of accelerators (chosen): the fastest published ones have about 2 GHz."""

BANDWIDTH = {
    "lpddr4": (136.5e9, "four LPDDR4X-4266 channels of 64 bits"),
    "ddr4": (204.8e9, "eight DDR4-3200 channels"),
    "hbm2": (2.048e12, "eight HBM2 stacks"),
}
"""By `dram.energy`: bytes a second, and whose they are (chosen: the widest that is built)."""

SHORTEST_LATENCY_S, LONGEST_LATENCY_S = 10e-9, 10e-6
"""From a request to its first byte (chosen): the row access of a DRAM alone takes 15 ns or so."""

RETICLE_MM2 = 858.0
"""The largest area that one exposure makes: 26 mm × 33 mm."""

MOST_LEAKAGE_W = 100.0
"""Chosen: more than a whole large chip gets rid of at rest."""

ENERGY_SCALES = 0.1, 100.0
"""Of `energy.scale` (chosen): a factor beyond these explains no wires and no process."""


def implausible(machine: Machine) -> list[str]:
    """A sentence for each value of the machine beyond the limits above, with value and limit."""
    clock, dram = machine.clock.clock_hz, machine.dram
    found = []
    if not SLOWEST_HZ <= clock <= FASTEST_HZ:
        found.append(
            f"clock.clock_hz is {_shown(clock / 1e6)} MHz, outside {SLOWEST_HZ / 1e6:g} to "
            f"{_shown(FASTEST_HZ / 1e6)} MHz, between which accelerators are clocked"
        )
    bandwidth, (most, whose) = dram.bytes_per_cycle * clock, BANDWIDTH[dram.energy]
    if bandwidth > most:
        found.append(
            f"dram.bytes_per_cycle is {_shown(bandwidth / 1e9)} GB/s at this clock, more than the "
            f"{_shown(most / 1e9)} GB/s of {whose}, but a byte costs what one of {dram.energy} does"
        )
    latency = dram.first_latency_cycles / clock
    if not SHORTEST_LATENCY_S <= latency <= LONGEST_LATENCY_S:
        found.append(
            f"dram.first_latency_cycles is {_shown(latency * 1e9)} ns at this clock, outside "
            f"{SHORTEST_LATENCY_S * 1e9:g} to {_shown(LONGEST_LATENCY_S * 1e9)} ns"
        )
    area = sum(machine_area(machine).values())
    if area > RETICLE_MM2:
        found.append(
            f"the machine has {area:,.0f} mm², more than the {RETICLE_MM2:g} mm² of the largest "
            "chip that one exposure makes"
        )
    if machine.energy.leakage_w > MOST_LEAKAGE_W:
        found.append(
            f"energy.leakage_w is {machine.energy.leakage_w:g} W, more than {MOST_LEAKAGE_W:g} W"
        )
    least, greatest = ENERGY_SCALES
    if not least <= machine.energy.scale <= greatest:
        found.append(f"energy.scale is {machine.energy.scale:g}, outside {least:g} to {greatest:g}")
    return [f"Implausible: {sentence}." for sentence in found]


def _shown(value: float) -> str:
    """Four digits, and all of a larger number: 50,000 and 136.5."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
