"""Is the cost of a matrix what one more copy of it takes, whatever the machine?"""

import numpy as np
import pytest

from accel_sim import Activations, Workload, load_machine, simulate
from pruning.targets.machine import Matrices
from sparse_formats.masks.execution import Execution
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet


@pytest.mark.parametrize("measure", ["latency", "energy"])
@pytest.mark.parametrize("name", ["tf_mvp", "eie", "tensor_core_2_4"])
def test_a_copy_more_takes_the_marginal_cost(name: str, measure: str) -> None:
    keep = np.random.default_rng(0).random((96, 64)) < 0.3
    machine = load_machine(name)

    def whole(copies: int) -> float:
        masks = MaskSet(tuple(MaskedMatrix(f"m{i}", keep) for i in range(copies)))
        total = simulate(Workload.of(masks, Activations(40)), machine).total
        return total.latency_s if measure == "latency" else total.energy_j

    shapes = {f"m{i}": keep.shape for i in range(9)}
    system = Matrices(machine, measure, shapes, 40, Execution())  # type: ignore[arg-type]
    products = [system.products(MaskedMatrix(name, keep)) for name in shapes]
    assert system.marginal(products[0]) == pytest.approx(whole(9) - whole(8), rel=1e-9)
    assert system.whole(products) == pytest.approx(whole(9), rel=1e-12)


def test_weights_that_do_not_fit_the_chip_are_loaded() -> None:
    keep = np.random.default_rng(0).random((96, 64)) < 0.5
    machine = load_machine("eie", ["weight_buffer.bytes=16000"])
    shapes = {f"m{i}": keep.shape for i in range(12)}
    masks = [MaskedMatrix(name, keep) for name in shapes]
    system = Matrices(machine, "latency", shapes, 40, Execution())
    total = simulate(Workload.of(MaskSet(tuple(masks)), Activations(40)), machine).total
    assert total.dram_bytes > 0
    assert system.whole([system.products(mask) for mask in masks]) == total.latency_s


def test_a_shared_matrix_counts_as_often_as_it_runs() -> None:
    keep = np.random.default_rng(0).random((96, 64)) < 0.5
    machine, execution = load_machine("tf_mvp"), Execution(runs={"m0": 3})
    system = Matrices(machine, "latency", {"m0": keep.shape}, 40, execution)
    masks = MaskSet((MaskedMatrix("m0", keep),), {"execution": execution.as_data()})
    total = simulate(Workload.of(masks, Activations(40)), machine).total
    products = system.products(masks.matrices[0])
    assert system.whole([products]) == total.latency_s
    alone = Matrices(machine, "latency", {"m0": keep.shape}, 40, Execution())
    assert system.marginal(products) == 3 * alone.marginal(alone.products(masks.matrices[0]))
