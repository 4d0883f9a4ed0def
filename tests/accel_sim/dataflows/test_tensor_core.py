"""Are two of four twice, and one of four four times as fast, and what do tails and tokens cost?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.tensor_core import Mode, TensorCoreArray, mode_of, run_tensor_core
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=5)


def pruned(shape: tuple[int, int], mode: Mode, seed: int = 0) -> NDArray[np.bool_]:
    """Exactly N of every M kept, at random; shape's inputs a multiple of M."""
    slots, length = mode
    rng = np.random.default_rng(seed)
    ranks = rng.random((shape[0], shape[1] // length, length)).argsort(axis=2).argsort(axis=2)
    return (ranks < slots).reshape(shape)


@pytest.mark.parametrize(("mode", "factor"), [((1, 1), 1), ((2, 4), 2), ((1, 4), 4)])
def test_is_compute_two_and_four_times_faster(mode: Mode, factor: int) -> None:
    # 2304 × 768 on 16 × 16 × 16 multipliers, 128 tokens: 144·8·48 cycles if dense. Besides, 18
    # strips × 8 groups × 4 cycles of latency.
    keep = pruned((2304, 768), mode)
    assert mode_of(keep, TensorCoreArray()) == mode
    tiles, sizes = run_tensor_core(keep, 128, TensorCoreArray())
    compute = sum(int(tile.causes["compute"].sum()) for tile in tiles)
    assert compute == 144 * 8 * 48 // factor
    assert total_cycles(tiles, len(sizes)) == compute + 18 * 8 * 4


@pytest.mark.parametrize("kept", [1, 4, 5, 16])
def test_is_vector_wise_as_fast_as_its_fullest_vector(kept: int) -> None:
    keep = pruned((128, 768), (kept, 16))
    machine = TensorCoreArray(modes=(), vector_length=16)
    (tile,), _ = run_tensor_core(keep, 16, machine)
    # 48 vectors of K slots a row, 16 slots a cycle, 8 blocks of 16 outputs.
    assert int(tile.cycles[0]) == 8 * 48 * kept // 16 + 4
    assert mode_of(keep, machine) == ((1, 1) if kept == 16 else (kept, 16))


def test_does_a_mask_that_keeps_nothing_take_a_slot_of_each_group() -> None:
    keep = np.zeros((128, 768), np.bool_)
    machine = TensorCoreArray(modes=(), vector_length=16)
    assert mode_of(keep, machine) == (1, 16)
    (tile,), _ = run_tensor_core(keep, 16, machine)
    assert int(tile.cycles[0]) == 8 * 48 // 16 + 4


def test_does_one_full_group_cost_the_whole_matrix() -> None:
    keep = pruned((64, 64), (1, 4))
    keep[3, 8:11] = True
    assert mode_of(keep, TensorCoreArray()) == (1, 1)
    (tile,), _ = run_tensor_core(keep, 16, TensorCoreArray())
    assert int(tile.cycles[0]) == 4 * 4 + 4
    assert int(tile.causes["unused_slots"][0]) == 16 - -(-int(keep.sum()) * 16 // 4096)


@given(
    seed=st.integers(0, 2**32),
    outputs=st.integers(1, 20),
    inputs=st.integers(1, 20),
    tokens=st.integers(1, 9),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    vector=st.sampled_from([0, 5, 8]),
)
def test_does_it_equal_the_steps(
    seed: int,
    outputs: int,
    inputs: int,
    tokens: int,
    sizes: tuple[int, int, int],
    density: float,
    vector: int,
) -> None:
    keep = np.random.default_rng(seed).random((outputs, inputs)) < density
    machine = TensorCoreArray(*sizes, strip_outputs=6, vector_length=vector, pe_latency_cycles=2)
    tiles, groups = run_tensor_core(keep, tokens, machine)
    check_sums(tiles, groups, int(keep.sum()))
    slots, length = mode_of(keep, machine)
    for tile in tiles:
        for group, in_group in enumerate(groups.tolist()):
            # One after the other: blocks of outputs, then cells of slots, one cell a cycle.
            row_slots = [g * length for g in range(-(-inputs // length)) for _ in range(slots)]
            cycles = cells = 0
            for first in range(tile.rows[0], tile.rows[1], machine.outputs):
                rows = min(machine.outputs, tile.rows[1] - first)
                for at in range(0, len(row_slots), machine.slots):
                    cells += rows * len(row_slots[at : at + machine.slots]) * in_group
                    cycles += 1
            assert int(tile.cycles[group]) == cycles + 2
            states = tile.units["multiplier"].states
            assert int(states["busy"][group] + states["unused_slots"][group]) == cells
            kept = keep[tile.rows[0] : tile.rows[1]].sum()
            assert int(states["busy"][group]) == kept * in_group


def test_is_every_group_within_the_mode() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        keep = rng.random((4, 30)) < rng.random() * 0.3
        slots, length = mode_of(keep, TensorCoreArray(vector_length=8))
        assert all(
            int(row[first : first + length].sum()) <= slots
            for row in keep
            for first in range(0, 30, length)
        )
