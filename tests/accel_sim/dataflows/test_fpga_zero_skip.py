"""Does the zero-skipping array of docs/rivals.md §17 take the cycles of its closed form?"""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.scnn import Scnn
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.inputs.convolutions import Convolution
from accel_sim.machines.load import load_machine, resolved
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, simulated

pytestmark = pytest.mark.rule(rivals=17)
MACHINE = load_machine("fpga_zero_skip")


@given(
    outputs=st.integers(1, 40),
    cols=st.integers(1, 30),
    tokens=st.integers(1, 90),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    live=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_takes_a_pe_one_cycle_for_each_activation_and_sixteen_weights(
    outputs: int, cols: int, tokens: int, density: float, live: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    keep, nonzero = rng.random((outputs, cols)) < density, rng.random((tokens, cols)) < live
    matrix = MaskedMatrix("m", keep)
    run = MACHINE.run(Layer(0, matrix), Inputs(tokens, None, nonzero))
    (tile,) = run.tiles
    # 16 PEs share the tokens: PE i has the tokens from i·h on.
    height = ceil(tokens / 16)
    slowest = max(
        sum(
            int(nonzero[first : first + height, c].sum()) * ceil(int(keep[:, c].sum()) / 16)
            for c in range(cols)
        )
        for first in range(0, tokens, height)
    )
    assert tile.cycles.tolist() == [slowest + 4]
    assert int(tile.executed[0]) == sum(
        int(keep[:, c].sum()) * int(nonzero[:, c].sum()) for c in range(cols)
    )


def test_does_it_run_a_convolution_as_what_it_is() -> None:
    # 8 × 8 inputs in 4 × 4 PEs of 2 × 2; 3 × 3 kernels of 32 outputs: 2 · 9 vectors of 16 weights
    # an activation, 4 activations a channel, all PEs alike.
    shape = Convolution(32, 5, (3, 3), (8, 8), (1, 1), (1, 1))
    matrix = MaskedMatrix("m", np.ones((32, 45), np.bool_))
    run = MACHINE.run(Layer(0, matrix, 64, shape), Inputs(64, None, None, convolution=shape))
    assert [int(tile.cycles[0]) for tile in run.tiles] == [5 * 4 * 18 + 4]


def test_is_its_product_that_of_the_dense_mask() -> None:
    (layer,) = simulated([random_matrix((50, 70), 0.3)], MACHINE, Activations(20, 0.5))
    assert layer.product is not None and layer.product["is_equal"] is True


def test_is_all_of_it_marked_inferred() -> None:
    assert isinstance(MACHINE, Scnn)
    array = resolved(MACHINE)["array"]
    assert {entry["mark"] for entry in array.values()} <= {"inferred", "chosen"}
    assert "title alone" in MACHINE.note
