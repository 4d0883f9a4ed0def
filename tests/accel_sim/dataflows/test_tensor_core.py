"""Are two of four twice, and one of four four times as fast, and what do tails and tokens cost?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.tensor_core.array import TensorCoreArray, mode_of
from accel_sim.dataflows.tensor_core.dataflow import run_tensor_core
from accel_sim.dataflows.tensor_core.n_m import NM
from accel_sim.machines.load import load_machine
from tests.accel_sim.dataflows import tensor_core_reference
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=5)


def pruned(shape: tuple[int, int], mode: tuple[int, int], seed: int = 0) -> NDArray[np.bool_]:
    """Exactly N of every M kept, at random; shape's inputs a multiple of M."""
    slots, length = mode
    rng = np.random.default_rng(seed)
    ranks = rng.random((shape[0], shape[1] // length, length)).argsort(axis=2).argsort(axis=2)
    return (ranks < slots).reshape(shape)


@pytest.mark.parametrize(("mode", "factor"), [((1, 1), 1), ((2, 4), 2), ((1, 4), 4)])
def test_is_compute_two_and_four_times_faster(mode: tuple[int, int], factor: int) -> None:
    # 2304 × 768 on 16 × 16 × 16 multipliers, 128 tokens: 144·8·48 cycles if dense. Besides, 18
    # strips × 8 groups × 4 cycles of latency.
    keep = pruned((2304, 768), mode)
    assert mode_of(keep, TensorCoreArray()) == NM(*mode)
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
    assert mode_of(keep, machine) == (NM(1, 1) if kept == 16 else NM(kept, 16))


def test_does_a_mask_that_keeps_nothing_take_a_slot_of_each_group() -> None:
    keep = np.zeros((128, 768), np.bool_)
    machine = TensorCoreArray(modes=(), vector_length=16)
    assert mode_of(keep, machine) == NM(1, 16)
    (tile,), _ = run_tensor_core(keep, 16, machine)
    assert int(tile.cycles[0]) == 8 * 48 // 16 + 4


def test_does_one_full_group_cost_the_whole_matrix() -> None:
    keep = pruned((64, 64), (1, 4))
    keep[3, 8:11] = True
    assert mode_of(keep, TensorCoreArray()) == NM(1, 1)
    (tile,), _ = run_tensor_core(keep, 16, TensorCoreArray())
    assert int(tile.cycles[0]) == 4 * 4 + 4
    assert int(tile.causes["unused_slots"][0]) == 16 - -(-int(keep.sum()) * 16 // 4096)


MENUS: list[dict[str, Any]] = [
    {},
    {"vector_length": 5},
    {"hierarchical_modes": ((2, 3, 2, 4), (1, 2, 1, 2), (4, 8, 2, 4)), "modes": ()},
    {"terms": 3, "modes": ((1, 4), (2, 8), (1, 8), (1, 2))},
    {"dense_blocks": True, "modes": ((2, 4),)},
    {"vector_length": 8, "hierarchical_modes": ((2, 4, 1, 2),), "terms": 2, "dense_blocks": True},
]


def mask_of(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Random, or so that modes of `MENUS` are likely to hold it."""
    keep = rng.random(shape) < {"random": 0.3, "full": 1.0, "none": 0.0}.get(kind, 0.8)
    cols = np.arange(shape[1])
    if kind == "groups":
        # Of 8 groups of 4 inputs the same 4 keep anything, two inputs of each.
        keep &= (cols // 4 % 2 == 0) & (cols % 4 < 2)
    if kind == "sum":
        keep &= (cols % 4 == rng.integers(4)) | (cols % 8 == rng.integers(8))
    if kind == "rows":
        keep &= (cols % 4 < 2) | (np.arange(shape[0]) // 3 % 2 == 0)[:, None]
    return keep


@pytest.mark.rule(rivals=13)
@pytest.mark.rule(rivals=14)
@pytest.mark.rule(rivals=15)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    tokens=st.integers(1, 9),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    kind=st.sampled_from(["random", "full", "none", "groups", "sum", "rows"]),
    menu=st.sampled_from(MENUS),
)
def test_does_it_equal_the_machine_in_plain_python(
    seed: int,
    shape: tuple[int, int],
    tokens: int,
    sizes: tuple[int, int, int],
    kind: str,
    menu: dict[str, Any],
) -> None:
    keep = mask_of(kind, shape, np.random.default_rng(seed))
    machine = TensorCoreArray(*sizes, strip_outputs=6, pe_latency_cycles=2, **menu)
    tiles, groups = run_tensor_core(keep, tokens, machine)
    check_sums(tiles, groups, int(keep.sum()))
    wanted = tensor_core_reference.run(keep.tolist(), tokens, machine)
    assert len(tiles) == len(wanted)
    for tile, passes in zip(tiles, wanted, strict=True):
        found = {
            "cycles": tile.cycles,
            **tile.causes,
            "busy": tile.units["multiplier"].busy,
            "padding": tile.padding,
            "stored": np.full_like(groups, tile.storage.bits),
            **tile.actions,
        }
        for group, told in enumerate(passes):
            assert {name: int(counts[group]) for name, counts in found.items()} == told


@pytest.mark.rule(rivals=13)
@pytest.mark.parametrize(("of_groups", "length"), [(4, 4), (5, 2), (6, 4), (8, 2), (8, 4)])
def test_is_a_group_of_groups_faster_by_both_fractions(of_groups: int, length: int) -> None:
    # 4 of H groups, 2 of M in each; 64 · H · M inputs, so that 16 slots divide all.
    inputs = 64 * of_groups * length
    groups = np.arange(inputs) // length % of_groups < 4
    keep = np.tile(groups & (np.arange(inputs) % length < 2), (32, 1))
    machine = load_machine("highlight").array  # pyright: ignore
    assert mode_of(keep, machine).name == f"4:{of_groups} of 2:{length}"
    (tile,), _ = run_tensor_core(keep, 16, machine)
    dense = 2 * inputs // 16
    assert int(tile.cycles[0]) - 4 == dense * 4 // of_groups * 2 // length
    assert int(tile.padding[0]) == 0


@pytest.mark.rule(rivals=14)
@pytest.mark.parametrize("terms", [((2, 4), (1, 8)), ((1, 4), (1, 4)), ((4, 8), (1, 8))])
def test_is_a_sum_as_slow_as_its_terms(terms: tuple[tuple[int, int], ...]) -> None:
    # Rows of 128 inputs in which a term fills what the one before it leaves.
    rng, keep = np.random.default_rng(1), np.zeros((32, 128), np.bool_)
    for count, length in terms:
        ranks = np.where(keep, 2, rng.random(keep.shape)).reshape(32, -1, length)
        keep |= (ranks.argsort(2).argsort(2) < count).reshape(keep.shape)
    machine = TensorCoreArray(strip_outputs=32, modes=terms[:1] + terms[-1:], terms=2)
    assert mode_of(keep, machine).name == " + ".join(f"{n}:{m}" for n, m in terms)
    (tile,), _ = run_tensor_core(keep, 16, machine)
    assert int(tile.cycles[0]) - 4 == sum(2 * 128 * n // m // 16 for n, m in terms)
    assert int(tile.padding[0]) == 0


@pytest.mark.rule(rivals=15)
@pytest.mark.parametrize("dense", [0, 1, 3, 8])
def test_does_each_dense_block_take_twice_a_sparse_one(dense: int) -> None:
    keep = pruned((128, 256), (2, 4))
    keep[: 16 * dense] = True
    machine = TensorCoreArray(modes=((2, 4),), dense_blocks=True)
    assert mode_of(keep, machine).name == {0: "2:4", 8: "dense"}.get(dense, "2:4 or dense")
    (tile,), _ = run_tensor_core(keep, 16, machine)
    assert int(tile.cycles[0]) - 4 == (dense * 256 + (8 - dense) * 128) // 16
    assert int(tile.padding[0]) == 0


def test_do_ties_go_to_the_mode_that_is_named_first() -> None:
    # Half of the slots in each of them; and 2:4 twice would be as many as dense.
    keep = pruned((16, 64), (2, 4))
    every = TensorCoreArray(
        vector_length=4,
        modes=((1, 2), (2, 4), (1, 4)),
        hierarchical_modes=((1, 2, 4, 4),),
        terms=2,
        dense_blocks=True,
    )
    assert mode_of(keep, every).name == "2:4"
    assert mode_of(keep, replace(every, modes=((1, 4),))).name == "2:4"
    assert mode_of(keep, replace(every, modes=((1, 4),), vector_length=0)).name == "1:4 + 1:4"
    assert mode_of(np.ones((16, 64), np.bool_), every) == NM(1, 1)


def test_is_every_group_within_the_mode() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        keep = rng.random((4, 30)) < rng.random() * 0.3
        mode = mode_of(keep, TensorCoreArray(vector_length=8))
        assert isinstance(mode, NM)
        slots, length = mode.count, mode.length
        assert all(
            int(row[first : first + length].sum()) <= slots
            for row in keep
            for first in range(0, 30, length)
        )
