"""Does the dense array take the cycles of its registers, and those that SCALE-Sim counts?"""

import numpy as np
import pytest

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.systolic import (
    STATIONARY,
    Stationary,
    SystolicArray,
    last_cycle,
    run_systolic,
)
from accel_sim.validation.scale_sim import Counts, frozen
from tests.accel_sim.dataflows.sums import check_sums
from tests.accel_sim.dataflows.systolic_reference import product

pytestmark = pytest.mark.rule(rivals=2)


@pytest.mark.parametrize("stationary", STATIONARY)
@pytest.mark.parametrize(
    ("rows", "cols", "tokens", "outputs", "inputs"),
    [(1, 1, 1, 1, 1), (1, 1, 3, 2, 4), (2, 3, 5, 7, 4), (4, 2, 3, 5, 9), (3, 3, 3, 3, 3)],
)
def test_does_a_fold_take_as_long_as_its_registers(
    stationary: Stationary, rows: int, cols: int, tokens: int, outputs: int, inputs: int
) -> None:
    rng = np.random.default_rng(rows * cols + tokens)
    x, w = rng.integers(-9, 9, (tokens, inputs)), rng.integers(-9, 9, (inputs, outputs))
    y, cycles = product(x, w, rows, cols, stationary)
    assert (y == x @ w).all()
    keep = rng.random((outputs, inputs)) < 0.6
    tiles, sizes = run_systolic(keep, tokens, SystolicArray(rows, cols, stationary))
    assert [int(c) for tile in tiles for c in tile.cycles] == cycles
    check_sums(tiles, sizes, int(keep.sum()))
    assert sum(int(tile.actions["macs"].sum()) for tile in tiles) == keep.size * tokens


@pytest.mark.parametrize("counts", frozen(), ids=str)
def test_do_the_counts_equal_scale_sims(counts: Counts) -> None:
    machine = SystolicArray(counts.array_rows, counts.array_cols, counts.stationary, 16, 32)
    product = counts.tokens, counts.outputs, counts.inputs
    assert last_cycle(machine, *product) == counts.cycles
    keep = np.ones((counts.outputs, counts.inputs), np.bool_)
    tiles, sizes = run_systolic(keep, counts.tokens, machine)
    # SCALE-Sim numbers its cycles from 0 and prints the number of the last.
    assert total_cycles(tiles, len(sizes)) == counts.cycles + 1
    weight_bits = sum(int(tile.actions["weight_bits_read"].sum()) for tile in tiles)
    assert weight_bits == 16 * counts.weight_reads
    written = sum(int(tile.actions["activation_bits_written"].sum()) for tile in tiles)
    # Of a fold with the outputs in place SCALE-Sim counts R + C words more than there are.
    beyond = 0
    if counts.stationary == "output":
        beyond = sum(len(tile.cycles) for tile in tiles) * (machine.rows + machine.cols)
    assert written // 32 == counts.output_writes - beyond


def test_is_the_count_of_the_design_document_met() -> None:
    # ⌈768/64⌉·⌈768/64⌉ folds of 64 + 128 + 64 + 64 − 2 = 318 cycles: 144·318 − 1.
    assert last_cycle(SystolicArray(64, 64, "weight"), 128, 768, 768) == 45_791


def test_are_there_thirty_shapes_in_each_dataflow() -> None:
    for stationary in STATIONARY:
        same = [c for c in frozen() if c.stationary == stationary]
        assert len({(c.array_rows, c.array_cols, c.tokens, c.outputs, c.inputs) for c in same}) > 30


@pytest.mark.parametrize("stationary", STATIONARY)
def test_is_a_full_array_busy_but_for_preload_and_skew(stationary: Stationary) -> None:
    # 8 × 8 PEs, 8 of whatever lies on them, a stream of 8: 64·8 MACs in 8 cycles of streaming; half
    # of the weights are dropped.
    keep = np.tile([True, False], (8, 4))
    (tile,), _ = run_systolic(keep, 8, SystolicArray(8, 8, stationary))
    assert {cause: int(n[0]) for cause, n in tile.causes.items()} == {
        "compute": 4,
        "dropped_weights": 4,
        "array_edge": 0,
        "preload": 0 if stationary == "output" else 8,
        "skew": 14,
    }


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
@pytest.mark.parametrize("stationary", STATIONARY)
def test_has_an_empty_matrix_no_tile(stationary: Stationary, shape: tuple[int, int]) -> None:
    assert run_systolic(np.ones(shape, np.bool_), 3, SystolicArray(4, 4, stationary))[0] == ()
