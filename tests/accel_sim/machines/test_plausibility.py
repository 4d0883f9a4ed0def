"""Is a value that no machine has had noted, and no other?"""

import pytest

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators, builtin_memories
from accel_sim.machines.load import load_machine
from accel_sim.machines.plausibility import implausible
from accel_sim.pipeline import simulate
from tests.accel_sim.workloads import random_matrix


@pytest.mark.parametrize("name", builtin_accelerators())
def test_is_no_shipped_machine_implausible(name: str) -> None:
    assert implausible(load_machine(name)) == []
    for memory in builtin_memories():
        assert implausible(load_machine(name, [f"dram.memory={memory}"])) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # At 50 GHz 100 cycles are 2 ns, and 0.1 bytes 5 GB/s.
        (
            ("clock_hz=50e9", "most_hz=1e11", "bytes_per_cycle=0.1", "first_latency_cycles=500"),
            ["clock.clock_hz is 50,000 MHz, outside 1 to 3,000 MHz"],
        ),
        # 6000 bytes × 500 MHz.
        (
            ("bytes_per_cycle=6000",),
            ["is 3,000 GB/s at", "136.5 GB/s of four LPDDR4X"],
        ),
        (("bytes_per_cycle=6000", "dram.energy=hbm2"), ["2,048 GB/s of eight HBM2 stacks"]),
        (("bytes_per_cycle=410", "dram.energy=ddr4"), ["205 GB/s", "204.8 GB/s of eight"]),
        (("first_latency_cycles=0",), ["dram.first_latency_cycles is 0 ns", "10 to 10,000 ns"]),
        (("first_latency_cycles=5001",), ["dram.first_latency_cycles is 10,002 ns"]),
        (("leakage_w=101",), ["energy.leakage_w is 101 W, more than 100 W"]),
        (("energy.scale=0.09",), ["energy.scale is 0.09, outside 0.1 to 100"]),
    ],
)
def test_is_each_limit_noted_with_value_and_limit(
    settings: tuple[str, ...], words: list[str]
) -> None:
    (note,) = implausible(load_machine("tf_mvp", settings))
    assert note.startswith("Implausible: ") and note.endswith(".")
    assert all(word in note for word in words), note


def test_is_a_chip_beyond_one_exposure_noted() -> None:
    # A gigabyte of SRAM.
    (note,) = implausible(load_machine("tf_mvp", ["activation_buffer.bytes=1073741824"]))
    assert "more than the 858 mm² of the largest chip" in note


def test_are_values_at_the_limits_not_noted() -> None:
    # 273 bytes × 500 MHz are 136.5 GB/s; 5 and 5000 cycles are 10 ns and 10 µs.
    for latency in (5, 5000):
        settings = ["bytes_per_cycle=273", f"first_latency_cycles={latency}", "leakage_w=100"]
        assert implausible(load_machine("tf_mvp", settings)) == []


def test_does_the_report_note_it() -> None:
    machine = load_machine("tf_mvp", ["leakage_w=200"])
    report = simulate(Workload.of([random_matrix((8, 8), 0.5)], Activations(1)), machine)
    assert [note for note in report.notes if note.startswith("Implausible")] == implausible(machine)
