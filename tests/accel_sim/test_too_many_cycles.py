"""Are values of a machine refused, whose product is more than a counter of 64 bits can hold?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel_sim.dataflows.abstract.account import LayerTime, account_of
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from sparse_formats.errors import InputError

MOST = 2**40


@pytest.mark.parametrize("name", ["tf_mvp", "eie", "systolic_ws"])
def test_is_a_product_beyond_64_bits_refused(name: str) -> None:
    values = [f"dram.burst_bytes={MOST}", "dram.bytes_per_cycle=0.001"]
    values += [
        "dram.efficiency_run_bytes=[1]",
        "dram.efficiency_permille=[1]",
        "dram.resident=false",
    ]
    machine = load_machine(name, [*values, f"dram.first_latency_cycles={MOST}"])
    workload = Workload.of({f"m{i}": np.eye(512) for i in range(4)}, Activations(512))
    with pytest.raises(InputError, match="more cycles than can be counted in 64 bits"):
        simulate(workload, machine, is_checked=False)


def test_are_causes_that_do_not_sum_to_the_cycles_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_one_more(run: Any, time: LayerTime, *rest: Any) -> Any:
        return account_of(run, replace(time, end=time.end + 1), *rest)

    monkeypatch.setattr("accel_sim.dataflows.abstract.dataflow.account_of", with_one_more)
    with pytest.raises(AssertionError, match="but their causes sum to"):
        simulate({"m": np.eye(16)}, load_machine("tf_mvp"))
