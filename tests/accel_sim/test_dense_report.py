"""Is the dense report that of the baseline which every speed-up refers to?"""

import pytest

from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate, simulate_dense


@pytest.mark.parametrize("name", builtin_accelerators())
def test_the_dense_report_has_the_cycles_that_speed_ups_refer_to(name: str) -> None:
    machine = load_machine(name)
    workload = Workload.generated("96x64,64x96", density=0.3)
    pruned, dense = simulate(workload, machine, is_checked=False), simulate_dense(workload, machine)
    assert dense.total.cycles == pruned.total.dense_cycles
    assert dense.total.speedup_vs_dense == 1
    assert dense.total.macs_executed == dense.total.macs_dense == 2 * 96 * 64 * 128
    # Energy is counted, and what is not pruned takes more of it in the MACs.
    energy = dense.total.energy_by_component_j
    assert energy["mac"] >= pruned.total.energy_by_component_j["mac"] > 0
