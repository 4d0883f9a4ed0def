"""Do the shipped memories say what their sources say, in cycles of any clock?"""

from pathlib import Path

import pytest

from accel_sim.costs.tables import energy_pj
from accel_sim.dataflows.abstract.loads import Part, transfer_cycles
from accel_sim.dataflows.abstract.machine_sections import MARKS
from accel_sim.machines.builtin import builtin_memories
from accel_sim.machines.load import load_machine, resolved
from accel_sim.machines.memory import DRAM_KEYS, load_memory
from sparse_formats.errors import InputError

pytestmark = pytest.mark.rule(microarchitecture=9)

# DRAMsim3, reads of random runs: GB/s that are of use (its LPDDR4 reads 128 bytes at least), and
# for DDR4 pJ per bit. Typed from the table of figures computed for this project, not from the
# memories' files.
RANDOM_READS = {
    "ddr4_3200": {64: 20.7, 256: 24.1, 1024: 23.3},
    "lpddr4_2400": {64: 9.5, 256: 19.0, 1024: 18.7},
}
DDR4_PJ_PER_BIT = {64: 33.0, 256: 21.6, 1024: 19.4}


@pytest.mark.parametrize("clock_hz", [200e6, 500e6, 1.1e9])
@pytest.mark.parametrize(
    ("memory", "run_bytes", "gigabytes"),
    [(name, run, speed) for name, runs in RANDOM_READS.items() for run, speed in runs.items()],
)
def test_is_random_access_as_fast_as_simulated(
    memory: str, run_bytes: int, gigabytes: float, clock_hz: float
) -> None:
    machine = load_machine(
        "tf_mvp", [f"dram.memory={memory}", f"clock_hz={clock_hz}", "most_hz=2e9"]
    )
    bursts = -(-run_bytes // machine.dram.burst_bytes)
    part = Part(10_000, bursts * machine.dram.burst_bytes)
    seconds = transfer_cycles(part, machine) / clock_hz
    assert 10_000 * run_bytes / seconds / 1e9 == pytest.approx(gigabytes, rel=0.1)


@pytest.mark.parametrize(("run_bytes", "pj_per_bit"), DDR4_PJ_PER_BIT.items())
def test_does_ddr4_pay_for_short_runs_as_simulated(run_bytes: int, pj_per_bit: float) -> None:
    # Two rows of the table for three figures: the fit is 2.4 % off at 256 bytes.
    per_run = run_bytes * energy_pj("dram_ddr4", "nominal")
    per_run += energy_pj("dram_ddr4_activation", "nominal")
    assert per_run / (8 * run_bytes) == pytest.approx(pj_per_bit, rel=0.03)


@pytest.mark.parametrize("memory", builtin_memories())
def test_does_every_value_of_a_memory_say_where_it_comes_from(memory: str) -> None:
    sheet = load_memory(memory)
    assert sheet.pop("description")
    for key, item in sheet.items():
        assert item["mark"] in MARKS, key
        assert item["source"], key
    dram = resolved(load_machine("tf_mvp", [f"dram.memory={memory}"]))["dram"]
    assert all(memory in dram[key]["source"] for key in DRAM_KEYS)
    assert dram["memory"]["value"] == memory


def test_is_a_memory_converted_with_the_machines_clock() -> None:
    # 25.6 GB/s at 700 MHz: 36.571428… bytes, three digits kept; 100 ns: 70 cycles.
    dram = load_machine("tf_mvp", ["dram.memory=ddr4_3200", "clock_hz=700e6", "most_hz=2e9"]).dram
    assert (dram.bytes_per_cycle, dram.first_latency_cycles) == (36.571, 70)
    # At 333 MHz 100 ns are 33.3 cycles.
    dram = load_machine("tf_mvp", ["dram.memory=ddr4_3200", "clock_hz=333e6"]).dram
    assert (dram.bytes_per_cycle, dram.first_latency_cycles) == (76.877, 34)
    dram = load_machine("tf_mvp", ["dram.memory=hbm2_2000", "clock_hz=1e9", "most_hz=2e9"]).dram
    assert (dram.bytes_per_cycle, dram.first_latency_cycles) == (256, 100)


def test_does_what_is_stated_win_over_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'extends = "tf_mvp"\nname = "mine"\n[dram]\nmemory = "ddr4_3200"\nrow_bytes = 512\n'
    )
    dram = load_machine(str(file)).dram
    assert (dram.bytes_per_cycle, dram.row_bytes, dram.energy) == (51.2, 512, "ddr4")
    # What a parent says of its own memory goes, what was set for the run stays, in any order.
    child = tmp_path / "child.toml"
    child.write_text('extends = "mine.toml"\nname = "child"\n[dram]\nmemory = "lpddr4_2400"\n')
    assert load_machine(str(child)).dram.row_bytes == 8192
    for settings in (
        ["dram.memory=hbm2_2000", "dram.bytes_per_cycle=3.5"],
        ["dram.bytes_per_cycle=3.5", "dram.memory=hbm2_2000"],
    ):
        dram = load_machine(str(file), settings).dram
        assert (dram.bytes_per_cycle, dram.row_bytes, dram.energy) == (3.5, 2048, "hbm2")


def test_is_an_unknown_memory_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"ddr4_320.*unknown.*ddr4_3200"):
        load_machine("tf_mvp", ["dram.memory=ddr4_320"])
