"""Does every machine name changes of its own, and is each advice a run that can be repeated?"""

import pytest

from accel_sim.comparisons.advice import advise, changed_machines
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from tests.accel_sim.workloads import random_matrix

RIVALS = [name for name in builtin_accelerators() if load_machine(name).dataflow != "mixed_vector"]


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize("name", RIVALS)
def test_is_each_advice_what_its_settings_give(name: str) -> None:
    machine = load_machine(name)
    matrices = [random_matrix((60, 90), 0.3, name="a"), random_matrix((33, 50), 0.2, name="b")]
    workload = Workload.of(matrices, Activations(3, 0.5))
    found = advise(workload, machine, threads=1)
    assert len(found) >= 5
    assert "dram" in {advice.key for advice in found}
    for advice in found:
        assert advice.settings, advice.key
        report = simulate(workload, load_machine(name, advice.settings), threads=1)
        assert report.total.cycles == advice.costs.cycles, advice.key
        assert report.total.energy_j == pytest.approx(advice.costs.energy_j), advice.key
        assert sum(report.area_mm2.values()) == pytest.approx(advice.costs.area_mm2)


@pytest.mark.parametrize("name", RIVALS)
def test_is_every_change_of_a_machine_another_machine(name: str) -> None:
    machine = load_machine(name)
    changed = changed_machines(machine)
    assert len({repr(other) for other in changed.values()} | {repr(machine)}) == len(changed) + 1
    # What changes the array beyond its size keeps its multipliers.
    for key, other in changed.items():
        if "with as many MACs" in machine.changes[key].words:
            assert other.macs == machine.macs, key


def test_is_a_change_that_would_not_be_whole_left_out() -> None:
    odd = load_machine("cambricon_x", ["pes=15", "multipliers=15"])
    assert not {"narrower", "wider"} & set(changed_machines(odd))
    assert "1:4" not in changed_machines(load_machine("tensor_core_1_4"))
    assert "run_bits" not in changed_machines(load_machine("eie", ["run_bits=8"]))
