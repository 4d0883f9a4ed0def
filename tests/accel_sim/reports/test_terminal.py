"""Does the report in a terminal tell every share that is worth telling, and no other?"""

import io
import re

import numpy as np
from rich.console import Console

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.reports.terminal import print_report
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import roomy


def printed(report: Report) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text, width=200))
    return text.getvalue()


def test_is_told_how_the_lanes_work_on_each_matrix() -> None:
    # Outputs that keep every other input, 2 of them in each block of 8: in column mode, and with
    # two groups of 2 lanes, each entry has 2 weights and none of its lanes is empty.
    keep = np.zeros((32, 64), np.bool_)
    keep[::8, ::2] = keep[1::8, ::2] = True
    activations, machine = Activations(16), roomy("lane_groups=[1, 2]")
    matrices = [MaskedMatrix("pairs", keep), MaskedMatrix("empty", np.zeros((8, 8), np.bool_))]
    text = printed(simulate(Workload.of(matrices, activations), machine))
    assert re.search(r"mode, groups", text) and re.search(r"an entry", text)
    assert re.search(r"^ *pairs .* column 2, 2\.0 ", text, re.MULTILINE)
    assert re.search(r"^ *empty .* column 1, – ", text, re.MULTILINE)
    # Of four inputs in turn each output keeps one, its neighbour the next.
    keep = np.arange(32)[:, np.newaxis] % 4 == np.arange(64) % 4
    one_of_four = Workload.of([MaskedMatrix("one of four", keep)], activations)
    text = printed(simulate(one_of_four, roomy("lane_select=4")))
    assert re.search(r"^ *one of four .* column 1 select 4, 4\.0 ", text, re.MULTILINE)
    rival = printed(simulate(Workload.of(matrices, activations), load_machine("systolic_ws")))
    assert not re.search(r"(row|column) \d", rival)


def test_are_shares_of_half_a_percent_and_more_told() -> None:
    # Column mode: 2 sets of 4 units (row mode has 16 units in a set and writes back for 16 cycles).
    # In a pass each slot issues 128 entries from cycle 3 on (a word of records, a word of entries,
    # delivery), and 3 cycles of pipeline follow. An entry has 1 bit of position, 2 of its unit and
    # 64 of values: 1,072 bytes a slot in 27 words, behind 16 + 1 + 16 bytes in the first of 28
    # lines. 4,321 bytes at 60.8 a cycle are there after 72 cycles, 45 of them before the pass may
    # start; 50 more are latency.
    # Of 8 · 134 + 95 + 4 = 1,171 cycles the write-back takes 4: 0.3 %.
    full = MaskedMatrix("full", np.ones((32, 64), np.bool_))
    report = simulate(Workload.of([full], Activations(16)), roomy())
    assert report.total.cycles == 1171
    (line,) = re.findall(r"^cycles +(.*)$", printed(report), re.MULTILINE)
    assert dict(re.findall(r"(\w+) (\d+) %", line)) == {
        "compute": "87",
        "dram": "8",
        "pipeline": "2",
        "decompressor": "2",
    }
