"""Does a trace of the DRAM ask for the bytes of the report, in the order of its loads?"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from accel_sim.__main__ import COMMANDS
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import Runs, simulate
from accel_sim.reports.report import Report
from accel_sim.traces import dram, dramsim3, ramulator2
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import drawn_workload
from tests.accel_sim.workloads import load_mixed_vector, random_matrix


class Line(NamedTuple):
    address: int
    is_write: bool
    cycle: int


def traced(work: Workload, machine: Machine) -> tuple[Report, Runs, list[Line]]:
    """The report, and the lines of its trace for DRAMsim3."""
    runs: list[Runs] = []
    report = simulate(work, machine, threads=1, on_runs=runs.append)
    lines = []
    for line in b"".join(dramsim3.encode(dram.dram_trace(runs[0]))).decode().splitlines():
        address, word, cycle = line.split(" ")
        assert address.startswith("0x") and word in ("READ", "WRITE")
        lines.append(Line(int(address, 16), word == "WRITE", int(cycle)))
    return report, runs[0], lines


def check(report: Report, runs: Runs, lines: list[Line]) -> None:
    """Bytes as in the report, no line before the one in front of it, each in its load."""
    burst = runs.machine.dram.burst_bytes
    assert burst * len(lines) == report.total.dram_bytes
    assert all(line.address % burst == 0 for line in lines)
    cycles = [line.cycle for line in lines]
    assert cycles == sorted(cycles)
    loads = np.concatenate([place.loads for place in dram.places_of(runs)])
    loads = loads[loads[:, 2] > loads[:, 1]]
    # A request is sent when its load begins, and its bytes come a latency later.
    busy = [(start, start + end - first) for start, first, end in loads.tolist()]
    starts = [start for start, _ in busy]
    for cycle in cycles:
        start, end = busy[int(np.searchsorted(starts, cycle, side="right")) - 1]
        assert start <= cycle < end


@pytest.mark.parametrize("part", range(2))
def test_do_drawn_workloads_ask_for_the_bytes_of_their_reports(part: int) -> None:
    writes = seen = 0
    for seed in range(part, 60, 2):
        work = drawn_workload(seed)
        try:
            report, runs, lines = traced(
                Workload.of(work.matrices, work.activations), work.simulated_machine
            )
        except InputError:
            continue
        check(report, runs, lines)
        writes += sum(line.is_write for line in lines)
        seen += 1
    assert seen > 15


@pytest.mark.parametrize("name", ["tf_mvp", "cambricon_x", "scnn", "systolic_ws"])
def test_are_activations_off_the_chip_read_and_written_beside_the_weights(name: str) -> None:
    settings = ["activation_buffer.bytes=2048", "weight_buffer.bytes=32768", "dram.resident=false"]
    machine = load_machine(name, settings)
    matrices = [random_matrix((70, 90), 0.3, name="a"), random_matrix((33, 130), 0.3, name="b")]
    report, runs, lines = traced(Workload.of(matrices, Activations(40)), machine)
    check(report, runs, lines)
    trace = dram.dram_trace(runs)
    of = {
        "weights": [line for line in lines if line.address < trace.activations],
        "inputs": [e for e in lines if e.address >= trace.activations and not e.is_write],
        "outputs": [line for line in lines if line.is_write],
    }
    assert all(of.values())
    assert all(line.address >= trace.activations for line in of["outputs"])
    assert max(line.address for line in lines) < trace.end
    # Each weight is read once; areas of layers do not overlap.
    weights = [line.address for line in of["weights"]]
    assert len(set(weights)) == len(weights)
    assert not {e.address for e in of["inputs"]} & {e.address for e in of["outputs"]}


def test_are_weights_read_as_they_come_to_xor_decoders() -> None:
    machine = load_machine("tensor_core_dense", ["xor_decoder.decoders=1"])
    work = Workload.of([random_matrix((70, 90), 0.1)], Activations(5))
    report, runs, lines = traced(work, machine)
    assert report.layers[0].cycles_by_cause["decoder"] > 0
    check(report, runs, lines)


def test_are_the_lines_those_of_the_two_simulators() -> None:
    bursts = dram.Bursts(np.array([0x40, 0x80]), np.array([3, 5]), False)
    write = dram.Bursts(np.array([0x1C0]), np.array([6]), True)
    assert b"".join(dramsim3.encode([bursts, write])) == (
        b"0x40 READ 3\n0x80 READ 5\n0x1C0 WRITE 6\n"
    )
    assert b"".join(ramulator2.encode([bursts, write])) == b"LD 0x40\nLD 0x80\nST 0x1c0\n"


def test_is_a_layer_by_hand_where_it_should_be() -> None:
    """One tile of 64-byte bursts at 64 bytes a cycle and 800 permille, latency 10."""
    machine = load_mixed_vector(
        "tf_mvp",
        ["dram.efficiency_run_bytes=[64]", "dram.efficiency_permille=[800]",
         "dram.first_latency_cycles=10"],
    )  # fmt: skip
    report, _, lines = traced(Workload.of([random_matrix((16, 16), 1.0)], Activations(1)), machine)
    assert [line.address for line in lines] == list(range(0, report.total.dram_bytes, 64))
    # A burst takes 1.25 cycles.
    assert [line.cycle for line in lines] == [
        int(k * -(-len(lines) * 5 // 4) / len(lines)) for k in range(len(lines))
    ]


RUN = ("run", "--shapes", "16x24", "--density", "0.4", "--tokens", "5")


@pytest.mark.parametrize(
    ("name", "options", "first"),
    [
        ("t.dramsim3", (), "0x0 READ 0"),
        ("t.ramulator2", (), "LD 0x0"),
        ("t.trace", ("--dram-trace-format", "ramulator2"), "LD 0x0"),
    ],
)
def test_is_the_file_written_for_whom_it_is(
    name: str, options: tuple[str, ...], first: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    assert call(COMMANDS, *RUN, "--dram-trace", str(path), *options) == 0
    assert path.read_text().splitlines()[0] == first


def test_is_a_file_for_nobody_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.dramsim3 or \.ramulator2"):
        call(COMMANDS, *RUN, "--dram-trace", str(tmp_path / "t.trace"))
    with pytest.raises(InputError, match="belongs to --dram-trace"):
        call(COMMANDS, *RUN, "--dram-trace-format", "dramsim3")


def test_are_too_many_lines_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dram, "MOST_BURSTS", 3)
    with pytest.raises(InputError, match="lines, more than 3"):
        call(COMMANDS, *RUN, "--dram-trace", str(tmp_path / "t.dramsim3"))
