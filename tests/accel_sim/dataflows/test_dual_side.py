"""Does a core take ⌈A/8⌉·⌈B/16⌉ cycles an input, and a pass what its slowest core takes?"""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.dual_side import DualSideArray, run_dual_side
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=10)


def core(
    keep: NDArray[np.bool_], live: NDArray[np.bool_], machine: DualSideArray
) -> tuple[int, int]:
    """Cycles and products of one core: its outputs × inputs, and its tokens × inputs."""
    cycles = products = 0
    for c in range(keep.shape[1]):
        weights = [r for r in range(len(keep)) if keep[r, c]]
        tokens = [t for t in range(len(live)) if live[t, c]]
        while weights:
            taken, weights = weights[: machine.step_outputs], weights[machine.step_outputs :]
            left = tokens
            while left:
                products += len(taken) * len(left[: machine.step_tokens])
                left = left[machine.step_tokens :]
                cycles += 1
    return cycles, products


def cut(count: int, size: int) -> list[slice]:
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 12)),
    tokens=st.integers(1, 14),
    densities=st.tuples(*[st.sampled_from([0.0, 0.2, 0.6, 1.0])] * 2),
    cores=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
)
def test_does_it_equal_cores_in_plain_python(
    seed: int,
    shape: tuple[int, int],
    tokens: int,
    densities: tuple[float, float],
    cores: tuple[int, int],
    sizes: tuple[int, int, int, int],
) -> None:
    rng = np.random.default_rng(seed)
    keep = rng.random(shape) < densities[0]
    nonzero = rng.random((tokens, shape[1])) < densities[1]
    machine = DualSideArray(*cores, *sizes)
    given = None if nonzero.all() else nonzero
    tiles, groups = run_dual_side(keep, given, tokens, machine)
    check_sums(tiles, groups, int(keep.sum()))
    strips = cut(shape[0], machine.strip_outputs)
    assert [tile.rows for tile in tiles] == [(s.start, s.stop) for s in strips]
    for tile, strip in zip(tiles, strips, strict=True):
        for g, group in enumerate(cut(tokens, machine.group_tokens)):
            rows, live = keep[strip], nonzero[group]
            found = [
                core(rows[r], live[t], machine)
                for r in cut(len(rows), machine.tile_outputs)
                for t in cut(len(live), machine.tile_tokens)
            ]
            longest, busy = max(n for n, _ in found), sum(n for n, _ in found)
            products = sum(n for _, n in found)
            assert int(tile.cycles[g]) == longest + machine.pe_latency_cycles
            assert int(tile.executed[g]) == products == int(rows.sum(0) @ live.sum(0))
            assert int(tile.units["core"].states["busy"][g]) == busy
            assert int(tile.padding[g]) == busy * machine.core_macs - products
            balanced = min(longest, ceil(busy / len(found)))
            assert int(tile.causes["imbalance"][g]) == longest - balanced
            filled = min(balanced, ceil(products / (len(found) * machine.core_macs)))
            assert int(tile.causes["partial_steps"][g]) == balanced - filled
            assert int(tile.causes["compute"][g]) == min(filled, ceil(products / machine.macs))


@pytest.mark.parametrize(
    ("weights", "tokens", "cycles"),
    [(32, 32, 8), (24, 32, 6), (17, 32, 6), (16, 17, 4), (16, 16, 2), (8, 16, 1), (1, 1, 1)],
)
def test_are_the_steps_of_a_tile_eight_by_sixteen(weights: int, tokens: int, cycles: int) -> None:
    keep = np.zeros((32, 10), np.bool_)
    nonzero = np.zeros((32, 10), np.bool_)
    keep[:weights], nonzero[:tokens] = True, True
    machine = DualSideArray(1, 1, pe_latency_cycles=3)
    (tile,), _ = run_dual_side(keep, nonzero, 32, machine)
    assert int(tile.cycles[0]) == 10 * cycles + 3
    # Of an input that one of the two has not there is nothing to do.
    nonzero[:, 4:] = False
    (tile,), _ = run_dual_side(keep, nonzero, 32, machine)
    assert int(tile.cycles[0]) == 4 * cycles + 3


def test_is_a_dense_product_at_the_peak() -> None:
    # 512 outputs × 96 inputs × 256 tokens on 4096 multipliers.
    machine = DualSideArray(pe_latency_cycles=0)
    tiles, sizes = run_dual_side(np.ones((512, 96), np.bool_), None, 256, machine)
    assert total_cycles(tiles, len(sizes)) == 512 * 96 * 256 // 4096
    assert not any(tile.causes["partial_steps"].any() for tile in tiles)
