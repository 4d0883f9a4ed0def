"""Does EIE's recurrence equal its steps, and do both equal the machine of the contract?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.eie import Count, EieArray, recurrence, run_eie, stepped
from tests.accel_sim.dataflows.eie_reference import column_entries, run_pass
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=3)


@given(
    seed=st.integers(0, 2**32),
    columns=st.integers(0, 40),
    pes=st.integers(1, 9),
    depth=st.integers(1, 12),
    mean=st.floats(0.0, 5.0),
)
def test_does_the_recurrence_equal_stepping(
    seed: int, columns: int, pes: int, depth: int, mean: float
) -> None:
    work = np.random.default_rng(seed).poisson(mean, (columns, pes)).astype(np.int64)
    assert recurrence(work, depth).tolist() == stepped(work, depth).tolist()


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 12)),
    pes=st.integers(1, 5),
    depth=st.integers(1, 5),
    run_bits=st.integers(1, 4),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
)
def test_does_it_equal_the_reference(
    seed: int, shape: tuple[int, int], pes: int, depth: int, run_bits: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    keep, nonzero = rng.random(shape) < density, rng.random((3, shape[1])) < 0.7
    machine = EieArray(pes, depth, run_bits, outputs_per_pe=7, pe_latency_cycles=3)
    tiles, sizes = run_eie(keep, nonzero, 3, machine)
    check_sums(tiles, sizes, int(keep.sum()))
    assert [tile.rows[0] for tile in tiles] == list(range(0, shape[0], 7 * pes))
    for tile in tiles:
        for token in range(3):
            part = keep[tile.rows[0] : tile.rows[1]]
            told = run_pass(part, nonzero[token], pes, depth, run_bits, 3)
            assert {c: int(n[token]) for c, n in tile.causes.items()} == told["causes"]
            for name in ("pe", "broadcast"):
                ours = {s: int(n[token]) for s, n in tile.units[name].states.items()}
                assert ours == {state: told[name].get(state, 0) for state in ours}


def test_does_a_queue_of_one_wait_for_the_slowest_pe() -> None:
    # Two PEs, columns (3, 1), (1, 2), (1, 1), D = 1. Column 0 is visible in cycle 1 and busy in PE
    # 0 until cycle 3; its last cycle lets column 1 in, visible in 4; that is busy in PE 1 in 4 and
    # 5; column 2 is visible in 6 and done after it: 7 cycles.
    counts = recurrence(np.array([[3, 1], [1, 2], [1, 1]], np.int64), 1)
    assert counts[Count.CYCLES] == 7
    assert counts[Count.BLOCKED] == 3
    # With two places column 1 is visible in 2, column 2 in 4 (PE 0 is done with column 0 then):
    # PE 0 works 1–3, 4, 5; PE 1 works 1, 2–3, 4: 6 cycles.
    counts = recurrence(np.array([[3, 1], [1, 2], [1, 1]], np.int64), 2)
    assert counts[Count.CYCLES] == 6
    assert counts[Count.BLOCKED] == 1


def test_does_a_deep_queue_leave_only_the_longest_pe() -> None:
    work = np.random.default_rng(3).integers(1, 6, (50, 4))
    assert recurrence(work, 50)[Count.CYCLES] == 1 + work.sum(axis=0).max()


@pytest.mark.parametrize(("gap", "padding"), [(0, 0), (15, 0), (16, 1), (31, 1), (32, 2)])
def test_does_a_run_beyond_four_bits_cost_a_padding_zero(gap: int, padding: int) -> None:
    keep = np.zeros((gap + 1, 1), np.bool_)
    keep[gap] = True
    assert column_entries(keep[:, 0], 4).count(False) == padding
    (tile,), _ = run_eie(keep, None, 1, EieArray(pes=1))
    assert int(tile.padding[0]) == padding
    # One column, broadcast in cycle 0; its entries follow; four stages.
    assert int(tile.cycles[0]) == 1 + 1 + padding + 4


def test_are_tokens_without_zeros_counted_once() -> None:
    keep = np.random.default_rng(1).random((40, 9)) < 0.4
    once, _ = run_eie(keep, None, 5, EieArray(pes=4))
    each, _ = run_eie(keep, np.ones((5, 9), np.bool_), 5, EieArray(pes=4))
    assert (once[0].cycles == each[0].cycles).all()
