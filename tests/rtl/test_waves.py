"""Do the simulator's waveforms have the values of the RTL's, cycle by cycle? (docs/timeline.md)"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.pipeline import Runs
from accel_sim.traces import vcd
from accel_sim.traces.record import Wish
from accel_sim.traces.waves import record_waves
from sparse_formats.masks.matrix import MaskedMatrix
from tests.rtl.comparison import Case, drawn_cases, settings
from tests.rtl.encoding import SmallMachine
from tests.rtl.hardware import SOURCES, Job, icarus, run
from tests.rtl.waves import Signal, read

if shutil.which("iverilog") is None:
    pytest.skip("Icarus Verilog is not installed", allow_module_level=True)

SMALL = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), accumulators=16, word_bytes=12, weight_bytes=2048
)
MACHINES: dict[str, dict[str, Any]] = {
    "lock-step": {"policy": "snake", "zero_skip": 2},
    "queues per column": {"policy": "interleaved", "per_column": True, "queue": 4},
    "lanes that choose": {"lane_select": 4, "window": 16},
}


def simulated_waves(case: Case, path: Path) -> tuple[int, dict[str, Signal]]:
    """Cycles of the layer, and the signals in the simulator's file."""
    layer, runs = case.layer, list[Runs]()
    activations = Activations(len(layer.activations), recorded={"m": layer.activations})
    work = Workload.of([MaskedMatrix("m", layer.keep, layer.weight)], activations)
    machine = load_machine("tf_mvp", settings(case.machine))
    report = simulate(work, machine, threads=1, on_runs=runs.append)
    path.write_bytes(b"".join(vcd.encode(record_waves(runs[0], work, Wish()))))
    return report.layers[0].cycles, read(path)


def named_in_the_save_file() -> set[str]:
    text = (SOURCES / "machine.gtkw").read_text()
    return {line for line in text.splitlines() if line.startswith("bench.")}


@pytest.mark.parametrize("name", MACHINES)
def test_does_every_signal_have_the_value_of_the_hardware_in_every_cycle(
    name: str, tmp_path: Path
) -> None:
    machine = replace(SMALL, **MACHINES[name])
    (case,) = drawn_cases(machine, 1, np.random.default_rng(2), sizes=(32, 40), tokens=5)
    assert len(case.tiles) > 1
    job = Job(case.tiles, case.layer.activations, len(case.layer.keep))
    run(icarus(machine, tmp_path), machine, [job], 20_000, waves=tmp_path / "rtl.vcd")
    theirs = read(tmp_path / "rtl.vcd")
    cycles, ours = simulated_waves(case, tmp_path / "ours.vcd")

    assert ours.keys() <= theirs.keys()
    assert named_in_the_save_file() <= ours.keys()
    assert {name: signal.bits for name, signal in ours.items()} == {
        name: theirs[name].bits for name in ours
    }
    # The file of the hardware begins in the layer's first cycle; two units of time are a cycle.
    begin = theirs["bench.clk"].times[0]
    assert theirs["bench.now[31:0]"].at(begin) == "0"
    steps = ours["bench.machine.pass_step"]
    first_pass = next(cycle for cycle in range(cycles) if steps.at(2 * cycle) == "1")
    different = []
    for signal in sorted(ours.keys() - {"bench.clk"}):
        values = [
            (cycle, ours[signal].at(2 * cycle), theirs[signal].at(begin + 2 * cycle))
            for cycle in range(cycles)
        ]
        # Before the first descriptor has come the hardware does not know which slots there are.
        is_known = ".slots[" not in signal
        different += [
            (signal, *value)
            for value in values
            if value[1] != value[2] and (is_known or value[0] >= first_pass)
        ]
    assert different == []
    changing = {signal for signal in ours if len(set(ours[signal].values)) > 1}
    assert {"bench.machine.waits_tile", "bench.machine.write_back_works"} <= changing
    assert sum(".taker.state" in signal for signal in changing) >= 4
