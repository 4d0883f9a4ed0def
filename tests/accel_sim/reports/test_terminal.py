"""Does the report in a terminal tell every share that is worth telling, and no other?"""

import io
import re

import numpy as np
from rich.console import Console

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import simulate
from accel_sim.reports.terminal import print_report
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import roomy


def test_are_shares_of_half_a_percent_and_more_told() -> None:
    # The full array of test_closed_forms.py: of 388 cycles 256 compute, 119 wait for DRAM, 6 each
    # wait for the decompressor and for the pipeline (1.5 %), 1 is the write-back (0.26 %).
    full = MaskedMatrix("full", np.ones((32, 64), np.bool_))
    text = io.StringIO()
    report = simulate(Workload.of([full], Activations(4)), roomy())
    print_report(report, Console(file=text, width=200))
    (line,) = re.findall(r"^cycles +(.*)$", text.getvalue(), re.MULTILINE)
    assert dict(re.findall(r"(\w+) (\d+) %", line)) == {
        "compute": "66",
        "dram": "31",
        "pipeline": "2",
        "decompressor": "2",
    }
